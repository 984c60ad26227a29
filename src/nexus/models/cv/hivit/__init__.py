"""HiViT: a simpler and more efficient design of hierarchical vision transformer (Zhang et al. 2022, arXiv:2205.14949).

The authors' code (zhangxiaosong18/hivit) is under the MIT License. Parity: with the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.hivit.model import HiViT as HiViT
    from nexus.models.cv.hivit.model import HiViTConfig as HiViTConfig

__getattr__, __dir__, __all__ = attach(__name__, {"HiViT": ".model", "HiViTConfig": ".model"})
