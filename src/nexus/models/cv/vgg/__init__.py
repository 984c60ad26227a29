"""VGG: deep stacks of 3x3 convolutions.

K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv:1409.1556.
The weights' licences stand beside them in `variants.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.vgg.model import VGG as VGG
    from nexus.models.cv.vgg.model import VGGConfig as VGGConfig

__getattr__, __dir__, __all__ = attach(__name__, {"VGG": ".model", "VGGConfig": ".model"})
