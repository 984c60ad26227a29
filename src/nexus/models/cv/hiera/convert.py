"""Checkpoints of Hiera in other layouts, and Hugging Face configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.models.conversion import (
    CheckpointFormat,
    State,
    huggingface_classes,
    rename,
    require_value,
    square_side,
    strip_prefix,
)
from nexus.models.cv.hiera.model import HieraConfig

__all__ = ["FORMATS", "config_from_huggingface"]

Table = dict[str, str | None]

TRANSFORMERS: Table = {
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "embeddings.position_embeddings": "pos_embed",
    "pooler.layernorm": "norm",
    "classifier": "head",
    "encoder_norm": "norm",
    # the decoder of the pre-training
    "multiscale_fusion": None,
    "decoder": None,
}

FACEBOOK: Table = {
    "head.projection": "head",
    "encoder_norm": "norm",
    # timm
    "head.fc": "head",
    "head.norm": "norm",
    # the decoder of the pre-training
    "mask_token": None,
    "multi_scale_fusion_heads": None,
    "decoder_pos_embed": None,
    "decoder_embed": None,
    "decoder_blocks": None,
    "decoder_norm": None,
    "decoder_pred": None,
}


def from_transformers(state: State, config: HieraConfig) -> dict[str, Tensor]:
    """Convert `HieraModel`, its classifier, and the encoder of its pre-training."""
    table = dict(TRANSFORMERS)
    for stage in range(len(config.depths)):
        for index in range(config.depths[stage]):
            theirs, ours = f"encoder.stages.{stage}.layers.{index}", f"blocks.{sum(config.depths[:stage]) + index}"
            table |= {f"{theirs}.layernorm_before": f"{ours}.norm1", f"{theirs}.layernorm_after": f"{ours}.norm2"}
            table[theirs] = ours
    return rename(strip_prefix(state, "hiera."), table)


def from_facebook(state: State, _config: HieraConfig) -> dict[str, Tensor]:
    """Convert the authors' layout, that of their pre-training, and timm's, which names only the head otherwise."""
    return rename(state, FACEBOOK)


FORMATS = {
    "transformers": CheckpointFormat("embeddings.patch_embeddings.projection.weight", from_transformers),
    "facebook": CheckpointFormat("blocks.0.attn.qkv.weight", from_facebook),
}
"""Layout -> how to recognise and convert it."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate a ``config.json`` of the model type ``hiera``.

    Raises:
        ConfigError: a value that our model does not have, named.
    """
    require_value(described, "hidden_act", "gelu")
    require_value(described, "embed_dim_multiplier", 2.0)
    require_value(described, "query_stride", [2, 2])
    require_value(described, "num_query_pool", len(described["depths"]) - 1)
    return {
        "image_size": square_side(described, "image_size"),
        "in_channels": described["num_channels"],
        "num_classes": huggingface_classes(described),
        "patch_size": square_side(described, "patch_size"),
        "patch_stride": square_side(described, "patch_stride"),
        "patch_padding": square_side(described, "patch_padding"),
        "embed_dim": described["embed_dim"],
        "depths": tuple(described["depths"]),
        "num_heads": tuple(described["num_heads"]),
        "unit_size": square_side(described, "masked_unit_size"),
        "unit_attention": tuple(described["masked_unit_attention"]),
        "mlp_ratio": described["mlp_ratio"],
        "drop_path": described["drop_path_rate"],
        "layer_norm_eps": described["layer_norm_eps"],
    }
