"""Checkpoints of InternVL in other layouts, and Hugging Face configs."""

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

__all__ = ["FORMATS", "class_from_huggingface", "config_from_huggingface"]

TRANSFORMERS: dict[str, str | None] = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "encoder.layer.{}.layernorm_before": "blocks.{}.norm1",
    "encoder.layer.{}.attention.q_proj": "blocks.{}.attn.q",
    "encoder.layer.{}.attention.k_proj": "blocks.{}.attn.k",
    "encoder.layer.{}.attention.v_proj": "blocks.{}.attn.v",
    "encoder.layer.{}.attention.projection_layer": "blocks.{}.attn.proj",
    "encoder.layer.{}.attention": "blocks.{}.attn",
    "encoder.layer.{}.lambda_1": "blocks.{}.ls1.gamma",
    "encoder.layer.{}.layernorm_after": "blocks.{}.norm2",
    "encoder.layer.{}.lambda_2": "blocks.{}.ls2.gamma",
    "encoder.layer.{}": "blocks.{}",
    "layernorm": "norm",
    "multi_modal_projector.layer_norm": "projector.norm",
    "multi_modal_projector.linear_1": "projector.fc1",
    "multi_modal_projector.linear_2": "projector.fc2",
    "language_model": None,  # the tower ends where the language model begins
    "lm_head": None,
}

TOWER: dict[str, str | None] = {
    "embeddings.class_embedding": "cls_token",
    "embeddings.position_embedding": "pos_embed",
    "embeddings.patch_embedding": "patch_embed.proj",
    "encoder.layers.{}.ls1": "blocks.{}.ls1.gamma",
    "encoder.layers.{}.ls2": "blocks.{}.ls2.gamma",
    "encoder.layers.{}": "blocks.{}",
    "mlp1.0": "projector.norm",
    "mlp1.1": "projector.fc1",
    "mlp1.3": "projector.fc2",
    "language_model": None,
}
"""The authors' names in their Hugging Face repositories -> ours."""

TEXT: dict[str, str | None] = {
    "embed_tokens": "embed",
    "layers.{}.input_layernorm": "layers.{}.norm1",
    "layers.{}.post_attention_layernorm": "layers.{}.norm2",
    **{
        f"layers.{{}}.{theirs}.{part}_proj": f"layers.{{}}.{ours}.{'proj' if part == 'o' else part}"
        for theirs, ours in {"self_attn": "attn", "cross_attn": "cross.attn"}.items()
        for part in "qkvo"
    },
    "layers.{}.cross_attn": "layers.{}.cross",
    "layers.{}.mlp.gate_proj": "layers.{}.mlp.gate",
    "layers.{}.mlp.up_proj": "layers.{}.mlp.up",
    "layers.{}.mlp.down_proj": "layers.{}.mlp.down",
    "layers.{}.self_attn.rotary_emb": None,  # computed
}
"""LLaMA's names -> ours."""

POOL: dict[str, str | None] = {
    "norm1_q": "norm_q",
    "norm1_k": "norm_k",
    "norm1_v": "norm_v",
    **{f"cross_attn.{part}_bias": f"{part}.bias" for part in "qkv"},
    "cross_attn": "",
}

PAIR: dict[str, str | None] = {
    "query_tokens": "queries",
    "lm_head": None,
    "itm_head": None,  # of the matching loss
}


