"""GoogLeNet: going deeper with convolutions.

C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke and A. Rabinovich, "Going Deeper
with Convolutions", CVPR 2015, arXiv:1409.4842. Parity: with torchvision; of local response normalisation: derived.
The weights' licences stand beside them in `variants.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.googlenet.model import GoogLeNet as GoogLeNet
    from nexus.models.cv.googlenet.model import GoogLeNetConfig as GoogLeNetConfig

__getattr__, __dir__, __all__ = attach(__name__, {"GoogLeNet": ".model", "GoogLeNetConfig": ".model"})
