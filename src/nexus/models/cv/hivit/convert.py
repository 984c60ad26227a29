"""Checkpoints of HiViT in the authors' layout."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename

__all__ = ["FORMATS"]

ENDS: dict[str, str | None] = {
    "patch_embed.proj": "proj",
    "patch_embed.norm": "patch_norm",
    "absolute_pos_embed": "pos_embed",
    "relative_position_index": None,  # computed
    "fc_norm": "norm",
    # what the masked autoencoder (`mae_hivit_base_1600ep`) has beside its encoder
    "mask_token": None,
    "decoder_embed": None,
    "decoder_blocks": None,
    "decoder_norm": None,
    "decoder_pos_embed": None,
    "decoder_pred": None,
}


def from_authors(state: State, config: Any) -> dict[str, Tensor]:
    """Convert the authors' `HiViT`, which has blocks and merges in one list."""
    renamed = rename({key: tensor for key, tensor in state.items() if not key.endswith("position_index")}, ENDS)
    places = block_names(config.depths)
    converted: dict[str, Tensor] = {}
    for key, tensor in renamed.items():
        if key.startswith("blocks."):
            _, number, rest = key.split(".", 2)
            key = f"{places[int(number)]}.{rest}" if int(number) < len(places) else key
        converted[key] = tensor
    return converted


def block_names(depths: tuple[int, int, int]) -> list[str]:
    """Our names of the authors' ``blocks.0``, ``blocks.1``, ..."""
    first, second, main = depths
    return [
        *(f"stem.0.{index}" for index in range(2 * first)),
        "merges.0",
        *(f"stem.1.{index}" for index in range(2 * second)),
        "merges.1",
        *(f"main.{index}" for index in range(main)),
    ]


FORMATS = {"authors'": CheckpointFormat("absolute_pos_embed", from_authors)}
"""Layout -> how to recognise and convert it."""
