"""Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (Liu et al. 2021, arXiv:2103.14030).

And Swin Transformer V2: Scaling Up Capacity and Resolution (Liu et al. 2022, arXiv:2111.09883). The authors' code and
weights (microsoft/Swin-Transformer) are under the MIT license. Parity: with transformers, timm, torchvision and the
authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.swin_transformer.model import SwinTransformer as SwinTransformer
    from nexus.models.cv.swin_transformer.model import SwinTransformerConfig as SwinTransformerConfig
    from nexus.models.cv.swin_transformer.model_v2 import SwinTransformerV2 as SwinTransformerV2
    from nexus.models.cv.swin_transformer.model_v2 import SwinTransformerV2Config as SwinTransformerV2Config

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "SwinTransformer": ".model",
        "SwinTransformerConfig": ".model",
        "SwinTransformerV2": ".model_v2",
        "SwinTransformerV2Config": ".model_v2",
    },
)
