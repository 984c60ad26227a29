"""EfficientNet: networks scaled in depth, width and resolution together, and the Lite ones for small devices.

M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
arXiv:1905.11946; "EfficientNetV2: Smaller Models and Faster Training", ICML 2021, arXiv:2104.00298. The authors' code
(tensorflow/tpu, google/automl) is under the Apache License 2.0; what each source of weights states is in `variants.py`.
Parity: with transformers, torchvision and timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.efficient_net.model import EfficientNet as EfficientNet
    from nexus.models.cv.efficient_net.model import EfficientNetConfig as EfficientNetConfig
    from nexus.models.cv.efficient_net.model import StageConfig as StageConfig

__getattr__, __dir__, __all__ = attach(
    __name__, {"EfficientNet": ".model", "EfficientNetConfig": ".model", "StageConfig": ".model"}
)
