"""DINOv2: Learning Robust Visual Features without Supervision (Oquab et al. 2023, arXiv:2304.07193).

With registers: Vision Transformers Need Registers (Darcet et al. 2023, arXiv:2309.16588). The authors' code and weights
(facebookresearch/dinov2) are under the Apache License 2.0. Parity: with transformers and timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.dinov2.model import DINOv2 as DINOv2
    from nexus.models.cv.dinov2.model import DINOv2Config as DINOv2Config

__getattr__, __dir__, __all__ = attach(__name__, {"DINOv2": ".model", "DINOv2Config": ".model"})
