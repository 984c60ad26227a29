"""Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (Liu et al. 2021, arXiv:2103.14030).

The authors' code and weights (microsoft/Swin-Transformer) are under the MIT license. Parity: with transformers, timm,
torchvision and the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.swin_transformer.model import SwinTransformer as SwinTransformer
    from nexus.models.cv.swin_transformer.model import SwinTransformerConfig as SwinTransformerConfig

__getattr__, __dir__, __all__ = attach(__name__, {"SwinTransformer": ".model", "SwinTransformerConfig": ".model"})
