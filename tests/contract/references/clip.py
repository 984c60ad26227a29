"""Full-size CLIPs of other libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from family_references import Shapes, on_meta, published, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    states = published("clip", variant)
    if variant.class_name == "CLIPVision":
        states["transformers"] = image_tower(variant.config)
    elif "patch_size" in variant.config["image"]:
        states["transformers"] = pair(variant.config)
    return states


def pair(config: Mapping[str, Any]) -> Shapes:
    from transformers import CLIPConfig, CLIPModel

    described = CLIPConfig(
        vision_config=values(config["image"]),
        text_config=values({"num_layers": 12, **config["text"]}),
        projection_dim=config["text"]["projection_dim"],
    )
    return on_meta(CLIPModel, described)


def image_tower(config: Mapping[str, Any]) -> Shapes:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    described = CLIPVisionConfig(**values(config), projection_dim=config["projection_dim"])
    return on_meta(CLIPVisionModelWithProjection, described)


def values(config: Mapping[str, Any]) -> dict[str, Any]:
    sizes = {key: config[key] for key in ("image_size", "patch_size") if key in config}
    hidden = round(config.get("mlp_ratio", 4) * config["embed_dim"])
    return {**transformer_values(config), **sizes, "intermediate_size": hidden}
