"""From the layouts in which ConvNeXts are published to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, huggingface_classes, rename, require_value

__all__ = ["FORMATS", "config_from_huggingface"]

AUTHORS: dict[str, str | None] = {
    "downsample_layers.0.0": "stem.conv",
    "downsample_layers.0.1": "stem.norm",
    "downsample_layers.{}.0": "downsamples.{}.norm",
    "downsample_layers.{}.1": "downsamples.{}.conv",
    "stages.{}.{}.pwconv1": "stages.{}.{}.fc1",
    "stages.{}.{}.pwconv2": "stages.{}.{}.fc2",
    "stages.{}.{}.gamma": "stages.{}.{}.ls.gamma",
    "stages.{}.{}.grn.gamma": "stages.{}.{}.grn.weight",
    "stages.{}.{}.grn.beta": "stages.{}.{}.grn.bias",
}
"""Keys of both of the authors' versions -> ours; what is not listed has the same name."""

TIMM: dict[str, str | None] = {
    "stem.0": "stem.conv",
    "stem.1": "stem.norm",
    "stages.{}.downsample.0": "downsamples.{}.norm",
    "stages.{}.downsample.1": "downsamples.{}.conv",
    "stages.{}.blocks.{}.conv_dw": "stages.{}.{}.dwconv",
    "stages.{}.blocks.{}.norm": "stages.{}.{}.norm",
    "stages.{}.blocks.{}.gamma": "stages.{}.{}.ls.gamma",
    "stages.{}.blocks.{}.mlp": "stages.{}.{}",
    "head.norm": "norm",
    "head.fc": "head",
}
"""timm's keys -> ours."""

TORCHVISION: dict[str, str | None] = {
    "features.0.0": "stem.conv",
    "features.0.1": "stem.norm",
    **{f"features.{2 * s}.0": f"downsamples.{s}.norm" for s in (1, 2, 3)},
    **{f"features.{2 * s}.1": f"downsamples.{s}.conv" for s in (1, 2, 3)},
    **{
        f"features.{2 * s + 1}.{{}}.{theirs}": f"stages.{s}.{{}}.{ours}"
        for s in (0, 1, 2, 3)
        for theirs, ours in {
            "block.0": "dwconv",
            "block.2": "norm",
            "block.3": "fc1",
            "block.5": "fc2",
            "layer_scale": "ls.gamma",
        }.items()
    },
    "classifier.0": "norm",
    "classifier.2": "head",
}
"""torchvision's keys -> ours."""

BACKBONE: dict[str, str | None] = {
    "embeddings.patch_embeddings": "stem.conv",
    "embeddings.layernorm": "stem.norm",
    "encoder.stages.{}.downsampling_layer.0": "downsamples.{}.norm",
    "encoder.stages.{}.downsampling_layer.1": "downsamples.{}.conv",
    **{
        f"encoder.stages.{{}}.layers.{{}}.{theirs}": f"stages.{{}}.{{}}.{ours}"
        for theirs, ours in {
            "dwconv": "dwconv",
            "layernorm": "norm",
            "pwconv1": "fc1",
            "grn": "grn",
            "pwconv2": "fc2",
            "layer_scale_parameter": "ls.gamma",
        }.items()
    },
    "layernorm": "norm",
}
"""Keys of transformers' ConvNextModel and ConvNextV2Model -> ours."""


def from_authors(state: State, config: Any) -> dict[str, Tensor]:
    """Convert the authors' checkpoints, of either version."""
    return finished(rename(state, AUTHORS), config)


def from_timm(state: State, config: Any) -> dict[str, Tensor]:
    """Convert timm's ConvNeXt."""
    return finished(rename(state, TIMM), config)


def from_torchvision(state: State, config: Any) -> dict[str, Tensor]:
    """Convert torchvision's ConvNeXt."""
    return finished(rename(state, TORCHVISION), config)


def from_transformers(state: State, config: Any) -> dict[str, Tensor]:
    """Convert transformers' ConvNext and ConvNextV2, for classification or bare."""
    prefixes = ("convnext.", "convnextv2.")
    table = {f"{prefix}{theirs}": ours for prefix in prefixes for theirs, ours in BACKBONE.items()}
    return finished(rename(state, {**table, **BACKBONE, "classifier": "head"}), config)


def finished(state: State, config: Any) -> dict[str, Tensor]:
    """Give tensors the shapes that they have here, and a headless model its last norm.

    Sources keep LayerScale as (C, 1, 1), GRN as (1, 1, 1, C) and the linear layers of small models as 1x1 convolutions.
    Weights that were only pre-trained (FCMAE) have no last norm, which then is the identity.
    """
    shaped = {key: tensor.flatten(1) if is_pointwise(key, tensor) else tensor for key, tensor in state.items()}
    shaped = {key: tensor.flatten() if is_per_channel(key) else tensor for key, tensor in shaped.items()}
    if config.num_classes == 0:
        shaped.setdefault("norm.weight", torch.ones(config.widths[-1]))
        shaped.setdefault("norm.bias", torch.zeros(config.widths[-1]))
    return shaped


def is_pointwise(key: str, tensor: Tensor) -> bool:
    """Whether this is the weight of a linear layer, stored as a 1x1 convolution."""
    return key.endswith((".fc1.weight", ".fc2.weight")) and tensor.ndim == 4


def is_per_channel(key: str) -> bool:
    """Whether this has one number per channel, whatever its shape."""
    return key.endswith((".ls.gamma", ".grn.weight", ".grn.bias"))


FORMATS = {
    "timm": CheckpointFormat("stages.0.blocks.0.conv_dw.weight", from_timm),
    "torchvision": CheckpointFormat("features.1.0.block.0.weight", from_torchvision),
    "transformers": CheckpointFormat("encoder.stages.0.layers.0.dwconv.weight", from_transformers),
    "authors": CheckpointFormat("downsample_layers.0.0.weight", from_authors),
}


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the ``config.json`` of transformers' ConvNext or ConvNextV2.

    Raises:
        ConfigError: a setting that a `ConvNeXtConfig` cannot say.
    """
    for key, only in {"hidden_act": "gelu", "num_channels": 3, "patch_size": 4}.items():
        require_value(described, key, only)
    second = described["model_type"] == "convnextv2"
    return {
        "depths": tuple(described.get("depths") or (3, 3, 9, 3)),
        "widths": tuple(described.get("hidden_sizes") or (96, 192, 384, 768)),
        "grn": second,
        "layer_scale": None if second else described.get("layer_scale_init_value", 1e-6) or None,
        "final_norm_eps": described.get("layer_norm_eps", 1e-12),
        "drop_path": described.get("drop_path_rate", 0.0),
        "num_classes": huggingface_classes(described),
    }
