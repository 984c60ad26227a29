"""Full-size ConvNeXts of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    import transformers

    config, second = variant.config, variant.config.get("grn", False)
    described = (transformers.ConvNextV2Config if second else transformers.ConvNextConfig)(
        depths=list(config["depths"]), hidden_sizes=list(config["widths"]), num_labels=config.get("num_classes", 1000)
    )
    kind = "ForImageClassification" if config.get("num_classes", 1000) else "Model"
    model = getattr(transformers, f"ConvNextV2{kind}" if second else f"ConvNext{kind}")
    return {"transformers": on_meta(model, described), **published("convnext", variant)}
