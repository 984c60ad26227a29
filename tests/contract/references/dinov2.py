"""Full-size DINOv2s of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    import transformers

    config = variant.config
    values = {
        **transformer_values(config),
        "image_size": 518,
        "patch_size": 14,
        "use_swiglu_ffn": config.get("ffn") == "swiglu",
    }
    if registers := config.get("num_registers"):
        described = transformers.Dinov2WithRegistersConfig(num_register_tokens=registers, **values)
        states = {"transformers": on_meta(transformers.Dinov2WithRegistersModel, described)}
    else:
        states = {"transformers": on_meta(transformers.Dinov2Model, transformers.Dinov2Config(**values))}
    return states | published("dinov2", variant)
