"""Full-size ResNets of other libraries."""

from __future__ import annotations

from family_references import Shapes, golden, on_meta, published

from nexus.registry import Variant

PLAIN = {"block", "depths", "widths"}
"""What a config changes that transformers can say, too."""


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import ResNetConfig, ResNetForImageClassification

    architecture, config = variant.name.partition(".")[0], variant.config
    if states := published("resnet", variant):
        if variant.name != architecture:  # a file with a layout of its own
            return states
    else:
        states = {
            library: models[architecture] for library, models in golden("resnet").items() if architecture in models
        }
    if config.keys() <= PLAIN:
        described = ResNetConfig(
            layer_type=config["block"], depths=config["depths"], hidden_sizes=config["widths"], num_labels=1000
        )
        states["transformers"] = on_meta(ResNetForImageClassification, described)
    return states
