"""ViT: An Image is Worth 16x16 Words (Dosovitskiy et al. 2020, arXiv:2010.11929).

Weights of "How to train your ViT?" (Steiner et al. 2021, arXiv:2106.10270) too. The authors' code and weights
(google-research/vision_transformer) are under the Apache License 2.0. Parity: with transformers and timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.vit.model import VisionTransformer as VisionTransformer
    from nexus.models.cv.vit.model import VisionTransformerConfig as VisionTransformerConfig

__getattr__, __dir__, __all__ = attach(__name__, {"VisionTransformer": ".model", "VisionTransformerConfig": ".model"})
