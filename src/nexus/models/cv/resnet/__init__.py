"""ResNet: deep residual learning for image recognition, and what grew from it.

K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv:1512.03385; the
second version (arXiv:1603.05027), wide ResNets (arXiv:1605.07146), ResNeXt (arXiv:1611.05431) and the "D" networks
(arXiv:1812.01187). Parity of plain networks and zero-padded shortcuts: derived.
The weights' licences stand beside them in `variants.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.resnet.cifar import cifar_config as cifar_config
    from nexus.models.cv.resnet.model import ResNet as ResNet
    from nexus.models.cv.resnet.model import ResNetConfig as ResNetConfig

__getattr__, __dir__, __all__ = attach(
    __name__, {"ResNet": ".model", "ResNetConfig": ".model", "cifar_config": ".cifar"}
)
