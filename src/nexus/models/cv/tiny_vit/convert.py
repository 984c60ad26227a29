"""From the layouts in which TinyViTs are published to ours."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename, with_batch_counts
from nexus.models.cv.tiny_vit.model import TinyViTConfig

__all__ = ["FORMATS"]

Table = dict[str, str | None]

CONV_BLOCK = {"conv1": "expand", "conv2": "depthwise", "conv3": "project"}
BLOCK = {"attn.norm": "norm1", "mlp.norm": "norm2"}

TIMM: Table = {
    "patch_embed.conv1": "stem.conv1",
    "patch_embed.conv2": "stem.conv2",
    **{f"stages.0.blocks.{{}}.{theirs}": f"stages.0.{{}}.{ours}" for theirs, ours in CONV_BLOCK.items()},
    **{f"stages.{{}}.blocks.{{}}.{theirs}": f"stages.{{}}.{{}}.{ours}" for theirs, ours in BLOCK.items()},
    "stages.{}.blocks.{}": "stages.{}.{}",
    **{f"stages.{stage + 1}.downsample": f"merges.{stage}" for stage in range(8)},
    "head.norm": "norm",
    "head.fc": "head",
}
"""timm's keys -> ours."""

MICROSOFT: Table = {
    "patch_embed.seq.0": "patch_embed.conv1",
    "patch_embed.seq.2": "patch_embed.conv2",
    **{f"layers.{stage}.downsample": f"stages.{stage + 1}.downsample" for stage in range(8)},
    "layers.{}": "stages.{}",
    "norm_head": "head.norm",
    "head": "head.fc",
}
"""The authors' keys -> timm's."""


def from_timm(state: State, config: TinyViTConfig) -> dict[str, Tensor]:
    """Convert timm's TinyVit."""
    converted = {key: tensor for key, tensor in state.items() if not key.endswith("attention_bias_idxs")}
    converted = with_batch_counts(rename(converted, TIMM))
    for key, tensor in converted.items():
        if match := re.fullmatch(r"stages\.(\d+)\.\d+\.attn\.qkv\.(weight|bias)", key):
            converted[key] = heads_inside(tensor, config.num_heads[int(match[1])])
    return converted


def heads_inside(qkv: Tensor, heads: int) -> Tensor:
    """Put the queries of all heads first, then all keys, then all values; theirs lie head by head."""
    return qkv.reshape(heads, 3, -1, *qkv.shape[1:]).transpose(0, 1).reshape(qkv.shape)


def from_microsoft(state: State, config: TinyViTConfig) -> dict[str, Tensor]:
    """Convert the authors' TinyViT."""
    named = {re.sub(r"\.c\.weight$", ".conv.weight", key): tensor for key, tensor in state.items()}
    return from_timm(rename(named, MICROSOFT), config)


def from_onnx(state: State, config: TinyViTConfig) -> dict[str, Tensor]:
    """Convert an ONNX export of timm's model.

    The exporter folded each batch norm into the convolution before it, whose name was lost; the convolutions stand in
    the order in which they run. The norms become ones that only add the bias.
    """
    named = {key.replace("stages.stages", "stages").replace("blocks.blocks", "blocks"): state[key] for key in state}
    nameless = [key for key in named if re.fullmatch(r"onnx::Conv_\d+", key)]
    nameless.sort(key=lambda key: int(key.rpartition("_")[2]))
    for place, weight, bias in zip(convolutions(config), nameless[::2], nameless[1::2]):
        named |= unfolded(place, named.pop(weight), named.pop(bias))
    return from_timm(named, config)


def convolutions(config: TinyViTConfig) -> list[str]:
    """List timm's names of the convolutions in the order in which they run."""
    places = ["patch_embed.conv1", "patch_embed.conv2"]
    for stage, depth in enumerate(config.depths):
        places += [f"stages.{stage}.downsample.conv{number}" for number in (1, 2, 3) if stage]
        layers = ("local_conv",) if stage else CONV_BLOCK
        places += [f"stages.{stage}.blocks.{block}.{layer}" for block in range(depth) for layer in layers]
    return places


def unfolded(place: str, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """A convolution with a bias, as one without and a batch norm."""
    ones = torch.ones_like(bias)
    norm: dict[str, Any] = {"weight": ones, "bias": bias, "running_mean": 0 * ones, "running_var": ones - 1e-5}
    return {f"{place}.conv.weight": weight, **{f"{place}.bn.{name}": tensor for name, tensor in norm.items()}}


FORMATS = {
    "onnx": CheckpointFormat("stages.stages.1.blocks.blocks.0.attn.qkv.weight", from_onnx),
    "timm": CheckpointFormat("patch_embed.conv1.conv.weight", from_timm),
    "microsoft": CheckpointFormat("patch_embed.seq.0.c.weight", from_microsoft),
}
"""Layout -> how to recognise and convert it."""
