"""ResNet: deep residual learning for image recognition.

K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385.
The weights' licences stand beside them in `variants.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.resnet.model import ResNet as ResNet
    from nexus.models.cv.resnet.model import ResNetConfig as ResNetConfig

__getattr__, __dir__, __all__ = attach(__name__, {"ResNet": ".model", "ResNetConfig": ".model"})
