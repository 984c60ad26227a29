"""Checkpoints of DeiT in other layouts, and Hugging Face configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nexus.models import plain_vit
from nexus.models.conversion import CheckpointFormat, State
from nexus.models.cv.deit.model import DeiTConfig

__all__ = ["FORMATS", "config_from_huggingface"]

TRANSFORMERS: dict[str, str | None] = {
    "embeddings.distillation_token": "dist_token",
    "cls_classifier": "head",
    "distillation_classifier": "head_dist",
}


def from_transformers(state: State, config: DeiTConfig) -> dict[str, Tensor]:
    """Convert `DeiTModel` and its classifiers; without distillation, `ViTModel` and its classifier."""
    return average_heads(plain_vit.from_transformers(state, TRANSFORMERS), config)


def from_timm(state: State, config: DeiTConfig) -> dict[str, Tensor]:
    """Convert the layout of timm and of the authors, whose names are ours, but for the second head."""
    return average_heads(state, config)


def average_heads(state: State, config: DeiTConfig) -> dict[str, Tensor]:
    """Make one linear layer on both tokens of the two heads on one token each, whose answers are averaged.

    transformers also has a classifier that reads the class token alone; the other token's half is zero then.
    """
    ours = dict(state)
    if not config.distilled or "head.weight" not in ours:
        return ours
    weight = ours["head.weight"]
    if "head_dist.weight" in ours:
        ours["head.weight"] = torch.cat([weight, ours.pop("head_dist.weight")], dim=1) / 2
        ours["head.bias"] = (ours["head.bias"] + ours.pop("head_dist.bias")) / 2
    elif weight.shape[1] == config.embed_dim:
        ours["head.weight"] = torch.cat([weight, torch.zeros_like(weight)], dim=1)
    return ours


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embeddings.projection.weight", from_transformers),
    "timm": CheckpointFormat("patch_embed.proj.weight", from_timm),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model type ``deit``, which has the distillation token always.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    return {**plain_vit.config_from_transformers(described), "distilled": True}
