"""Full-size EfficientNets of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    states = published("efficient_net", variant)
    if variant.weights[0].get("repository", "").startswith("google/"):
        scale = {key: variant.config[key] for key in ("width_coefficient", "depth_coefficient")}
        top = states["timm"]["conv_head.weight"][0]  # transformers wants it beside the coefficient that gives it
        described = EfficientNetConfig(num_labels=1000, hidden_dim=top, **scale)
        states["transformers"] = on_meta(EfficientNetForImageClassification, described)
    return states
