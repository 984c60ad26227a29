"""ViT: An Image is Worth 16x16 Words (Dosovitskiy et al. 2020, arXiv:2010.11929).

Weights of "How to train your ViT?" (Steiner et al. 2021, arXiv:2106.10270), MAE (He et al. 2021, arXiv:2111.06377) and
I-JEPA (Assran et al. 2023, arXiv:2301.08243) too: they train the same network. The code and weights of ViT
(google-research/vision_transformer) are under the Apache License 2.0; those of MAE and I-JEPA (facebookresearch/mae,
facebookresearch/ijepa) under CC-BY-NC 4.0. Parity: with transformers and timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.vit.model import VisionTransformer as VisionTransformer
    from nexus.models.cv.vit.model import VisionTransformerConfig as VisionTransformerConfig

__getattr__, __dir__, __all__ = attach(__name__, {"VisionTransformer": ".model", "VisionTransformerConfig": ".model"})
