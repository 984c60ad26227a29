"""SigLIP: Sigmoid Loss for Language Image Pre-Training (Zhai et al. 2023, arXiv:2303.15343), and SigLIP 2.

SigLIP 2 (Tschannen et al. 2025, arXiv:2502.14786) trains the same two towers otherwise, on text in many languages.
Its NaFlex models take pictures of any aspect: of a batch, all have one size, by default the square of as many patches;
`nexus.transforms.naflex_size` is the size that keeps a picture's aspect. The authors' code and weights
(google-research/big_vision) are under the Apache License 2.0. Parity: with the authors' code, transformers,
timm and OpenCLIP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.siglip.model import SigLIP as SigLIP
    from nexus.models.cv.siglip.model import SigLIPConfig as SigLIPConfig
    from nexus.models.cv.siglip.model import SigLIPTextConfig as SigLIPTextConfig
    from nexus.models.cv.siglip.model import SigLIPVision as SigLIPVision
    from nexus.models.cv.siglip.model import SigLIPVisionConfig as SigLIPVisionConfig

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "SigLIP": ".model",
        "SigLIPConfig": ".model",
        "SigLIPTextConfig": ".model",
        "SigLIPVision": ".model",
        "SigLIPVisionConfig": ".model",
    },
)
