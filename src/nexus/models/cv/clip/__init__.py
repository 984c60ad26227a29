"""CLIP: Learning Transferable Visual Models From Natural Language Supervision (Radford et al. 2021, arXiv:2103.00020).

`CLIP` is the pair of towers, `CLIPVision` its vision transformer alone, `CLIPResNet` its ResNet. The authors' code
(openai/CLIP) and the shipped vocabulary are under the MIT licence. Parity: with transformers, openai/CLIP, open_clip
and timm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.clip.model import CLIP as CLIP
    from nexus.models.cv.clip.model import CLIPConfig as CLIPConfig
    from nexus.models.cv.clip.resnet import CLIPResNet as CLIPResNet
    from nexus.models.cv.clip.resnet import CLIPResNetConfig as CLIPResNetConfig
    from nexus.models.cv.clip.text import CLIPTextConfig as CLIPTextConfig
    from nexus.models.cv.clip.vision import CLIPVision as CLIPVision
    from nexus.models.cv.clip.vision import CLIPVisionConfig as CLIPVisionConfig

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CLIP": ".model",
        "CLIPConfig": ".model",
        "CLIPResNet": ".resnet",
        "CLIPResNetConfig": ".resnet",
        "CLIPTextConfig": ".text",
        "CLIPVision": ".vision",
        "CLIPVisionConfig": ".vision",
    },
)
