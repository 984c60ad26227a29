"""Full-size Hieras of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import HieraConfig, HieraForImageClassification, HieraForPreTraining

    values = {key: list(value) if isinstance(value, tuple) else value for key, value in variant.config.items()}
    classes = values.pop("num_classes")
    if classes:
        model, described = HieraForImageClassification, HieraConfig(**values, num_labels=classes)
    else:
        decoder = {"decoder_hidden_size": 512, "decoder_depth": 8, "decoder_num_heads": 16}
        model, described = HieraForPreTraining, HieraConfig(**values, **decoder)
    return published("hiera", variant) | {"transformers": on_meta(model, described)}
