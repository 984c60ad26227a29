"""Full-size MobileNets of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    import transformers

    states = published("mobilenet", variant)
    source = variant.weights[0].get("repository", "")
    if source.startswith("google/"):  # with the class "background", which ours have not
        generation = variant.class_name.removeprefix("MobileNet")
        values = {"num_labels": 1001, "depth_multiplier": variant.config["width_coefficient"]}
        config = getattr(transformers, f"MobileNet{generation}Config")(**values)
        states["transformers"] = on_meta(getattr(transformers, f"MobileNet{generation}ForImageClassification"), config)
    return states
