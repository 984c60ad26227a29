"""Full-size ResNets of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import ResNetConfig, ResNetForImageClassification

    states = published("resnet", variant)
    if not variant.name.endswith(".keras_in1k"):
        config = variant.config
        described = ResNetConfig(
            layer_type=config["block"], depths=config["depths"], hidden_sizes=config["widths"], num_labels=1000
        )
        states["transformers"] = on_meta(ResNetForImageClassification, described)
    return states
