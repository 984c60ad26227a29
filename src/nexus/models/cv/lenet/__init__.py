"""LeNet-5: the convolutional network that read cheques.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition", Proceedings of
the IEEE, 1998. The weights' licences stand beside them in `variants.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.lenet.model import LeNet as LeNet
    from nexus.models.cv.lenet.model import LeNetConfig as LeNetConfig

__getattr__, __dir__, __all__ = attach(__name__, {"LeNet": ".model", "LeNetConfig": ".model"})
