"""Checkpoints of Swin Transformers in other layouts, and Hugging Face configs."""

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
    square_side,
    strip_prefix,
)
from nexus.models.cv.swin_transformer.model import SwinTransformerConfig

__all__ = ["FORMATS", "config_from_huggingface"]

Table = dict[str, str | None]

TRANSFORMERS: Table = {
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.norm": "patch_norm",
    "encoder.layers.{}.downsample": "merges.{}",
    **{
        f"encoder.layers.{{}}.blocks.{{}}.{theirs}": f"stages.{{}}.{{}}.{ours}"
        for theirs, ours in {
            "layernorm_before": "norm1",
            "layernorm_after": "norm2",
            "attention.self.query": "attn.q",
            "attention.self.key": "attn.k",
            "attention.self.value": "attn.v",
            "attention.self.relative_position_bias_table": "attn.relative_position_bias_table",
            "attention.output.dense": "attn.proj",
            "intermediate.dense": "mlp.fc1",
            "output.dense": "mlp.fc2",
            # in memory, transformers 5 has other names than in its files
            "attention.q_proj": "attn.q",
            "attention.k_proj": "attn.k",
            "attention.v_proj": "attn.v",
            "attention.o_proj": "attn.proj",
            "attention.relative_position_bias.relative_position_bias_table": "attn.relative_position_bias_table",
            "mlp": "mlp",
        }.items()
    },
    "encoder.layers.{}.blocks.{}.attention.self.relative_position_index": None,
    "layernorm": "norm",
    "classifier": "head",
}

AUTHORS: Table = {
    "patch_embed.norm": "patch_norm",
    "layers.{}.blocks.{}.attn_mask": None,
    "layers.{}.blocks.{}.attn.relative_position_index": None,
    "layers.{}.blocks.{}": "stages.{}.{}",
}
"""What microsoft/Swin-Transformer and timm have alike."""


def from_transformers(state: State, _config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert `SwinModel`, `SwinForImageClassification`, and the older files that hold position indices."""
    return fuse_qkv(rename(strip_prefix(state, "swin."), TRANSFORMERS), "stages.{}.{}.attn")


def from_authors(state: State, _config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert the authors' layout: a stage ends by merging patches."""
    return rename(strip_prefix(state, "model."), {"layers.{}.downsample": "merges.{}", **AUTHORS})


def from_timm(state: State, config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert timm's layout: a stage starts by merging patches."""
    later = range(1, len(config.depths))
    merges: Table = {f"layers.{stage}.downsample": f"merges.{stage - 1}" for stage in later}
    return rename(state, {**merges, "head.fc": "head", **AUTHORS})


def from_torchvision(state: State, config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert torchvision's layout: one sequence of the patch embedding, stages and merges."""
    table: Table = {"features.0.0": "patch_embed.proj", "features.0.2": "patch_norm"}
    for stage in range(len(config.depths)):
        place = 2 * stage + 1
        table |= {
            f"features.{place}.{{}}.mlp.0": f"stages.{stage}.{{}}.mlp.fc1",
            f"features.{place}.{{}}.mlp.3": f"stages.{stage}.{{}}.mlp.fc2",
            f"features.{place}.{{}}.attn.relative_position_index": None,
            f"features.{place}.{{}}": f"stages.{stage}.{{}}",
            f"features.{place + 1}": f"merges.{stage}",
        }
    return rename(state, table)


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embeddings.projection.weight", from_transformers),
    "torchvision": CheckpointFormat("features.0.0.weight", from_torchvision),
    "microsoft": CheckpointFormat("layers.0.downsample.reduction.weight", from_authors),
    "timm": CheckpointFormat("layers.1.downsample.reduction.weight", from_timm),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model type ``swin``.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    require_value(described, "hidden_act", "gelu")
    require_value(described, "use_absolute_embeddings", False)
    return {
        "patch_size": square_side(described, "patch_size"),
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "embed_dim": described["embed_dim"],
        "depths": tuple(described["depths"]),
        "num_heads": tuple(described["num_heads"]),
        "window_size": described["window_size"],
        "mlp_ratio": described["mlp_ratio"],
        "qkv_bias": described["qkv_bias"],
        "drop_path": described["drop_path_rate"],
        "dropout": described["hidden_dropout_prob"],
        "attention_dropout": described["attention_probs_dropout_prob"],
        "layer_norm_eps": described["layer_norm_eps"],
    }
