"""AlexNet: the network that won ILSVRC 2012.

A. Krizhevsky, I. Sutskever and G. E. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS
2012; in the form without groups and response normalisation of A. Krizhevsky, "One weird trick for parallelizing
convolutional neural networks", arXiv:1404.5997. The weights' licences stand beside them in `variants.py`. Parity of the
form of 2012: derived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.alexnet.model import AlexNet as AlexNet
    from nexus.models.cv.alexnet.model import AlexNetConfig as AlexNetConfig
    from nexus.models.cv.alexnet.model import ResponseNorm as ResponseNorm

__getattr__, __dir__, __all__ = attach(
    __name__, {"AlexNet": ".model", "AlexNetConfig": ".model", "ResponseNorm": ".model"}
)
