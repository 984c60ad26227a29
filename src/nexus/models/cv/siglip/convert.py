"""Checkpoints of SigLIP in other layouts, and Hugging Face configs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nexus.errors import ConfigError
from nexus.models.conversion import (
    CheckpointFormat,
    State,
    fuse_qkv,
    huggingface_classes,
    rename,
    require_value,
    square_side,
)
from nexus.models.cv.siglip.model import SigLIPConfig, SigLIPVisionConfig

__all__ = ["FORMATS", "class_from_huggingface", "config_from_huggingface"]

AnyConfig = SigLIPConfig | SigLIPVisionConfig

TRANSFORMERS: dict[str, str | None] = {
    "embeddings.patch_embedding": "patch_embed.proj",
    "embeddings.token_embedding": "token_embed",
    "embeddings.position_embedding.weight": "pos_embed",
    "encoder.layers.{}.layer_norm1": "blocks.{}.norm1",
    "encoder.layers.{}.self_attn.q_proj": "blocks.{}.attn.q",
    "encoder.layers.{}.self_attn.k_proj": "blocks.{}.attn.k",
    "encoder.layers.{}.self_attn.v_proj": "blocks.{}.attn.v",
    "encoder.layers.{}.self_attn.out_proj": "blocks.{}.attn.proj",
    "encoder.layers.{}.layer_norm2": "blocks.{}.norm2",
    "encoder.layers.{}.mlp": "blocks.{}.mlp",
    "post_layernorm": "norm",
    "final_layer_norm": "norm",
    "head.probe": "attn_pool.probe",
    "head.attention.in_proj_weight": "attn_pool.qkv.weight",
    "head.attention.in_proj_bias": "attn_pool.qkv.bias",
    "head.attention.out_proj": "attn_pool.proj",
    "head.layernorm": "attn_pool.norm",
    "head.mlp": "attn_pool.mlp",
    "head": "proj",
}
"""Of either tower."""

BIG_VISION: dict[str, str | None] = {
    "embedding": "patch_embed.proj",
    "pos_embedding": "pos_embed",
    "Embed_0.embedding": "token_embed.weight",
    "Transformer.encoderblock_{}.LayerNorm_0": "blocks.{}.norm1",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_0.query": "blocks.{}.attn.q",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_0.key": "blocks.{}.attn.k",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_0.value": "blocks.{}.attn.v",
    "Transformer.encoderblock_{}.MultiHeadDotProductAttention_0.out": "blocks.{}.attn.proj",
    "Transformer.encoderblock_{}.LayerNorm_1": "blocks.{}.norm2",
    "Transformer.encoderblock_{}.MlpBlock_0.Dense_0": "blocks.{}.mlp.fc1",
    "Transformer.encoderblock_{}.MlpBlock_0.Dense_1": "blocks.{}.mlp.fc2",
    "Transformer.encoder_norm": "norm",
    "MAPHead_0.probe": "attn_pool.probe",
    "MAPHead_0.MultiHeadDotProductAttention_0.query": "attn_pool.q",
    "MAPHead_0.MultiHeadDotProductAttention_0.key": "attn_pool.k",
    "MAPHead_0.MultiHeadDotProductAttention_0.value": "attn_pool.v",
    "MAPHead_0.MultiHeadDotProductAttention_0.out": "attn_pool.proj",
    "MAPHead_0.LayerNorm_0": "attn_pool.norm",
    "MAPHead_0.MlpBlock_0.Dense_0": "attn_pool.mlp.fc1",
    "MAPHead_0.MlpBlock_0.Dense_1": "attn_pool.mlp.fc2",
    "head": "proj",
}
"""Of either tower; the text tower's ``Encoder_0`` has the insides of the image tower's ``Transformer``."""

TIMM: dict[str, str | None] = {"attn_pool.latent": "attn_pool.probe"}

OPEN_CLIP_TEXT: dict[str, str | None] = {
    "token_embedding": "token_embed",
    "positional_embedding": "pos_embed",
    "transformer.resblocks.{}.ln_1": "blocks.{}.norm1",
    "transformer.resblocks.{}.attn.in_proj_weight": "blocks.{}.attn.qkv.weight",
    "transformer.resblocks.{}.attn.in_proj_bias": "blocks.{}.attn.qkv.bias",
    "transformer.resblocks.{}.attn.out_proj": "blocks.{}.attn.proj",
    "transformer.resblocks.{}.ln_2": "blocks.{}.norm2",
    "transformer.resblocks.{}.mlp.c_fc": "blocks.{}.mlp.fc1",
    "transformer.resblocks.{}.mlp.c_proj": "blocks.{}.mlp.fc2",
    "ln_final": "norm",
    "text_projection": "proj",
}


def from_transformers(state: State, config: AnyConfig) -> dict[str, Tensor]:
    """Convert `SiglipModel`, `SiglipVisionModel`, `SiglipForImageClassification`, and their `Siglip2` namesakes."""
    if not any(key.startswith("vision_model.") for key in state):  # in memory, transformers 5 has no such prefix
        state = {f"vision_model.{key}": tensor for key, tensor in state.items()}
    towers = {"vision_model.": "image.", "text_model.": "text."}
    converted = {
        ours + key: tensor
        for theirs, ours in towers.items()
        for key, tensor in tower(rename(below(state, theirs), TRANSFORMERS)).items()
    }
    if "classifier.weight" in state:
        converted |= {f"image.head.{kind}": state[f"classifier.{kind}"] for kind in ("weight", "bias")}
    others = {key: tensor for key, tensor in state.items() if not key.startswith((*towers, "classifier."))}
    return assembled(converted | others, config)


def from_big_vision(state: State, config: AnyConfig) -> dict[str, Tensor]:
    """Convert the authors' ``.npz`` files, whose kernels have their inputs first."""
    flat = {key.removeprefix("params/"): tensor for key, tensor in one_by_one(state).items()}
    converted = {
        ours + key: tensor
        for theirs, ours in {"img/": "image.", "txt/": "text."}.items()
        for key, tensor in tower(big_vision_tower(below(flat, theirs))).items()
    }
    names = {"t": "logit_scale", "b": "logit_bias"}
    others = {names.get(key, key): t for key, t in flat.items() if not key.startswith(("img/", "txt/"))}
    return assembled(converted | others, config)


