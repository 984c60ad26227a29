"""Checkpoints of hybrid ViTs in other layouts, and Hugging Face configs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.errors import ConfigError
from nexus.models import plain_vit
from nexus.models.conversion import CheckpointFormat, State, rename, require_value
from nexus.models.cv.vit_hybrid.model import HybridViTConfig

__all__ = ["FORMATS", "config_from_huggingface"]

BIT = "embeddings.patch_embeddings.backbone.bit"

TRANSFORMERS: dict[str, str | None] = {
    f"{BIT}.embedder.convolution": "stem.conv",
    f"{BIT}.embedder.norm": "stem.norm",
    f"{BIT}.encoder.stages.{{}}.layers.{{}}": "stages.{}.{}",
}

TIMM: dict[str, str | None] = {
    "patch_embed.backbone.stem": "stem",
    "patch_embed.backbone.stages.{}.blocks.{}": "stages.{}.{}",
    # a root alone has no name of its own
    "patch_embed.backbone.conv": "stem.conv",
    "patch_embed.backbone.norm": "stem.norm",
    "pre_logits": None,  # a tanh layer between the class token and the head of pre-training
}

FLAX: dict[str, str | None] = {
    "conv_root": "stem.conv",
    "gn_root": "stem.norm",
    **{f"stages.{{}}.{{}}.gn{n}": f"stages.{{}}.{{}}.norm{n}" for n in (1, 2, 3)},
    "stages.{}.{}.conv_proj": "stages.{}.{}.downsample.conv",
    "stages.{}.{}.gn_proj": "stages.{}.{}.downsample.norm",
}


def from_transformers(state: State, _config: HybridViTConfig) -> dict[str, Tensor]:
    """Convert `ViTHybridModel` and `ViTHybridForImageClassification`."""
    return plain_vit.from_transformers(state, TRANSFORMERS)


def from_timm(state: State, _config: HybridViTConfig) -> dict[str, Tensor]:
    """Convert timm's layout, in which the ResNet is part of the patch embedding."""
    return rename(state, TIMM)


def from_flax(state: State, _config: HybridViTConfig) -> dict[str, Tensor]:
    """Convert the authors' ``.npz`` files, which count blocks and units from 1."""
    counted = {
        re.sub(r"^block(\d+)/unit(\d+)/", lambda m: f"stages/{int(m[1]) - 1}/{int(m[2]) - 1}/", key): tensor
        for key, tensor in state.items()
    }
    return plain_vit.from_flax(counted, FLAX)


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embeddings.projection.weight", from_transformers),
    "flax": CheckpointFormat("Transformer/posembed_input/pos_embedding", from_flax),
    "timm": CheckpointFormat("patch_embed.proj.weight", from_timm),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model type ``vit-hybrid``.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    resnet = described["backbone_config"] or {}
    require_value(resnet, "model_type", "bit")
    require_value(resnet, "layer_type", "bottleneck")
    require_value(resnet, "hidden_act", "relu")
    require_value(resnet, "embedding_dynamic_padding", True)
    require_value(resnet, "width_factor", 1)
    if str(resnet.get("global_padding")).upper() != "SAME":
        raise ConfigError(f"global_padding = {resnet.get('global_padding')!r} in config.json; only 'SAME' is supported")
    depths, root = tuple(resnet["depths"]), resnet.get("embedding_size", 64)
    require_value(resnet, "out_features", [f"stage{len(depths)}"])
    require_value(resnet, "hidden_sizes", [4 * root * 2**s for s in range(max(4, len(depths)))])
    return {
        **plain_vit.config_from_transformers(described),
        # positions are stored for the grid that is described, whatever image_size says
        "image_size": described["backbone_featmap_shape"][-1] * 4 * 2 ** (len(depths) - 1),
        "depths": depths,
        "root_width": root,
        "groups": resnet.get("num_groups", 32),
    }
