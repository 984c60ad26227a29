"""Full-size Swin Transformers of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import SwinConfig, SwinForImageClassification

    config = variant.config
    described = SwinConfig(
        embed_dim=config["embed_dim"],
        depths=config["depths"],
        num_heads=config["num_heads"],
        window_size=config["window_size"],
        num_labels=config["num_classes"],
    )
    states = {"transformers": on_meta(SwinForImageClassification, described)}
    return states | published("swin_transformer", variant)