def from_timm(state: State, _config: AnyConfig) -> dict[str, Tensor]:
    """Convert image towers of timm."""
    return rename(state, TIMM)


def from_open_clip(state: State, config: AnyConfig) -> dict[str, Tensor]:
    """Convert models of OpenCLIP: an image tower of timm, and a text tower of its own."""
    image = {f"image.{key}": tensor for key, tensor in rename(below(state, "visual.trunk."), TIMM).items()}
    text = {f"text.{key}": t for key, t in tower(rename(below(state, "text."), OPEN_CLIP_TEXT)).items()}
    others = {key: tensor for key, tensor in state.items() if not key.startswith(("visual.trunk.", "text."))}
    return assembled(image | text | others, config)


def tower(state: State) -> dict[str, Tensor]:
    """Bring what layouts store in different shapes into ours: one projection of query, key and value, and so on."""
    fused = fuse_qkv(fuse_qkv(state, "blocks.{}.attn"), "attn_pool")
    for kind in ("weight", "bias"):
        if (joint := fused.pop(f"attn_pool.qkv.{kind}", None)) is not None:
            query, key, value = joint.chunk(3)
            fused |= {f"attn_pool.q.{kind}": query, f"attn_pool.kv.{kind}": torch.cat([key, value])}
    if "pos_embed" in fused:
        positions = fused["pos_embed"]  # (N, D), (1, N, D), or (rows, columns, D)
        fused["pos_embed"] = positions.reshape(1, -1, positions.shape[-1])
    return fused


def assembled(state: State, config: AnyConfig) -> dict[str, Tensor]:
    """Return the tensors of a pair, or of its image tower alone where that is what is wanted.

    A multilingual model has no projection of texts; transformers' files have the identity in its place.
    """
    state = convolving(state, config.image if isinstance(config, SigLIPConfig) else config)
    if isinstance(config, SigLIPConfig):
        width = config.text.embed_dim
        projection = {"text.proj.weight": torch.eye(width), "text.proj.bias": torch.zeros(width)}
        return projection | {key: t.reshape(()) if key.startswith("logit_") else t for key, t in state.items()}
    image = below(state, "image.")
    if config.pool == "mean":
        image = {key: tensor for key, tensor in image.items() if not key.startswith("attn_pool.")}
    return image


def convolving(state: State, c: SigLIPVisionConfig) -> State:
    """Make a convolution of NaFlex's patch embedding, which is a linear layer over flattened patches."""
    key = "image.patch_embed.proj.weight"
    if key not in state or state[key].ndim != 2:
        return state
    kernel = state[key].reshape(-1, c.patch_size, c.patch_size, c.in_channels)  # (D, P * P * 3) -> (D, P, P, 3)
    return {**state, key: kernel.permute(0, 3, 1, 2)}


