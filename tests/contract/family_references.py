"""What the reference implementations call the tensors of our variants, at full size.

transformers' classes are built on the meta device; the keys of the others were written down by the generators in
``tests/parity/golden``.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from nexus.registry import Variant

__all__ = ["full_size_states"]

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"

Shapes = Mapping[str, tuple[int, ...]]


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    """Return library -> key -> shape of the state dicts in which a variant is published; nothing if none is known."""
    find = REFERENCES.get(variant.family)
    return find(variant) if find else published(variant.family, variant)


def vit(variant: Variant) -> dict[str, Shapes]:
    from transformers import ViTConfig, ViTForImageClassification, ViTModel

    config = variant.config
    theirs = ViTConfig(
        **common(config),
        intermediate_size=4 * config["embed_dim"],
        num_labels=config["num_classes"],
        patch_size=config["patch_size"],
        image_size=config["image_size"],
    )
    architecture = variant.name.partition(".")[0].removesuffix("_in21k")
    states = {"transformers": on_meta(ViTForImageClassification if config["num_classes"] else ViTModel, theirs)}
    timm = golden("vit")["timm"]
    if config["num_classes"] and architecture in timm:
        states["timm"] = timm[architecture]
    return states


def dinov2(variant: Variant) -> dict[str, Shapes]:
    import transformers

    config = variant.config
    values = {**common(config), "image_size": 518, "patch_size": 14, "use_swiglu_ffn": config.get("ffn") == "swiglu"}
    if registers := config.get("num_registers"):
        described = transformers.Dinov2WithRegistersConfig(num_register_tokens=registers, **values)
        states = {"transformers": on_meta(transformers.Dinov2WithRegistersModel, described)}
    else:
        states = {"transformers": on_meta(transformers.Dinov2Model, transformers.Dinov2Config(**values))}
    return states | published("dinov2", variant)


def resnet(variant: Variant) -> dict[str, Shapes]:
    from transformers import ResNetConfig, ResNetForImageClassification

    states = published("resnet", variant)
    if not variant.name.endswith(".keras_in1k"):
        config = variant.config
        described = ResNetConfig(
            layer_type=config["block"], depths=config["depths"], hidden_sizes=config["widths"], num_labels=1000
        )
        states["transformers"] = on_meta(ResNetForImageClassification, described)
    return states


def efficient_net(variant: Variant) -> dict[str, Shapes]:
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    states = published("efficient_net", variant)
    if "lite" not in variant.name:
        scale = {key: variant.config[key] for key in ("width_coefficient", "depth_coefficient")}
        top = states["timm"]["conv_head.weight"][0]  # transformers wants it beside the coefficient that gives it
        described = EfficientNetConfig(num_labels=1000, hidden_dim=top, **scale)
        states["transformers"] = on_meta(EfficientNetForImageClassification, described)
    return states


def published(family: str, variant: Variant) -> dict[str, Shapes]:
    """The libraries in a family's golden list of keys that have a variant."""
    return {library: models[variant.name] for library, models in golden(family).items() if variant.name in models}


def common(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a Hugging Face config that ViT and DINOv2 name alike."""
    return {
        "hidden_size": config["embed_dim"],
        "num_hidden_layers": config["num_layers"],
        "num_attention_heads": config["num_heads"],
    }


def on_meta(build: Callable[[Any], torch.nn.Module], config: Any) -> Shapes:
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build(config).state_dict().items()}


@cache
def golden(family: str) -> dict[str, dict[str, dict[str, tuple[int, ...]]]]:
    """Read library -> model -> key -> shape; nothing for a family that has no such file."""
    if not (GOLDEN / f"{family}_keys.json.gz").is_file():
        return {}
    described = json.loads(gzip.decompress((GOLDEN / f"{family}_keys.json.gz").read_bytes()))
    return {
        library: {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in models.items()}
        for library, models in described.items()
    }


REFERENCES: dict[str, Callable[[Variant], dict[str, Shapes]]] = {
    "dinov2": dinov2,
    "efficient_net": efficient_net,
    "resnet": resnet,
    "vit": vit,
}
