"""Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles (Ryali et al. 2023, arXiv:2306.00989).

The authors' code (facebookresearch/hiera) is under the Apache License 2.0, their weights under CC BY-NC 4.0. Parity:
with transformers, timm and the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.hiera.model import Hiera as Hiera
    from nexus.models.cv.hiera.model import HieraConfig as HieraConfig

__getattr__, __dir__, __all__ = attach(__name__, {"Hiera": ".model", "HieraConfig": ".model"})
