"""Inception V3: rethinking the Inception architecture.

C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception Architecture for Computer Vision",
CVPR 2016, arXiv:1512.00567. Its pooled features are those of the Fréchet Inception distance (`inception_v3.fid`).
Parity: with torchvision, timm and the archive of the distance's network. The weights' licences stand beside them in
`variants.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.inception.model import InceptionV3 as InceptionV3
    from nexus.models.cv.inception.model import InceptionV3Config as InceptionV3Config

__getattr__, __dir__, __all__ = attach(__name__, {"InceptionV3": ".model", "InceptionV3Config": ".model"})
