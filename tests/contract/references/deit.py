"""Full-size DeiTs of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher, ViTConfig, ViTForImageClassification

    config = variant.config
    described = {
        **transformer_values(config),
        "intermediate_size": 4 * config["embed_dim"],
        "image_size": config["image_size"],
        "num_labels": config["num_classes"],
    }
    if config["distilled"]:
        theirs = on_meta(DeiTForImageClassificationWithTeacher, DeiTConfig(**described))
    else:
        theirs = on_meta(ViTForImageClassification, ViTConfig(**described))
    return {**published("deit", variant), "transformers": theirs}
