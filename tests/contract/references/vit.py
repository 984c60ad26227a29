"""Full-size ViTs, and the encoders of MAE and I-JEPA, of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import (
        IJepaConfig,
        IJepaModel,
        ViTConfig,
        ViTForImageClassification,
        ViTMAEConfig,
        ViTMAEForPreTraining,
        ViTModel,
    )

    states, config = published("vit", variant), variant.config
    described = {
        **transformer_values(config),
        "intermediate_size": round(config.get("mlp_ratio", 4) * config["embed_dim"]),
        "patch_size": config["patch_size"],
        "image_size": config["image_size"],
    }
    if variant.name.startswith("ijepa"):
        states["transformers"] = on_meta(IJepaModel, IJepaConfig(**described))
    elif variant.name.startswith("mae"):
        if not config["num_classes"]:
            states["transformers"] = on_meta(ViTMAEForPreTraining, ViTMAEConfig(**described))
    else:
        theirs = ViTForImageClassification if config["num_classes"] else ViTModel
        states["transformers"] = on_meta(theirs, ViTConfig(**described, num_labels=config["num_classes"]))
    return states
