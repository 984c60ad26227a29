"""TinyNet: patches, two residual convolutions, a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import PatchEmbed
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput


class TinyNetConfig(Config):
    """Width, patch size and classes."""

    width: PositiveInt = 8
    patch_size: PositiveInt = 4
    num_classes: NonNegativeInt = 3


class TinyNet(WeightInitMixin, NexusModule):
    """The model; any size that is a multiple of the patch."""

    Config = TinyNetConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | TinyNetConfig) -> None:
        super().__init__(config)
        c: TinyNetConfig = self.config
        self.patch_embed = PatchEmbed(3, c.width, c.patch_size)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c.width, c.width, 3, padding=1), nn.GELU()) for _ in range(2)
        )
        self.head = nn.Linear(c.width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()

    def forward(
        self, images: Tensor, *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network on images (B, 3, H, W)."""
        wanted = self.wanted(outputs, output_attentions)
        x, features = self.patch_embed(images), []
        for block in self.blocks:
            x = x + self.run_block(block, x)
            features.append(x)
        found: dict[str, Any] = {
            "embeddings": x.mean((2, 3)),
            "tokens": x.flatten(2).transpose(1, 2),
            "features": features,
            "pyramid": {self.config.patch_size: x},
        }
        return self.finish(found, wanted)
