"""Checkpoints of ViT in other layouts, and Hugging Face configs."""

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
from nexus.models.cv.vit.model import VisionTransformerConfig

__all__ = ["FORMATS", "config_from_huggingface"]

TRANSFORMERS: dict[str, str | None] = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layers.{}.layernorm_before": "blocks.{}.norm1",
    "layers.{}.attention.attention.query": "blocks.{}.attn.q",
    "layers.{}.attention.attention.key": "blocks.{}.attn.k",
    "layers.{}.attention.attention.value": "blocks.{}.attn.v",
    "layers.{}.attention.output.dense": "blocks.{}.attn.proj",
    "layers.{}.layernorm_after": "blocks.{}.norm2",
    "layers.{}.intermediate.dense": "blocks.{}.mlp.fc1",
    "layers.{}.output.dense": "blocks.{}.mlp.fc2",
    # in memory, transformers 5 has other names than in its files
    "layers.{}.attention.q_proj": "blocks.{}.attn.q",
    "layers.{}.attention.k_proj": "blocks.{}.attn.k",
    "layers.{}.attention.v_proj": "blocks.{}.attn.v",
    "layers.{}.attention.o_proj": "blocks.{}.attn.proj",
    "layers.{}.mlp": "blocks.{}.mlp",
    "layernorm": "norm",
    "pooler": None,  # a tanh layer that was never pre-trained
    "decoder": None,  # of MAE's pre-training
    "classifier": "head",
}

TIMM: dict[str, str | None] = {
    "fc_norm": "norm",  # the one norm behind the blocks, where it stands behind the mean
    "pre_logits": None,  # a tanh layer between the class token and the head of pre-training
    # MAE's decoder
    "mask_token": None,
    "decoder_embed": None,
    "decoder_pos_embed": None,
    "decoder_blocks": None,
    "decoder_norm": None,
    "decoder_pred": None,
}
"""timm's names are ours, but for these; they are those of the authors of MAE and I-JEPA too."""

FLAX: dict[str, str | None] = {
    "cls": "cls_token",
    "embedding": "patch_embed.proj",
    "Transformer.posembed_input.pos_embedding": "pos_embed",
    "Transformer.encoderblock_{}.LayerNorm_0": "blocks.{}.norm1",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_1.query": "blocks.{}.attn.q",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_1.key": "blocks.{}.attn.k",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_1.value": "blocks.{}.attn.v",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_1.out": "blocks.{}.attn.proj",
    "Transformer.encoderblock_{}.LayerNorm_2": "blocks.{}.norm2",
    "Transformer.encoderblock_{}.MlpBlock_3.Dense_0": "blocks.{}.mlp.fc1",
    "Transformer.encoderblock_{}.MlpBlock_3.Dense_1": "blocks.{}.mlp.fc2",
    "Transformer.encoder_norm": "norm",
    "pre_logits": None,
}


def from_transformers(state: State, _config: VisionTransformerConfig) -> dict[str, Tensor]:
    """Convert `ViTModel`, `ViTMAEModel`, `IJepaModel`, their classifiers and `ViTMAEForPreTraining`."""
    bare = strip_prefix(strip_prefix(state, "vit."), "ijepa.")
    plain = {key.replace("encoder.layer.", "layers.", 1): tensor for key, tensor in bare.items()}
    return fuse_qkv(rename(plain, TRANSFORMERS), "blocks.{}.attn")


def from_flax(state: State, _config: VisionTransformerConfig) -> dict[str, Tensor]:
    """Convert the authors' ``.npz`` files, whose kernels have their inputs first."""
    plain = {key.replace("/", "."): _torch_layout(key, tensor) for key, tensor in state.items()}
    renamed = rename(plain, FLAX)
    endings = {"kernel": "weight", "scale": "weight"}
    names = {
        key: f"{stem}.{endings.get(end, end)}" if stem else key
        for key in renamed
        for stem, _, end in [key.rpartition(".")]
    }
    return fuse_qkv({names[key]: tensor for key, tensor in renamed.items()}, "blocks.{}.attn")


def from_timm(state: State, _config: VisionTransformerConfig) -> dict[str, Tensor]:
    """Convert timm's layout, which MAE's authors use too, and those of I-JEPA behind ``module.``."""
    return rename(strip_prefix(state, "module."), TIMM)


def _torch_layout(key: str, tensor: Tensor) -> Tensor:
    """Bring one flax array into the layout of torch."""
    *_, layer, kind = ("", *key.split("/"))
    if layer == "embedding" and kind == "kernel":
        return tensor.permute(3, 2, 0, 1)  # (H, W, in, out) -> (out, in, H, W)
    if layer == "out" and kind == "kernel":
        return tensor.flatten(0, 1).T  # (heads, head_dim, D) -> (D, D)
    if layer in ("query", "key", "value"):
        return tensor.flatten(1).T if kind == "kernel" else tensor.flatten()  # (D, heads, head_dim) -> (D, D)
    return tensor.T if kind == "kernel" else tensor


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embeddings.projection.weight", from_transformers),
    "flax": CheckpointFormat("Transformer/posembed_input/pos_embedding", from_flax),
    "timm": CheckpointFormat("patch_embed.proj.weight", from_timm),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model types ``vit``, ``vit_mae`` and ``ijepa``.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    require_value(described, "hidden_act", "gelu")
    class_token = described["model_type"] != "ijepa"
    return {
        "image_size": square_side(described, "image_size"),
        "patch_size": square_side(described, "patch_size"),
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "class_token": class_token,
        "pool": "cls" if class_token else "mean",
        "embed_dim": described["hidden_size"],
        "num_layers": described["num_hidden_layers"],
        "num_heads": described["num_attention_heads"],
        "mlp_ratio": described["intermediate_size"] / described["hidden_size"],
        "qkv_bias": described["qkv_bias"],
        "dropout": described["hidden_dropout_prob"],
        "attention_dropout": described["attention_probs_dropout_prob"],
        "layer_norm_eps": described["layer_norm_eps"],
    }
