"""Checkpoints of CvT in other layouts, and configs of transformers and of the authors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.models.conversion import (
    CheckpointFormat,
    State,
    huggingface_classes,
    rename,
    strip_prefix,
    with_batch_counts,
)

__all__ = ["FORMATS", "config_from_huggingface", "config_from_spec"]

LAYER = "encoder.stages.{}.layers.{}"
ATTENTION = f"{LAYER}.attention.attention"

TRANSFORMERS: dict[str, str | None] = {
    "encoder.stages.{}.embedding.convolution_embeddings.projection": "stages.{}.proj",
    "encoder.stages.{}.embedding.convolution_embeddings.normalization": "stages.{}.norm",
    "encoder.stages.{}.cls_token": "stages.{}.cls_token",
    **{
        f"{ATTENTION}.convolution_projection_{name}.convolution_projection.{theirs}": (
            f"stages.{{}}.blocks.{{}}.attn.conv_{name[0]}.{ours}"
        )
        for name in ("query", "key", "value")
        for theirs, ours in {"convolution": "conv", "normalization": "bn"}.items()
    },
    **{
        f"{ATTENTION}.projection_{name}": f"stages.{{}}.blocks.{{}}.attn.{name[0]}"
        for name in ("query", "key", "value")
    },
    f"{LAYER}.attention.output.dense": "stages.{}.blocks.{}.attn.proj",
    f"{LAYER}.intermediate.dense": "stages.{}.blocks.{}.mlp.fc1",
    f"{LAYER}.output.dense": "stages.{}.blocks.{}.mlp.fc2",
    f"{LAYER}.layernorm_before": "stages.{}.blocks.{}.norm1",
    f"{LAYER}.layernorm_after": "stages.{}.blocks.{}.norm2",
    "layernorm": "norm",
    "classifier": "head",
}

AUTHORS: dict[str, str | None] = {
    "stage{}.patch_embed.proj": "stages.{}.proj",
    "stage{}.patch_embed.norm": "stages.{}.norm",
    **{f"stage{{}}.blocks.{{}}.attn.conv_proj_{part}": f"stages.{{}}.blocks.{{}}.attn.conv_{part}" for part in "qkv"},
    **{f"stage{{}}.blocks.{{}}.attn.proj_{part}": f"stages.{{}}.blocks.{{}}.attn.{part}" for part in "qkv"},
    "stage{}": "stages.{}",
}


def from_transformers(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert `CvtForImageClassification`."""
    return with_batch_counts(rename(strip_prefix(state, "cvt."), TRANSFORMERS))


def from_authors(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert the authors' `ConvolutionalVisionTransformer`."""
    return with_batch_counts(rename(state, AUTHORS))


FORMATS = {
    "transformers": CheckpointFormat(
        "encoder.stages.0.embedding.convolution_embeddings.projection.weight", from_transformers
    ),
    "authors'": CheckpointFormat("stage0.patch_embed.proj.weight", from_authors),
}
"""Layout -> how to recognise and convert it."""

SPEC = {
    "PATCH_SIZE": "patch_size",
    "PATCH_STRIDE": "patch_stride",
    "PATCH_PADDING": "patch_padding",
    "DIM_EMBED": "embed_dim",
    "DEPTH": "depth",
    "NUM_HEADS": "num_heads",
    "MLP_RATIO": "mlp_ratio",
    "QKV_BIAS": "qkv_bias",
    "CLS_TOKEN": "class_token",
    "QKV_PROJ_METHOD": "projection",
    "KERNEL_QKV": "kernel_size",
    "STRIDE_Q": "stride_q",
    "STRIDE_KV": "stride_kv",
    "PADDING_Q": "padding_q",
    "PADDING_KV": "padding_kv",
    "DROP_PATH_RATE": "drop_path",
    "DROP_RATE": "dropout",
    "ATTN_DROP_RATE": "attention_dropout",
}
"""Keys of the authors' spec -> ours, per stage."""

HUGGINGFACE = {
    "patch_sizes": "patch_size",
    "patch_stride": "patch_stride",
    "patch_padding": "patch_padding",
    "embed_dim": "embed_dim",
    "depth": "depth",
    "num_heads": "num_heads",
    "mlp_ratio": "mlp_ratio",
    "qkv_bias": "qkv_bias",
    "cls_token": "class_token",
    "qkv_projection_method": "projection",
    "kernel_qkv": "kernel_size",
    "stride_q": "stride_q",
    "stride_kv": "stride_kv",
    "padding_q": "padding_q",
    "padding_kv": "padding_kv",
    "drop_path_rate": "drop_path",
    "drop_rate": "dropout",
    "attention_drop_rate": "attention_dropout",
}
"""Keys of transformers' config -> ours, per stage."""


def config_from_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the ``SPEC`` of the authors' experiments, a dict of lists with one value per stage.

    Raises:
        KeyError: the spec lacks a key of `SPEC`.
    """
    return {"stages": _by_stage(spec, SPEC)}


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model type ``cvt``, which has the exact GELU."""
    return {
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "stages": _by_stage(described, HUGGINGFACE),
        "activation": "gelu",
    }


def _by_stage(described: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    columns = {ours: described[theirs] for theirs, ours in names.items()}
    return [dict(zip(columns, values)) for values in zip(*columns.values(), strict=True)]
