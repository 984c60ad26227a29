"""Checkpoints of MobileViT and MobileViTv2 in other layouts, and Hugging Face configs."""

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
    with_batch_counts,
)

__all__ = ["FORMATS", "config_from_huggingface"]

CONV = {"convolution": "conv", "normalization": "bn"}
RESIDUAL = {"expand_1x1": "expand", "conv_3x3": "depthwise", "reduce_1x1": "project"}

TRANSFORMERS: dict[str, str | None] = {
    **{f"conv_stem.{theirs}": f"stem.{ours}" for theirs, ours in CONV.items()},
    **{f"conv_1x1_exp.{theirs}": f"top.{ours}" for theirs, ours in CONV.items()},
    **{
        f"encoder.layer.{{}}.{place}.{part}.{theirs}": f"stages.{{}}.{block}.{name}.{ours}"
        for place, block in {"layer.{}": "{}", "downsampling_layer": "0"}.items()
        for part, name in RESIDUAL.items()
        for theirs, ours in CONV.items()
    },
    **{
        f"encoder.layer.{{}}.{part}.{theirs}": f"stages.{{}}.1.{name}.{ours}"
        for part, name in {"conv_kxk": "local", "conv_projection": "project", "fusion": "fuse"}.items()
        for theirs, ours in CONV.items()
    },
    "encoder.layer.{}.conv_1x1.convolution": "stages.{}.1.expand",
    "encoder.layer.{}.layernorm": "stages.{}.1.norm",
    **{
        f"encoder.layer.{{}}.transformer.layer.{{}}.{theirs}": f"stages.{{}}.1.transformer.{{}}.{ours}"
        for theirs, ours in {
            "attention.attention.query": "attn.q",
            "attention.attention.key": "attn.k",
            "attention.attention.value": "attn.v",
            "attention.output.dense": "attn.proj",
            "intermediate.dense": "mlp.fc1",
            "output.dense": "mlp.fc2",
            "layernorm_before": "norm1",
            "layernorm_after": "norm2",
            # MobileViTv2
            "attention.qkv_proj.convolution": "attn.qkv",
            "attention.out_proj.convolution": "attn.proj",
            "ffn.conv1.convolution": "fc1",
            "ffn.conv2.convolution": "fc2",
        }.items()
    },
    "classifier": "head",
}

TIMM: dict[str, str | None] = {
    **{
        f"stages.{{}}.{{}}.{theirs}": f"stages.{{}}.{{}}.{ours}"
        for theirs, ours in {
            "conv1_1x1": "expand",
            "conv2_kxk": "depthwise",
            "conv3_1x1": "project",
            "conv_kxk": "local",
            "conv_1x1": "expand",
            "conv_proj": "project",
            "conv_fusion": "fuse",
            # MobileViTv2
            "transformer.{}.attn.qkv_proj": "transformer.{}.attn.qkv",
            "transformer.{}.attn.out_proj": "transformer.{}.attn.proj",
        }.items()
    },
    "final_conv": "top",
    "head.fc": "head",
}

AUTHORS: dict[str, str | None] = {
    **{f"conv_1.block.{theirs}": f"stem.{ours}" for theirs, ours in {"conv": "conv", "norm": "bn"}.items()},
    **{f"conv_1x1_exp.block.{theirs}": f"top.{ours}" for theirs, ours in {"conv": "conv", "norm": "bn"}.items()},
    **{
        f"layer_{{}}.{{}}.{part}.block.{theirs}": f"stages.{{}}.{{}}.{name}.{ours}"
        for part, name in {
            "block.exp_1x1": "expand",
            "block.conv_3x3": "depthwise",
            "block.red_1x1": "project",
            "local_rep.conv_3x3": "local",
            "local_rep.0": "local",
            "conv_proj": "project",
            "fusion": "fuse",
        }.items()
        for theirs, ours in {"conv": "conv", "norm": "bn"}.items()
    },
    "layer_{}.{}.local_rep.conv_1x1.block.conv": "stages.{}.{}.expand",
    "layer_{}.{}.local_rep.1.block.conv": "stages.{}.{}.expand",
    **{
        f"layer_{{}}.{{}}.global_rep.{{}}.{theirs}": f"stages.{{}}.{{}}.transformer.{{}}.{ours}"
        for theirs, ours in {
            "pre_norm_mha.0": "norm1",
            "pre_norm_mha.1.qkv_proj": "attn.qkv",
            "pre_norm_mha.1.out_proj": "attn.proj",
            "pre_norm_ffn.1.block.conv": "fc1",
            "pre_norm_ffn.3.block.conv": "fc2",
            "pre_norm_ffn.0": "norm2",
            "pre_norm_ffn.1": "mlp.fc1",
            "pre_norm_ffn.4": "mlp.fc2",
            "pre_norm_attn.0": "norm1",
            "pre_norm_attn.1.qkv_proj.block.conv": "attn.qkv",
            "pre_norm_attn.1.out_proj.block.conv": "attn.proj",
        }.items()
    },
    "layer_{}.{}.global_rep.{}": "stages.{}.{}.norm.{}",  # the last one, whose number depends on the depth
    "classifier.fc": "head",
    "classifier": "head",
}


