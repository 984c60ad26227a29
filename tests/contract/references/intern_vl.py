"""Full-size InternVLs of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import InternVLVisionConfig, InternVLVisionModel

    states, config = published("intern_vl", variant), variant.config
    if variant.class_name == "InternViT":
        described = InternVLVisionConfig(
            **transformer_values(config),
            intermediate_size=4 * config["embed_dim"],
            image_size=config["image_size"],
            attention_bias=config.get("qkv_bias", True),
            use_qk_norm=config.get("qk_norm", False),
            norm_type=config.get("norm", "layer_norm"),
        )
        states["transformers"] = on_meta(InternVLVisionModel, described)
    return states
