"""CLIP: an image tower and a text tower whose vectors of a matching pair point the same way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Discriminator, Tag, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.models.base import WeightInitMixin
from nexus.models.cv.clip.resnet import CLIPResNet, CLIPResNetConfig
from nexus.models.cv.clip.text import CLIPTextConfig, TextTransformer
from nexus.models.cv.clip.vision import CLIPVision, CLIPVisionConfig
from nexus.models.image_text import ImageTextModule

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["CLIP", "CLIPConfig", "CLIPResNet", "CLIPVision"]


def kind_of_tower(config: Any) -> str:
    """Tell a ResNet from a transformer by the key that only it has."""
    stated = isinstance(config, Mapping) and "depths" in config
    return "resnet" if stated or isinstance(config, CLIPResNetConfig) else "vit"


ImageConfig = Annotated[
    Annotated[CLIPVisionConfig, Tag("vit")] | Annotated[CLIPResNetConfig, Tag("resnet")], Discriminator(kind_of_tower)
]


class CLIPConfig(Config):
    """What makes one CLIP; the defaults are ViT-B/32.

    Attributes:
        image: config of the image tower; that of a `CLIPResNet` where it has `depths`.
        text: config of the text tower.
    """

    image: ImageConfig = CLIPVisionConfig.parse({})
    text: CLIPTextConfig = CLIPTextConfig.parse({})

    @model_validator(mode="after")
    def _one_space(self) -> CLIPConfig:
        if self.image.projection_dim != self.text.projection_dim:
            raise ValueError(
                f"image.projection_dim = {self.image.projection_dim} and text.projection_dim = "
                f"{self.text.projection_dim} differ: both towers map into one space"
            )
        if self.image.num_classes:
            raise ValueError(
                f"image.num_classes = {self.image.num_classes}: a pair has no head, its logits are images against "
                "texts; build the image tower alone for a classifier"
            )
        return self


class CLIP(WeightInitMixin, ImageTextModule):
    """The pair of towers.

    `forward` gives what the image tower gives and, with texts, `text_embeddings` (K, D) and `logits` (B, K), cosines
    times a learned factor (figure 3 of the paper).
    """

    Config = CLIPConfig

    def __init__(self, config: Mapping[str, Any] | CLIPConfig) -> None:
        super().__init__(config)
        c: CLIPConfig = self.config
        self.image = CLIPResNet(c.image) if isinstance(c.image, CLIPResNetConfig) else CLIPVision(c.image)
        self.text = TextTransformer(c.text)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # section 2.5
        self.text.init_weights_text()

    def encode_text(
        self,
        input_ids: Int[Tensor, "k t"],
        attention_mask: Int[Tensor, "k t"] | None = None,  # noqa: ARG002
    ) -> Float[Tensor, "k d"]:
        """Encode texts.

        Args:
            input_ids: (K, T), at most `context_length` tokens each, padded behind their end.
            attention_mask: taken for all pairs alike. It changes nothing: a token sees none behind it.

        Returns:
            (K, D), not normalised.
        """
        x = self.text.embed(input_ids)
        mask = self.text.mask(x)
        for block in self.text.blocks:
            x, _ = self.run_block(block, x, False, mask)
        return self.text.pool(x, input_ids)
