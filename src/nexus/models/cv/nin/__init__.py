"""Network in Network: convolutions by small networks, and the first global average pooling.

M. Lin, Q. Chen and S. Yan, "Network In Network", ICLR 2014, arXiv:1312.4400. No official weights. Parity: derived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.nin.model import NiN as NiN
    from nexus.models.cv.nin.model import NiNConfig as NiNConfig

__getattr__, __dir__, __all__ = attach(__name__, {"NiN": ".model", "NiNConfig": ".model"})
