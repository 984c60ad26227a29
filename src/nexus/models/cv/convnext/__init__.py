"""ConvNeXt, and ConvNeXt V2: a ResNet modernised step by step.

Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell and S. Xie, "A ConvNet for the 2020s", CVPR 2022,
arXiv:2201.03545. S. Woo, S. Debnath, R. Hu, X. Chen, Z. Liu, I. S. Kweon and S. Xie, "ConvNeXt V2: Co-designing and
Scaling ConvNets with Masked Autoencoders", CVPR 2023, arXiv:2301.00808.
The weights' licences stand beside them in `variants.py`; those of V2 forbid commercial use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.convnext.model import ConvNeXt as ConvNeXt
    from nexus.models.cv.convnext.model import ConvNeXtConfig as ConvNeXtConfig
    from nexus.models.cv.convnext.steps import ladder as ladder

__getattr__, __dir__, __all__ = attach(__name__, {"ConvNeXt": ".model", "ConvNeXtConfig": ".model", "ladder": ".steps"})
