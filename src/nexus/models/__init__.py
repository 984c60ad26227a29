"""Models, written natively in PyTorch, each equal to its reference. One sub-package per kind of output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.base import NexusModule as NexusModule
    from nexus.models.base import WeightInitMixin as WeightInitMixin

__getattr__, __dir__, __all__ = attach(__name__, {"NexusModule": ".base", "WeightInitMixin": ".base"})
