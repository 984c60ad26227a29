"""What an output costs against a target: pure functions and modules, one file a concept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.losses.classification import LossConfig as LossConfig
    from nexus.losses.classification import binary_cross_entropy as binary_cross_entropy
    from nexus.losses.classification import classification_losses as classification_losses
    from nexus.losses.classification import cross_entropy as cross_entropy

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "LossConfig": ".classification",
        "binary_cross_entropy": ".classification",
        "classification_losses": ".classification",
        "cross_entropy": ".classification",
    },
)
