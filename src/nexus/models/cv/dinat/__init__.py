"""DiNAT: Dilated Neighborhood Attention Transformer (Hassani and Shi 2022, arXiv:2209.15001).

With every dilation 1 it is NAT (Hassani et al. 2023, arXiv:2204.07143). The authors' code and weights
(SHI-Labs/Neighborhood-Attention-Transformer) are under the MIT License. Parity: the network with the authors' code,
neighbourhood attention itself derived (its CUDA extension does not run everywhere).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.dinat.model import DiNAT as DiNAT
    from nexus.models.cv.dinat.model import DiNATConfig as DiNATConfig

__getattr__, __dir__, __all__ = attach(__name__, {"DiNAT": ".model", "DiNATConfig": ".model"})
