"""CvT: Introducing Convolutions to Vision Transformers (Wu et al. 2021, arXiv:2103.15808).

The authors' code (microsoft/CvT) is under the MIT License; their weights on the Hugging Face hub are under the Apache
License 2.0. Parity: with transformers and with the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.cvt.model import CvT as CvT
    from nexus.models.cv.cvt.model import CvTConfig as CvTConfig

__getattr__, __dir__, __all__ = attach(__name__, {"CvT": ".model", "CvTConfig": ".model"})
