"""Hybrid ViT: a ResNet that a ViT reads in place of patches (Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1).

Weights of "How to train your ViT?" (Steiner et al. 2021, arXiv:2106.10270) too. The authors' code and weights
(google-research/vision_transformer) are under the Apache License 2.0. Parity: with timm, and with the class that
transformers had until its version 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.vit_hybrid.model import HybridViT as HybridViT
    from nexus.models.cv.vit_hybrid.model import HybridViTConfig as HybridViTConfig

__getattr__, __dir__, __all__ = attach(__name__, {"HybridViT": ".model", "HybridViTConfig": ".model"})
