"""What is minimised in self-supervised and supervised training; an objective wraps a model, never lives in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.objectives.distillation import Distillation as Distillation
    from nexus.objectives.distillation import DistillConfig as DistillConfig
    from nexus.objectives.supervised import Objective as Objective
    from nexus.objectives.supervised import Supervised as Supervised

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "DistillConfig": ".distillation",
        "Distillation": ".distillation",
        "Objective": ".supervised",
        "Supervised": ".supervised",
    },
)
