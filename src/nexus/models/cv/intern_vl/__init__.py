"""InternVL: Scaling up Vision Foundation Models and Aligning for Generic Visual-Linguistic Tasks (arXiv:2312.14238).

Chen et al. 2023; the projector is InternVL 1.5's (arXiv:2404.16821). The authors' code (OpenGVLab/InternVL) is under
the MIT License. Parity: with transformers (image tower, projector) and with the authors' code (InternVL-C and -G).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.intern_vl.model import InternViT as InternViT
    from nexus.models.cv.intern_vl.model import InternViTConfig as InternViTConfig
    from nexus.models.cv.intern_vl.model import InternVL as InternVL
    from nexus.models.cv.intern_vl.model import InternVLConfig as InternVLConfig

__getattr__, __dir__, __all__ = attach(
    __name__, {"InternVL": ".model", "InternVLConfig": ".model", "InternViT": ".model", "InternViTConfig": ".model"}
)
