"""A model of your own: a config, a module, a dict out; saved, loaded, and used on photographs.

    python examples/own_model.py FOLDER

The encoder is not trained, so its numbers mean nothing yet; see docs/how-to/own-model.md for what comes next.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nexus
import nexus.hub
from nexus.config import Config
from nexus.layers import Attention, Block, Mlp, PatchEmbed
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput


class TinyEncoderConfig(Config):
    """Width, depth and patch size."""

    width: int = 64
    depth: int = 2
    heads: int = 4
    patch_size: int = 16


class TinyEncoder(WeightInitMixin, NexusModule):
    """A transformer over patches without positions: the mean of its tokens describes the picture."""

    Config = TinyEncoderConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | TinyEncoderConfig) -> None:
        super().__init__(config)
        c: TinyEncoderConfig = self.config
        self.patch_embed = PatchEmbed(3, c.width, c.patch_size)
        self.blocks = nn.ModuleList(
            Block(nn.LayerNorm(c.width), Attention(c.width, c.heads), nn.LayerNorm(c.width), Mlp(c.width, 4 * c.width))
            for _ in range(c.depth)
        )
        self.norm = nn.LayerNorm(c.width)
        self.head = nn.Identity()  # no classes: embeddings only
        self.init_weights_vision()

    def forward(
        self, images: Tensor, *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images (B, 3, H, W) whose sides are multiples of the patch size."""
        wanted = self.wanted(outputs, output_attentions)
        x = self.patch_embed(images).flatten(2).transpose(1, 2)  # (B, N, width)
        for block in self.blocks:
            x, _ = self.run_block(block, x)
        tokens = self.norm(x)
        return self.finish({"tokens": tokens, "embeddings": tokens.mean(1)}, wanted)


def main(folder: str) -> None:
    """Describe the photographs of `folder` with an untrained encoder."""
    torch.manual_seed(0)
    model = TinyEncoder({"width": 48})
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")

    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved)
        again = TinyEncoder(model.config)
        again.load_tensors(nexus.hub.read_tensors(Path(saved, "model.safetensors")), saved)

    with nexus.load(again, preprocess={"resize": 96, "crop": (96, 96)}) as predictor:
        found = predictor.embed(sorted(Path(folder).glob("*.jpg")))
    print(f"{found.vectors.shape[0]} photographs, {found.vectors.shape[1]} numbers each")


if __name__ == "__main__":
    main(*sys.argv[1:])
