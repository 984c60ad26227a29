"""MobileViT (Mehta and Rastegari 2021, arXiv:2110.02178) and MobileViTv2 (2022, arXiv:2206.02680).

The authors' code and weights (apple/ml-cvnets) are under Apple's sample code licence, which permits use and
redistribution. Parity: with transformers and timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.mobilevit.model import MobileViT as MobileViT
    from nexus.models.cv.mobilevit.model import MobileViTConfig as MobileViTConfig
    from nexus.models.cv.mobilevit.model_v2 import MobileViTV2 as MobileViTV2
    from nexus.models.cv.mobilevit.model_v2 import MobileViTV2Config as MobileViTV2Config

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "MobileViT": ".model",
        "MobileViTConfig": ".model",
        "MobileViTV2": ".model_v2",
        "MobileViTV2Config": ".model_v2",
    },
)
