"""Checkpoints of DiNAT in other layouts, and Hugging Face configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.models.conversion import (
    CheckpointFormat,
    State,
    fuse_qkv,
    huggingface_classes,
    rename,
    require_value,
    strip_prefix,
)

__all__ = ["FORMATS", "config_from_huggingface"]

AUTHORS: dict[str, str | None] = {
    "patch_embed.proj.0": "patch_embed.conv1",
    "patch_embed.proj.1": "patch_embed.conv2",
    "levels.{}.blocks.{}.mlp": "stages.{}.{}",
    "levels.{}.blocks.{}.gamma1": "stages.{}.{}.ls1.gamma",
    "levels.{}.blocks.{}.gamma2": "stages.{}.{}.ls2.gamma",
    "levels.{}.blocks.{}": "stages.{}.{}",
    "levels.{}.downsample.reduction": "downsamples.{}.conv",
    "levels.{}.downsample.norm": "downsamples.{}.norm",
}

TRANSFORMERS: dict[str, str | None] = {
    "embeddings.patch_embeddings.projection.0": "patch_embed.conv1",
    "embeddings.patch_embeddings.projection.1": "patch_embed.conv2",
    "embeddings.norm": "patch_embed.norm",
    "encoder.levels.{}.layers.{}.layernorm_before": "stages.{}.{}.norm1",
    "encoder.levels.{}.layers.{}.attention.self.rpb": "stages.{}.{}.attn.rpb",
    "encoder.levels.{}.layers.{}.attention.self.query": "stages.{}.{}.attn.q",
    "encoder.levels.{}.layers.{}.attention.self.key": "stages.{}.{}.attn.k",
    "encoder.levels.{}.layers.{}.attention.self.value": "stages.{}.{}.attn.v",
    "encoder.levels.{}.layers.{}.attention.output.dense": "stages.{}.{}.attn.proj",
    "encoder.levels.{}.layers.{}.layernorm_after": "stages.{}.{}.norm2",
    "encoder.levels.{}.layers.{}.intermediate.dense": "stages.{}.{}.fc1",
    "encoder.levels.{}.layers.{}.output.dense": "stages.{}.{}.fc2",
    "encoder.levels.{}.downsample.reduction": "downsamples.{}.conv",
    "encoder.levels.{}.downsample.norm": "downsamples.{}.norm",
    "layernorm": "norm",
    "classifier": "head",
}


def from_authors(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert the authors' `NAT` and `DiNAT`."""
    return rename(state, AUTHORS)


def from_transformers(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert `DinatModel` and `DinatForImageClassification`, which keep both LayerScales in one tensor."""
    split: dict[str, Tensor] = {}
    for key, tensor in rename(strip_prefix(state, "dinat."), TRANSFORMERS).items():
        if key.endswith(".layer_scale_parameters"):
            stem = key.replace("encoder.levels.", "stages.").replace(".layers.", ".")
            for index, scale in enumerate(tensor.unbind(0), start=1):
                split[stem.replace("layer_scale_parameters", f"ls{index}.gamma")] = scale
        else:
            split[key] = tensor
    return fuse_qkv(split, "stages.{}.{}.attn")


FORMATS = {
    "transformers": CheckpointFormat("encoder.levels.0.layers.0.attention.self.rpb", from_transformers),
    "authors'": CheckpointFormat("levels.0.blocks.0.attn.rpb", from_authors),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model type ``dinat`` (of ``nat``, where no block is dilated).

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    require_value(described, "hidden_act", "gelu")
    require_value(described, "patch_size", 4)
    depths = tuple(described["depths"])
    return {
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "embed_dim": described["embed_dim"],
        "depths": depths,
        "num_heads": tuple(described["num_heads"]),
        "kernel_size": described["kernel_size"],
        "dilations": tuple(map(tuple, described.get("dilations") or [[1] * depth for depth in depths])),
        "mlp_ratio": described["mlp_ratio"],
        "qkv_bias": described["qkv_bias"],
        "layer_scale": described["layer_scale_init_value"],
        "drop_path": described["drop_path_rate"],
        "dropout": described["hidden_dropout_prob"],
        "attention_dropout": described["attention_probs_dropout_prob"],
        "layer_norm_eps": described["layer_norm_eps"],
    }
