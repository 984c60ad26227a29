"""DeiT: Training data-efficient image transformers & distillation through attention (Touvron et al. 2020, 2012.12877).

The authors' code and weights (facebookresearch/deit) are under the Apache License 2.0. Parity: with transformers and
timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.deit.model import DeiT as DeiT
    from nexus.models.cv.deit.model import DeiTConfig as DeiTConfig

__getattr__, __dir__, __all__ = attach(__name__, {"DeiT": ".model", "DeiTConfig": ".model"})
