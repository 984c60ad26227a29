"""The layouts in which plain vision transformers are published, for the families that are built around one.

Beside timm's, whose names are ours: those of transformers (`ViTModel` and its relatives) and of Google's Flax code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.models.conversion import State, fuse_qkv, huggingface_classes, rename, require_value, square_side

__all__ = ["config_from_transformers", "from_flax", "from_transformers"]

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
    "classifier": "head",
}

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
    "pre_logits": None,  # a tanh layer between the class token and the head of pre-training
}


def from_transformers(state: State, own: Mapping[str, str | None] | None = None) -> dict[str, Tensor]:
    """Convert a relative of `ViTModel`, or a classifier on one.

    Args:
        state: their tensors, under the names of their files or those in memory.
        own: what the relative calls its further tensors, as in `rename`.
    """
    prefixes = ("vit.", "deit.", "ijepa.")
    bare = {next((key.removeprefix(p) for p in prefixes if key.startswith(p)), key): t for key, t in state.items()}
    plain = {key.replace("encoder.layer.", "layers.", 1): tensor for key, tensor in bare.items()}
    return fuse_qkv(rename(plain, {**(own or {}), **TRANSFORMERS}), "blocks.{}.attn")


def config_from_transformers(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate what the ``config.json`` of every relative of `ViTModel` says.

    Raises:
        ConfigError: a value that our models do not have, named.
    """
    require_value(described, "hidden_act", "gelu")
    return {
        "image_size": square_side(described, "image_size"),
        "patch_size": square_side(described, "patch_size"),
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "embed_dim": described["hidden_size"],
        "num_layers": described["num_hidden_layers"],
        "num_heads": described["num_attention_heads"],
        "mlp_ratio": described["intermediate_size"] / described["hidden_size"],
        "qkv_bias": described["qkv_bias"],
        "dropout": described["hidden_dropout_prob"],
        "attention_dropout": described["attention_probs_dropout_prob"],
        "layer_norm_eps": described["layer_norm_eps"],
    }


def from_flax(state: State, own: Mapping[str, str | None] | None = None) -> dict[str, Tensor]:
    """Convert the ``.npz`` files of google-research/vision_transformer, whose kernels have their inputs first.

    Args:
        state: their arrays.
        own: what the model calls its further arrays, as in `rename`, with dots for slashes.
    """
    plain = {key.replace("/", "."): torch_layout(key, tensor) for key, tensor in state.items()}
    renamed = rename(plain, {**(own or {}), **FLAX})
    endings = {"kernel": "weight", "scale": "weight"}
    names = {
        key: f"{stem}.{endings.get(end, end)}" if stem else key
        for key in renamed
        for stem, _, end in [key.rpartition(".")]
    }
    return fuse_qkv({names[key]: tensor for key, tensor in renamed.items()}, "blocks.{}.attn")


def torch_layout(key: str, tensor: Tensor) -> Tensor:
    """Bring one Flax array into the layout of torch."""
    *_, layer, kind = ("", *key.split("/"))
    if kind in ("scale", "bias"):
        return tensor.flatten()  # (heads, head_dim) -> (D,); (1, 1, 1, D) -> (D,)
    if kind != "kernel":
        return tensor
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1)  # (H, W, in, out) -> (out, in, H, W)
    if layer == "out":
        return tensor.flatten(0, 1).T  # (heads, head_dim, D) -> (D, D)
    return tensor.flatten(1).T  # (in, out) -> (out, in); (D, heads, head_dim) -> (D, D)
