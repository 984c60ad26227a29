"""Full-size ViTs of other libraries."""

from __future__ import annotations

from family_references import Shapes, golden, on_meta, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import ViTConfig, ViTForImageClassification, ViTModel

    config = variant.config
    theirs = ViTConfig(
        **transformer_values(config),
        intermediate_size=4 * config["embed_dim"],
        num_labels=config["num_classes"],
        patch_size=config["patch_size"],
        image_size=config["image_size"],
    )
    architecture = variant.name.partition(".")[0].removesuffix("_in21k")
    states = {"transformers": on_meta(ViTForImageClassification if config["num_classes"] else ViTModel, theirs)}
    timm = golden("vit")["timm"]
    if config["num_classes"] and architecture in timm:
        states["timm"] = timm[architecture]
    return states
