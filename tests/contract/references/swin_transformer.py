"""Full-size Swin Transformers of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import SwinConfig, SwinForImageClassification, Swinv2Config, Swinv2ForImageClassification

    values = {key: value for key, value in variant.config.items() if key != "num_classes"}
    values |= {"num_labels": variant.config["num_classes"]}
    states = published("swin_transformer", variant)
    if variant.class_name == "SwinTransformer":
        return states | {"transformers": on_meta(SwinForImageClassification, SwinConfig(**values))}
    values = {key: value for key, value in values.items() if value}  # theirs has no None, and zeros where ours is empty
    return states | {"transformers": on_meta(Swinv2ForImageClassification, Swinv2Config(**values))}
