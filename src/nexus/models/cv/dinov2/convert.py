"""Checkpoints of DINOv2 in other layouts, and Hugging Face configs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nexus.models.conversion import (
    CheckpointFormat,
    State,
    fuse,
    fuse_qkv,
    huggingface_classes,
    rename,
    require_value,
    square_side,
    strip_prefix,
)
from nexus.models.cv.dinov2.model import DINOv2Config

__all__ = ["FORMATS", "config_from_huggingface"]

TRANSFORMERS: dict[str, str | None] = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "register_tokens",
    "embeddings.mask_token": "mask_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "encoder.layer.{}.attention.attention.query": "blocks.{}.attn.q",
    "encoder.layer.{}.attention.attention.key": "blocks.{}.attn.k",
    "encoder.layer.{}.attention.attention.value": "blocks.{}.attn.v",
    "encoder.layer.{}.attention.output.dense": "blocks.{}.attn.proj",
    "encoder.layer.{}.layer_scale1.lambda1": "blocks.{}.ls1.gamma",
    "encoder.layer.{}.layer_scale2.lambda1": "blocks.{}.ls2.gamma",
    "encoder.layer.{}.mlp.weights_in": "blocks.{}.mlp.w12",
    "encoder.layer.{}.mlp.weights_out": "blocks.{}.mlp.w3",
    # in memory, transformers 5 has other names than in its files
    "encoder.layer.{}.attention.q_proj": "blocks.{}.attn.q",
    "encoder.layer.{}.attention.k_proj": "blocks.{}.attn.k",
    "encoder.layer.{}.attention.v_proj": "blocks.{}.attn.v",
    "encoder.layer.{}.attention.o_proj": "blocks.{}.attn.proj",
    "encoder.layer.{}.mlp.gate_proj": "blocks.{}.mlp.w1",
    "encoder.layer.{}.mlp.up_proj": "blocks.{}.mlp.w2",
    "encoder.layer.{}.mlp.down_proj": "blocks.{}.mlp.w3",
    "encoder.layer.{}": "blocks.{}",
    "layernorm": "norm",
    "classifier": "head",
}

TIMM: dict[str, str | None] = {"reg_token": "register_tokens"}
TIMM_SWIGLU: dict[str, str | None] = {"blocks.{}.mlp.fc1": "blocks.{}.mlp.w12", "blocks.{}.mlp.fc2": "blocks.{}.mlp.w3"}


def from_transformers(state: State, _config: DINOv2Config) -> dict[str, Tensor]:
    """Convert `Dinov2Model`, `Dinov2WithRegistersModel` and their classifiers."""
    plain = strip_prefix(strip_prefix(state, "dinov2."), "dinov2_with_registers.")
    renamed = fuse_qkv(rename(plain, TRANSFORMERS), "blocks.{}.attn")
    for kind in ("weight", "bias"):
        renamed = fuse(
            renamed, [f"blocks.{{}}.mlp.{part}.{kind}" for part in ("w1", "w2")], f"blocks.{{}}.mlp.w12.{kind}"
        )
    return renamed


def from_onnx(state: State, config: DINOv2Config) -> dict[str, Tensor]:
    """Convert the initialisers of an ONNX export of the authors' model.

    The exporter folded the position embeddings into two nameless constants: the class token's (1, 1, D) and the
    patches' (1, M * M, D).
    """
    named = {key: tensor for key, tensor in state.items() if not key.startswith(("onnx::", "/"))}
    nameless = [tensor for key, tensor in state.items() if key.startswith("onnx::") and tensor.ndim == 3]
    cls = [tensor for tensor in nameless if tensor.shape[1] == 1]
    patches = [tensor for tensor in nameless if tensor.shape[1] == (config.image_size // config.patch_size) ** 2 > 1]
    positions = {"pos_embed": torch.cat([cls[0], patches[0]], dim=1)} if len(cls) == len(patches) == 1 else {}
    return {**strip_prefix(named, "model."), **positions}


def from_facebook(state: State, _config: DINOv2Config) -> dict[str, Tensor]:
    """Return the authors' tensors: our names are theirs."""
    return dict(state)


def from_timm(state: State, config: DINOv2Config) -> dict[str, Tensor]:
    """Convert timm's layout, in which models with registers have the class token's position added to the token."""
    renamed = rename(state, TIMM | (TIMM_SWIGLU if config.ffn == "swiglu" else {}))
    positions = renamed.get("pos_embed")
    if positions is not None and math.isqrt(positions.shape[1]) ** 2 == positions.shape[1] and config.num_registers:
        renamed["pos_embed"] = torch.cat([torch.zeros_like(positions[:, :1]), positions], dim=1)
    return renamed


FORMATS = {
    "transformers": CheckpointFormat("embeddings.cls_token", from_transformers),
    "onnx": CheckpointFormat("model.cls_token", from_onnx),
    "facebook": CheckpointFormat("mask_token", from_facebook),
    "timm": CheckpointFormat("blocks.0.ls1.gamma", from_timm),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model types ``dinov2`` and ``dinov2_with_registers``.

    Position embeddings are resampled as transformers does it, which differs slightly from the authors' way that the
    named variants keep (see `DINOv2Config.interpolate_offset`).

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    require_value(described, "hidden_act", "gelu")
    registers = described["model_type"] == "dinov2_with_registers"
    return {
        "image_size": square_side(described, "image_size"),
        "patch_size": square_side(described, "patch_size"),
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "head_input": "cls_mean" if huggingface_classes(described) else "cls",
        "embed_dim": described["hidden_size"],
        "num_layers": described["num_hidden_layers"],
        "num_heads": described["num_attention_heads"],
        "mlp_ratio": described["mlp_ratio"],
        "ffn": "swiglu" if described["use_swiglu_ffn"] else "mlp",
        "qkv_bias": described["qkv_bias"],
        "num_registers": described["num_register_tokens"] if registers else 0,
        "layer_scale": described["layerscale_value"],
        "drop_path": described["drop_path_rate"],
        "dropout": described["hidden_dropout_prob"],
        "attention_dropout": described["attention_probs_dropout_prob"],
        "layer_norm_eps": described["layer_norm_eps"],
        "interpolate_offset": 0.0,
        "interpolate_antialias": registers,
    }
