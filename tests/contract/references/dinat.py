"""Full-size DiNATs of other libraries."""

from __future__ import annotations

from unittest import mock

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import DinatConfig, DinatForImageClassification

    states, config = published("dinat", variant), variant.config
    described = DinatConfig(
        embed_dim=config["embed_dim"],
        depths=list(config["depths"]),
        num_heads=list(config["num_heads"]),
        kernel_size=config.get("kernel_size", 7),
        dilations=[list(dilations) for dilations in config["dilations"]],
        mlp_ratio=float(config["mlp_ratio"]),
        layer_scale_init_value=config.get("layer_scale", 0.0),
        num_labels=1000,
    )
    with mock.patch("transformers.models.dinat.modeling_dinat.requires_backends"):  # natten only computes
        states["transformers"] = on_meta(DinatForImageClassification, described)
    return states
