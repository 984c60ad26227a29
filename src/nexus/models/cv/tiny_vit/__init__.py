"""TinyViT: a small hierarchical vision transformer, taught by a large one while it is pre-trained.

K. Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers", ECCV 2022, arXiv:2207.10666. The
authors' code and weights (microsoft/Cream, TinyViT) are under the MIT License. Parity: with timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.tiny_vit.model import TinyViT as TinyViT
    from nexus.models.cv.tiny_vit.model import TinyViTConfig as TinyViTConfig

__getattr__, __dir__, __all__ = attach(__name__, {"TinyViT": ".model", "TinyViTConfig": ".model"})
