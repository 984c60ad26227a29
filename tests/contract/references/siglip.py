"""Full-size SigLIPs of other libraries."""

from __future__ import annotations

from typing import Any

from family_references import Shapes, on_meta, published, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import Siglip2Config, Siglip2Model, SiglipConfig, SiglipModel

    image, text = variant.config["image"], variant.config["text"]
    vision = {**tower(image), "patch_size": image["patch_size"]}
    words = {**tower(text), "vocab_size": text["vocab_size"], "projection_size": text["projection_dim"]}
    words["max_position_embeddings"] = text.get("context_length", 64)
    if image.get("naflex"):
        vision["num_patches"] = (image["image_size"] // image["patch_size"]) ** 2
        described = Siglip2Config(vision_config=vision, text_config=words)
        return {"transformers": on_meta(Siglip2Model, described)} | published("siglip", variant)
    vision["image_size"] = image["image_size"]
    described = SiglipConfig(vision_config=vision, text_config=words)
    return {"transformers": on_meta(SiglipModel, described)} | published("siglip", variant)


def tower(config: dict[str, Any]) -> dict[str, Any]:
    return {**transformer_values(config), "intermediate_size": config["mlp_dim"]}