def from_transformers(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert `MobileViTForImageClassification`, `MobileViTV2ForImageClassification` and their bare models."""
    plain = strip_prefix(strip_prefix(state, "mobilevit."), "mobilevitv2.")
    return with_batch_counts(fuse_qkv(rename(plain, TRANSFORMERS), "stages.{}.1.transformer.{}.attn"))


def from_timm(state: State, config: Any) -> dict[str, Tensor]:
    """Convert timm's models, in whose second version the feed-forward layers have one name more."""
    renamed = rename(state, TIMM)
    if not hasattr(config, "top_width"):
        renamed = {key.replace(".mlp.fc", ".fc"): tensor for key, tensor in renamed.items()}
    return with_batch_counts(renamed)


def from_authors(state: State, config: Any) -> dict[str, Tensor]:
    """Convert the models of ml-cvnets, whose layers are counted from 1."""
    converted: dict[str, Tensor] = {}
    for key, tensor in rename(state, AUTHORS).items():
        parts = key.split(".")
        if parts[0] == "stages":
            stage = int(parts[1]) - 1
            parts[1] = str(stage)
            if parts[3] == "norm" and stage >= 2 and parts[4] == str(config.depths[stage]):
                del parts[4]
        converted[".".join(parts)] = tensor
    return with_batch_counts(converted)


FORMATS = {
    "transformers": CheckpointFormat("conv_stem.convolution.weight", from_transformers),
    "timm": CheckpointFormat("stages.0.0.conv1_1x1.conv.weight", from_timm),
    "ml-cvnets": CheckpointFormat("conv_1.block.conv.weight", from_authors),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model types ``mobilevit`` and ``mobilevitv2``.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    require_value(described, "output_stride", 32)
    require_value(described, "conv_kernel_size", 3)
    shared = {
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "expand_ratio": described["expand_ratio"],
        "patch_size": described["patch_size"],
    }
    if described["model_type"] == "mobilevitv2":
        require_value(described, "hidden_act", "swish")
        return {
            **shared,
            "width_multiplier": described["width_multiplier"],
            "depths": (1, 2, *described["n_attn_blocks"]),
            "attention_dims": tuple(described["base_attn_unit_dims"]),
            "ffn_ratio": described["ffn_multiplier"],
            "dropout": described["ffn_dropout"],
            "attention_dropout": described["attn_dropout"],
            "norm_eps": described["layer_norm_eps"],
        }
    require_value(described, "hidden_act", "silu")
    widths = described["neck_hidden_sizes"]
    return {
        **shared,
        "stem_width": widths[0],
        "widths": tuple(widths[1:6]),
        "transformer_dims": tuple(described["hidden_sizes"]),
        "top_width": widths[6],
        "num_heads": described["num_attention_heads"],
        "mlp_ratio": described["mlp_ratio"],
        "qkv_bias": described["qkv_bias"],
        "dropout": described["hidden_dropout_prob"],
        "attention_dropout": described["attention_probs_dropout_prob"],
        "head_dropout": described["classifier_dropout_prob"],
        "layer_norm_eps": described["layer_norm_eps"],
    }