def from_transformers(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert `InternVLVisionModel`, and image tower and projector of `InternVLForConditionalGeneration`."""
    plain = strip_prefix(strip_prefix(state, "model."), "vision_tower.")
    return fuse_qkv(rename(plain, TRANSFORMERS), "blocks.{}.attn")


def from_authors(state: State, _config: Any) -> dict[str, Tensor]:
    """Convert the authors' `InternVisionModel`, and image tower and projector of their chat models."""
    return rename(strip_prefix(state, "vision_model."), TOWER)


def from_authors_pair(state: State, config: Any) -> dict[str, Tensor]:
    """Convert the authors' InternVL-14B; what only InternVL-G needs is dropped where the config has no queries."""
    parts = {
        **_part(state, "vision_model.", "image.", TOWER),
        **_part(state, "qllama.model.", "text.", TEXT),
        **_part(state, "clip_projector.", "image.attention_pool.", POOL),
        **_part(state, "clip_projector2.", "fused_pool.", POOL),
    }
    rest = {key.removeprefix("qllama."): tensor for key, tensor in state.items() if not key.startswith(PREFIXES)}
    return _without_fusion({**parts, **rename(rest, PAIR)}, config)


def from_contrastive(state: State, config: Any) -> dict[str, Tensor]:
    """Convert the authors' `InternVL_C`, which has image tower and text tower side by side."""
    parts = {
        **_part(state, "transformer.", "text.", TEXT),
        **_part(state, "clip_projector.", "image.attention_pool.", POOL),
        **{f"image.{key}": tensor for key, tensor in state.items() if key.startswith(IMAGE)},
    }
    rest = {key: t for key, t in state.items() if not key.startswith(("transformer.", "clip_projector.", *IMAGE))}
    return _without_fusion({**parts, **rest}, config)


PREFIXES = ("vision_model.", "qllama.model.", "clip_projector.", "clip_projector2.")
IMAGE = ("patch_embed.", "pos_embed", "cls_token", "blocks.")


def _part(state: State, theirs: str, ours: str, table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Convert the tensors below one prefix."""
    part = {key.removeprefix(theirs): tensor for key, tensor in state.items() if key.startswith(theirs)}
    return {ours + key.removeprefix("."): tensor for key, tensor in rename(part, table).items()}


def _without_fusion(state: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    if config.num_queries:
        return state
    return {
        key: tensor
        for key, tensor in state.items()
        if ".cross." not in key and key != "queries" and not key.startswith("fused_pool.")
    }


FORMATS = {
    "authors' InternVL": CheckpointFormat("qllama.model.embed_tokens.weight", from_authors_pair),
    "authors' InternVL_C": CheckpointFormat("clip_projector.cross_attn.q.weight", from_contrastive),
    "transformers": CheckpointFormat("encoder.layer.0.attention.projection_layer.weight", from_transformers),
    "authors' InternViT": CheckpointFormat("embeddings.class_embedding", from_authors),
}
"""Layout -> how to recognise and convert it."""


def class_from_huggingface(described: Mapping[str, Any]) -> str:
    """Tell the authors' InternVL-14B from transformers' InternVL, which is an image tower before a language model."""
    return "InternVL" if "qllama_config" in described else "InternViT"


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of transformers (``internvl*``) or the authors (``intern_vit_6b``, ...).

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    if "qllama_config" in described:
        return {
            "image": {
                **_tower(described["vision_config"]),
                "pool": "attention",
                "pool_heads": described["attn_pool_num_heads"],
                "projection_dim": described["clip_embed_dim"],
            },
            "text": _text(described["qllama_config"], described.get("cross_attention_frequency", 2)),
            "num_queries": described["num_query_token"],
        }
    if "vision_config" not in described:
        return {**_tower(described), "num_classes": huggingface_classes(described)}
    require_value(described, "downsample_ratio", 0.5)
    require_value(described, "vision_feature_layer", -1)
    require_value(described, "select_layer", -1)
    require_value(described, "ps_version", "v2")
    language = described.get("text_config") or described["llm_config"]
    return {**_tower(described["vision_config"]), "projector_dim": language["hidden_size"]}


def _tower(described: Mapping[str, Any]) -> dict[str, Any]:
    require_value(described, "hidden_act", "gelu")
    require_value(described, "use_mask_token", False)
    native = described.get("model_type") == "internvl_vision"
    return {
        "image_size": square_side(described, "image_size"),
        "patch_size": square_side(described, "patch_size"),
        "in_channels": described["num_channels"],
        "embed_dim": described["hidden_size"],
        "num_layers": described["num_hidden_layers"],
        "num_heads": described["num_attention_heads"],
        "mlp_ratio": described["intermediate_size"] / described["hidden_size"],
        "norm": described.get("norm_type", "rms_norm"),
        "qkv_bias": described["attention_bias" if native else "qkv_bias"],
        "qk_norm": described["use_qk_norm" if native else "qk_normalization"],
        "layer_scale": described["layer_scale_init_value" if native else "initializer_factor"],
        "final_norm": native and not described.get("use_mean_pooling", True),
        "drop_path": described.get("drop_path_rate", 0.0),
        "dropout": described["hidden_dropout_prob" if native else "dropout"],
        "attention_dropout": described["attention_dropout"],
        "layer_norm_eps": described["layer_norm_eps"],
    }


def _text(described: Mapping[str, Any], cross_every: int) -> dict[str, Any]:
    require_value(described, "hidden_act", "silu")
    return {
        "vocab_size": described["vocab_size"],
        "embed_dim": described["hidden_size"],
        "hidden_dim": described["intermediate_size"],
        "num_layers": described["num_hidden_layers"],
        "num_heads": described["num_attention_heads"],
        "rope_theta": described.get("rope_theta", 10000.0),
        "cross_every": cross_every,
        "eps": described["rms_norm_eps"],
    }
