"""EVA-02: A Visual Representation for Neon Genesis (Fang et al. 2023, arXiv:2303.11331).

The authors' code and weights (baaivision/EVA) are under the MIT licence. Parity: with timm and the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.eva02.model import EVA02 as EVA02
    from nexus.models.cv.eva02.model import EVA02Config as EVA02Config

__getattr__, __dir__, __all__ = attach(__name__, {"EVA02": ".model", "EVA02Config": ".model"})
