"""Full-size CLIPs of other libraries."""

from __future__ import annotations

from typing import Any

from family_references import Shapes, on_meta, published, transformer_values

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import CLIPConfig, CLIPModel

    values: dict[str, Any] = {
        f"{part}_config": {
            **transformer_values({"num_layers": 12, **variant.config[tower]}),
            "intermediate_size": 4 * variant.config[tower]["embed_dim"],
        }
        for part, tower in (("vision", "image"), ("text", "text"))
    }
    values["vision_config"] |= {key: variant.config["image"][key] for key in ("image_size", "patch_size")}
    described = CLIPConfig(projection_dim=variant.config["text"]["projection_dim"], **values)
    return {"transformers": on_meta(CLIPModel, described)} | published("clip", variant)