def below(state: State, prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose keys have a prefix, without it."""
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


# -- the authors' layout -----------------------------------------------------------------------------------------------


def one_by_one(state: State) -> dict[str, Tensor]:
    """Take apart blocks that are stored as one: newer files have ``encoderblock/x`` of shape (layers, ...)."""
    single: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if "/encoderblock/" not in key:
            single[key] = tensor
            continue
        for number, part in enumerate(tensor):
            single[key.replace("/encoderblock/", f"/encoderblock_{number}/")] = part
    return single


def big_vision_tower(state: State) -> dict[str, Tensor]:
    """Rename the tensors of one tower, in the layout of torch."""
    plain = {
        key.replace("Encoder_0/", "Transformer/").replace("/", "."): torch_layout(key, t) for key, t in state.items()
    }
    endings = {"kernel": "weight", "scale": "weight"}
    renamed = rename(plain, BIG_VISION)
    names = {key: (stem, endings.get(end, end)) for key in renamed for stem, _, end in [key.rpartition(".")]}
    return {f"{stem}.{end}" if stem else end: renamed[key] for key, (stem, end) in names.items()}


def torch_layout(key: str, tensor: Tensor) -> Tensor:
    """Bring one flax array into the layout of torch."""
    *_, layer, kind = ("", *key.split("/"))
    if kind == "kernel" and layer == "embedding" and tensor.ndim == 4:  # NaFlex's is a linear layer
        return tensor.permute(3, 2, 0, 1)  # (H, W, in, out) -> (out, in, H, W)
    if kind == "kernel" and layer == "out":
        return tensor.flatten(0, 1).T  # (heads, head_dim, D) -> (D, D)
    if layer in ("query", "key", "value"):
        return tensor.flatten(1).T if kind == "kernel" else tensor.flatten()  # (D, heads, head_dim) -> (D, D)
    return tensor.T if kind == "kernel" else tensor


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embedding.weight", from_transformers),
    "big_vision": CheckpointFormat("img/embedding/kernel", from_big_vision),
    "open_clip": CheckpointFormat("visual.trunk.patch_embed.proj.weight", from_open_clip),
    "timm": CheckpointFormat("patch_embed.proj.weight", from_timm),
}
"""Layout -> how to recognise and convert it."""


# -- Hugging Face ------------------------------------------------------------------------------------------------------

TOWER_DEFAULTS: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "layer_norm_eps": 1e-6,
}
VISION_DEFAULTS: dict[str, Any] = {
    **TOWER_DEFAULTS,
    "image_size": 224,
    "num_patches": 256,
    "patch_size": 16,
    "num_channels": 3,
}
TEXT_DEFAULTS: dict[str, Any] = {**TOWER_DEFAULTS, "vocab_size": 32_000, "max_position_embeddings": 64}
"""What a ``config.json`` leaves out: the defaults of transformers' `SiglipVisionConfig` and `SiglipTextConfig`, which
those of `Siglip2` share, but that theirs have a number of patches for an image size."""


def class_from_huggingface(described: Mapping[str, Any]) -> str:
    """Return the class: transformers' classifier has the image tower alone, under the model type of the pair."""
    alone = described["model_type"].endswith("_vision_model") or huggingface_classes(described)
    return "SigLIPVision" if alone else "SigLIP"


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model types ``siglip``, ``siglip2`` (NaFlex) and of their image towers alone.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    naflex = described["model_type"].startswith("siglip2")
    if described["model_type"].endswith("_vision_model"):
        return vision_config(described, naflex)
    image = vision_config(described.get("vision_config") or {}, naflex)
    if classes := huggingface_classes(described):
        return {**image, "pool": "mean", "num_classes": classes}  # transformers' classifier reads the mean
    return {"image": image, "text": text_config(described.get("text_config") or {})}


def vision_config(described: Mapping[str, Any], naflex: bool) -> dict[str, Any]:
    values = {**VISION_DEFAULTS, **described}
    patch = square_side(values, "patch_size")
    return {
        **tower_config(values),
        "image_size": grid_side(values) * patch if naflex else square_side(values, "image_size"),
        "naflex": naflex,
        "patch_size": patch,
        "in_channels": values["num_channels"],
        "pool": "attention" if values.get("vision_use_head", True) else "mean",
    }


def grid_side(values: Mapping[str, Any]) -> int:
    """Return the side of the square grid for which NaFlex stores its position embeddings."""
    side = math.isqrt(values["num_patches"])
    if side**2 != values["num_patches"]:
        raise ConfigError(
            f"num_patches = {values['num_patches']} in config.json is no square; only square grids of position "
            "embeddings are supported"
        )
    return side


def text_config(described: Mapping[str, Any]) -> dict[str, Any]:
    values = {**TEXT_DEFAULTS, **described}
    return {
        **tower_config(values),
        "vocab_size": values["vocab_size"],
        "context_length": values["max_position_embeddings"],
        "projection_dim": values.get("projection_size") or values["hidden_size"],
    }


def tower_config(values: Mapping[str, Any]) -> dict[str, Any]:
    require_value(values, "hidden_act", "gelu_pytorch_tanh")
    require_value(values, "attention_dropout", 0.0)
    return {
        "embed_dim": values["hidden_size"],
        "num_layers": values["num_hidden_layers"],
        "num_heads": values["num_attention_heads"],
        "mlp_dim": values["intermediate_size"],
        "layer_norm_eps": values["layer_norm_eps"],
    }
