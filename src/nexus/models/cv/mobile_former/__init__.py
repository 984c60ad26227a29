"""Mobile-Former: MobileNet and a transformer of a few tokens side by side, with a bridge in both directions.

Y. Chen et al., "Mobile-Former: Bridging MobileNet and Transformer", CVPR 2022, arXiv:2108.05895. The authors' code and
weights (AAboys/MobileFormer) state no licence. Parity: with the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.mobile_former.model import MobileFormer as MobileFormer
    from nexus.models.cv.mobile_former.model import MobileFormerConfig as MobileFormerConfig

__getattr__, __dir__, __all__ = attach(__name__, {"MobileFormer": ".model", "MobileFormerConfig": ".model"})
