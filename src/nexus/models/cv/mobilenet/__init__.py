"""MobileNets: networks of depthwise separable convolutions for phones, in three generations.

A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
arXiv:1704.04861. M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
arXiv:1801.04381. A. Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv:1905.02244. What each source of
weights states as its licence is in `variants.py`. Parity: with transformers (V1, V2), torchvision (V2, V3) and timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.mobilenet.model import MobileNetV1 as MobileNetV1
    from nexus.models.cv.mobilenet.model import MobileNetV1Config as MobileNetV1Config
    from nexus.models.cv.mobilenet.model import MobileNetV2 as MobileNetV2
    from nexus.models.cv.mobilenet.model import MobileNetV2Config as MobileNetV2Config
    from nexus.models.cv.mobilenet.model import MobileNetV3 as MobileNetV3
    from nexus.models.cv.mobilenet.model import MobileNetV3Config as MobileNetV3Config

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "MobileNetV1": ".model",
        "MobileNetV1Config": ".model",
        "MobileNetV2": ".model",
        "MobileNetV2Config": ".model",
        "MobileNetV3": ".model",
        "MobileNetV3Config": ".model",
    },
)
