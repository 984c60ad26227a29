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
from nexus.models.cv.swin_transformer.model_v2 import SwinTransformerV2Config

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
            "attention.self.continuous_position_bias_mlp": "attn.cpb_mlp",
            "attention.self": "attn",
            "attention.output.dense": "attn.proj",
            "intermediate.dense": "mlp.fc1",
            "output.dense": "mlp.fc2",
            # in memory, transformers 5 has other names for V1 than in its files
            "attention.q_proj": "attn.q",
            "attention.k_proj": "attn.k",
            "attention.v_proj": "attn.v",
            "attention.o_proj": "attn.proj",
            "attention.relative_position_bias": "attn",
            "mlp": "mlp",
        }.items()
    },
    "layernorm": "norm",
    "classifier": "head",
}

ATTENTION: Table = {
    f"stages.{{}}.{{}}.{theirs}": f"stages.{{}}.{{}}.{ours}" if ours else None
    for theirs, ours in {
        "attn.relative_position_bias_table": "attn.positions.table",
        "attn.cpb_mlp.0": "attn.positions.fc1",
        "attn.cpb_mlp.2": "attn.positions.fc2",
        "attn.q.bias": "attn.q_bias",
        "attn.v.bias": "attn.v_bias",
        # computed, not learned
        "attn.k_bias": None,
        "attn.relative_position_index": None,
        "attn.relative_coords_table": None,
        "attn_mask": None,
    }.items()
}
"""What is named alike in all layouts."""


def from_transformers(state: State, _config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert `SwinModel`, `Swinv2Model` and their classifiers."""
    plain = strip_prefix(strip_prefix(state, "swin."), "swinv2.")
    return rename(fuse_qkv(rename(plain, TRANSFORMERS), "stages.{}.{}.attn"), ATTENTION)


def from_authors(state: State, _config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert the authors' layout: a stage ends by merging patches."""
    table: Table = {"layers.{}.downsample": "merges.{}", "layers.{}.blocks.{}": "stages.{}.{}"}
    return rename(rename(strip_prefix(state, "model."), {**table, "patch_embed.norm": "patch_norm"}), ATTENTION)


def from_timm(state: State, config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert timm's layout: a stage starts by merging patches."""
    table: Table = {f"layers.{stage + 1}.downsample": f"merges.{stage}" for stage in range(len(config.depths) - 1)}
    table |= {"layers.{}.blocks.{}": "stages.{}.{}", "patch_embed.norm": "patch_norm", "head.fc": "head"}
    return rename(rename(state, table), ATTENTION)


def from_torchvision(state: State, config: SwinTransformerConfig) -> dict[str, Tensor]:
    """Convert torchvision's layout: one sequence of the patch embedding, stages and merges."""
    table: Table = {"features.0.0": "patch_embed.proj", "features.0.2": "patch_norm"}
    for stage in range(len(config.depths)):
        place = 2 * stage + 1
        table |= {
            f"features.{place}.{{}}.mlp.0": f"stages.{stage}.{{}}.mlp.fc1",
            f"features.{place}.{{}}.mlp.3": f"stages.{stage}.{{}}.mlp.fc2",
            f"features.{place}.{{}}": f"stages.{stage}.{{}}",
            f"features.{place + 1}": f"merges.{stage}",
        }
    renamed = rename(rename(state, table), ATTENTION)
    return without_key_bias(renamed) if isinstance(config, SwinTransformerV2Config) else renamed


def without_key_bias(state: State) -> dict[str, Tensor]:
    """Split the biases of V2's projections; torchvision stores one for the keys too, and sets it to zero when used."""
    split = dict(state)
    for key in state:
        if key.endswith(".qkv.bias"):
            attention = key.removesuffix("qkv.bias")
            split[f"{attention}q_bias"], _, split[f"{attention}v_bias"] = split.pop(key).chunk(3)
    return split


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embeddings.projection.weight", from_transformers),
    "torchvision": CheckpointFormat("features.0.0.weight", from_torchvision),
    "microsoft": CheckpointFormat("layers.0.downsample.reduction.weight", from_authors),
    "timm": CheckpointFormat("layers.1.downsample.reduction.weight", from_timm),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model types ``swin`` and ``swinv2``.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    require_value(described, "hidden_act", "gelu")
    require_value(described, "use_absolute_embeddings", False)
    config = {
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
    if described["model_type"] == "swinv2":
        config["image_size"] = square_side(described, "image_size")
        config["pretrained_window_sizes"] = pretrained_window_sizes(described)
    return config


def pretrained_window_sizes(described: Mapping[str, Any]) -> tuple[int, ...]:
    """Read the windows of the pre-training; transformers' default is four zeros, however many stages there are."""
    sizes = tuple(described.get("pretrained_window_sizes", ()))
    return sizes if any(sizes) else ()
