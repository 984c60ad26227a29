"""Full-size MobileViTs of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    import transformers

    states, config = published("mobilevit", variant), variant.config
    if variant.class_name == "MobileViTV2":
        described = transformers.MobileViTV2Config(width_multiplier=config["width_multiplier"], num_labels=1000)
        states["transformers"] = on_meta(transformers.MobileViTV2ForImageClassification, described)
    else:
        described = transformers.MobileViTConfig(
            neck_hidden_sizes=[16, *config["widths"], config["top_width"]],
            hidden_sizes=list(config["transformer_dims"]),
            expand_ratio=config.get("expand_ratio", 4.0),
            num_labels=1000,
        )
        states["transformers"] = on_meta(transformers.MobileViTForImageClassification, described)
    return states
