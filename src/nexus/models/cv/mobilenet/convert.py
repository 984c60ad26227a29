"""From the layouts in which MobileNets are published to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nexus.errors import ConfigError
from nexus.layers import make_divisible
from nexus.models.conversion import (
    CheckpointFormat,
    State,
    huggingface_classes,
    rename,
    require_value,
    strip_prefix,
    with_batch_counts,
)
from nexus.models.cv.mobilenet.model import V2_STAGES, MobileNetV1Config, MobileNetV2Config, MobileNetV3Config

__all__ = ["FORMATS", "config_from_huggingface"]

Table = dict[str, str | None]

# -- transformers -----------------------------------------------------------------------------------------------------

HUGGINGFACE_LAYER = {"convolution": "conv", "normalization": "bn"}
HUGGINGFACE_BLOCK = {"expand_1x1": "expand", "conv_3x3": "depthwise", "reduce_1x1": "project"}


def from_transformers_v1(state: State, config: MobileNetV1Config) -> dict[str, Tensor]:
    """Convert transformers' MobileNetV1Model and MobileNetV1ForImageClassification."""
    layers = {"conv_stem": "stem"}
    for number in range(len(config.widths)):
        layers[f"layer.{2 * number}"] = f"blocks.{number}.depthwise"
        layers[f"layer.{2 * number + 1}"] = f"blocks.{number}.pointwise"
    return from_transformers(strip_prefix(state, "mobilenet_v1."), layers, config.num_classes)


def from_transformers_v2(state: State, config: MobileNetV2Config) -> dict[str, Tensor]:
    """Convert transformers' MobileNetV2Model and MobileNetV2ForImageClassification, whose stem has the first block."""
    layers = {"conv_stem.first_conv": "stem", "conv_1x1": "top"}
    for theirs, ours in HUGGINGFACE_BLOCK.items():
        layers[f"conv_stem.{theirs}"] = f"blocks.0.{ours}"
        for number in range(1, sum(stage.depth for stage in config.stages)):
            layers[f"layer.{number - 1}.{theirs}"] = f"blocks.{number}.{ours}"
    return from_transformers(strip_prefix(state, "mobilenet_v2."), layers, config.num_classes)


def from_transformers(state: State, layers: Mapping[str, str], num_classes: int) -> dict[str, Tensor]:
    """Rename the layers. The authors' classifiers have a class more than ImageNet, the first: background."""
    table: Table = {
        f"{theirs}.{part}": f"{ours}.{name}"
        for theirs, ours in layers.items()
        for part, name in HUGGINGFACE_LAYER.items()
    }
    converted = with_batch_counts(rename(state, {**table, "classifier": "head"}))
    for key in ("head.weight", "head.bias"):
        if num_classes == 1000 and key in converted and len(converted[key]) == 1001:
            converted[key] = converted[key][1:]
    return converted


# -- timm -------------------------------------------------------------------------------------------------------------

TIMM: Table = {"conv_stem": "stem.conv", "bn1": "stem.bn", "classifier": "head"}
TIMM_EXCITE = {"se.conv_reduce": "squeeze_excite.reduce", "se.conv_expand": "squeeze_excite.expand"}
TIMM_INVERTED = {
    "conv_pw": "expand.conv",
    "bn1": "expand.bn",
    "conv_dw": "depthwise.conv",
    "bn2": "depthwise.bn",
    **TIMM_EXCITE,
    "conv_pwl": "project.conv",
    "bn3": "project.bn",
}
TIMM_SEPARABLE = {
    "conv_dw": "depthwise.conv",
    "bn1": "depthwise.bn",
    **TIMM_EXCITE,
    "conv_pw": "project.conv",
    "bn2": "project.bn",
}
"""timm's keys -> ours; of a whole model, of a block, and of a block that does not expand."""


def from_timm(state: State, config: Any) -> dict[str, Tensor]:
    """Convert timm's MobileNetV1, V2 and V3, ``tf_`` ones included."""
    table = dict(TIMM)
    for number, place in enumerate(timm_places(state)):
        parts = TIMM_INVERTED if f"{place}.conv_pwl.weight" in state else TIMM_SEPARABLE
        table |= {f"{place}.{theirs}": f"blocks.{number}.{ours}" for theirs, ours in parts.items()}
        if f"{place}.conv.weight" in state:  # V3: the last stage is the top
            table |= {f"{place}.conv": "top.conv", f"{place}.bn1": "top.bn"}
    if isinstance(config, MobileNetV3Config):
        converted = with_batch_counts(rename(state, {**table, "conv_head": "fc"}))
        return {key: tensor.flatten(1) if key == "fc.weight" else tensor for key, tensor in converted.items()}
    converted = with_batch_counts(rename(state, {**table, "conv_head": "top.conv", "bn2": "top.bn"}))
    if isinstance(config, MobileNetV1Config):
        return {key.replace(".project.", ".pointwise."): tensor for key, tensor in converted.items()}
    return converted


def timm_places(state: State) -> list[str]:
    """List the blocks in order: ``blocks.0.0``, ``blocks.1.0``, ``blocks.1.1``, ..."""
    places = {(int(m[1]), int(m[2])) for key in state if (m := re.match(r"blocks\.(\d+)\.(\d+)\.", key))}
    return [f"blocks.{stage}.{index}" for stage, index in sorted(places)]


# -- torchvision ------------------------------------------------------------------------------------------------------


def from_torchvision_v2(state: State, config: MobileNetV2Config) -> dict[str, Tensor]:
    """Convert torchvision's MobileNetV2."""
    depth = sum(stage.depth for stage in config.stages)
    table: Table = {
        **torchvision_layer("features.0", "stem"),
        **torchvision_layer(f"features.{depth + 1}", "top"),
        "classifier.1": "head",
    }
    for number in range(depth):
        place, ours = f"features.{number + 1}.conv", f"blocks.{number}"
        parts = ["expand", "depthwise"] if f"{place}.3.weight" in state else ["depthwise"]
        for position, part in enumerate(parts):
            table |= torchvision_layer(f"{place}.{position}", f"{ours}.{part}")
        last = len(parts)
        table |= {f"{place}.{last}": f"{ours}.project.conv", f"{place}.{last + 1}": f"{ours}.project.bn"}
    return with_batch_counts(rename(state, table))


def from_torchvision_v3(state: State, config: MobileNetV3Config) -> dict[str, Tensor]:
    """Convert torchvision's MobileNetV3."""
    depth = len(config.blocks)
    table: Table = {
        **torchvision_layer("features.0", "stem"),
        **torchvision_layer(f"features.{depth + 1}", "top"),
        "classifier.0": "fc",
        "classifier.3": "head",
    }
    for number, block in enumerate(config.blocks):
        place, ours = f"features.{number + 1}.block", f"blocks.{number}"
        parts = ["depthwise", *(["squeeze_excite"] if block.squeeze else []), "project"]
        if f"{place}.{len(parts)}.0.weight" in state:
            parts.insert(0, "expand")
        for position, part in enumerate(parts):
            theirs = f"{place}.{position}"
            if part == "squeeze_excite":
                table |= {f"{theirs}.fc1": f"{ours}.{part}.reduce", f"{theirs}.fc2": f"{ours}.{part}.expand"}
            else:
                table |= torchvision_layer(theirs, f"{ours}.{part}")
    return with_batch_counts(rename(state, table))


def torchvision_layer(theirs: str, ours: str) -> Table:
    """The keys of a convolution with its norm."""
    return {f"{theirs}.0": f"{ours}.conv", f"{theirs}.1": f"{ours}.bn"}


# -- MXNet ------------------------------------------------------------------------------------------------------------

MXNET_NORM = {"gamma": "weight", "beta": "bias", "running_mean": "running_mean", "running_var": "running_var"}
MXNET_LAYER = re.compile(r"(?:linearbottleneck(\d+)_)?(conv|batchnorm)(\d)_(\w+)")


def from_mxnet(state: State, _: MobileNetV2Config) -> dict[str, Tensor]:
    """Convert MXNet's (Gluon's) MobileNetV2 as the ONNX model zoo has it, whose classifier has no bias."""
    converted: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key.startswith("mobilenetv20_features_"):
            converted[mxnet_name(key.removeprefix("mobilenetv20_features_"))] = tensor
        elif key == "mobilenetv20_output_pred_weight":
            converted |= {"head.weight": tensor.flatten(1), "head.bias": torch.zeros(len(tensor))}
        elif not key.startswith("reshape_attr"):  # a constant of the graph
            converted[key] = tensor
    return with_batch_counts(converted)


def mxnet_name(key: str) -> str:
    """Translate ``linearbottleneck3_batchnorm1_gamma`` into ``blocks.3.depthwise.bn.weight``."""
    match = MXNET_LAYER.fullmatch(key)
    if match is None:
        return key
    block, kind, number, tensor = match.groups()
    parts = ("stem", "top") if block is None else ("expand", "depthwise", "project")
    layer = f"{parts[int(number)]}.{'conv' if kind == 'conv' else 'bn'}.{MXNET_NORM.get(tensor, tensor)}"
    return layer if block is None else f"blocks.{block}.{layer}"


FORMATS = {
    "transformers v1": CheckpointFormat("conv_stem.convolution.weight", from_transformers_v1),
    "transformers v2": CheckpointFormat("conv_stem.first_conv.convolution.weight", from_transformers_v2),
    "timm": CheckpointFormat("conv_stem.weight", from_timm),
    "torchvision v2": CheckpointFormat("features.1.conv.0.0.weight", from_torchvision_v2),
    "torchvision v3": CheckpointFormat("features.1.block.0.0.weight", from_torchvision_v3),
    "mxnet": CheckpointFormat("mobilenetv20_features_conv0_weight", from_mxnet),
}

# -- configs ----------------------------------------------------------------------------------------------------------


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the ``config.json`` of transformers' MobileNetV1 or MobileNetV2.

    Raises:
        ConfigError: a setting that our config cannot say.
    """
    require_value(described, "num_channels", 3)
    if described.get("hidden_act", "relu6") not in ("relu6", "relu"):
        raise ConfigError(f"hidden_act = {described['hidden_act']!r}: nexus' MobileNet has only 'relu6' and 'relu'")
    second = described["model_type"] == "mobilenet_v2"
    return {
        "activation": described.get("hidden_act", "relu6"),
        "padding": "same" if described.get("tf_padding", True) else "symmetric",
        "bn_eps": described.get("layer_norm_eps", 1e-3),
        "dropout": dropped(described.get("classifier_dropout_prob", 0.8 if second else 0.999)),
        "num_classes": huggingface_classes(described),
        **(second_widths(described) if second else first_widths(described)),
    }


def first_widths(described: Mapping[str, Any]) -> dict[str, Any]:
    """Widths as transformers' MobileNetV1 scales them: cut off, not rounded."""
    multiplier, least = described.get("depth_multiplier", 1.0), described.get("min_depth", 8)
    default = MobileNetV1Config.parse({})
    return {
        "width_divisor": 1,
        "stem_width": max(int(default.stem_width * multiplier), least),
        "widths": tuple(max(int(width * multiplier), least) for width in default.widths),
    }


def second_widths(described: Mapping[str, Any]) -> dict[str, Any]:
    """Widths as transformers' MobileNetV2 scales them: rounded before they are rounded to multiples."""
    require_value(described, "output_stride", 32)
    multiplier: float = described.get("depth_multiplier", 1.0)
    divisor: int = described.get("depth_divisible_by", 8)
    least: int = described.get("min_depth", 8)

    def scaled(width: int) -> int:
        return max(least, make_divisible(float(round(width * multiplier)), divisor))

    top = scaled(1280)
    if described.get("finegrained_output", True) and multiplier < 1:
        top = 1280
    ratio = described.get("expand_ratio", 6.0)
    return {
        "width_divisor": divisor,
        "stem_width": scaled(32),
        "stages": tuple(
            {**stage.to_dict(), "width": scaled(stage.width), "expand_ratio": ratio if number else 1}
            for number, stage in enumerate(V2_STAGES)
        ),
        "top_width": top,
        "expand_always": not described.get("first_layer_is_expansion", True),
    }


def dropped(probability: float) -> float:
    """transformers' defaults are the authors' probabilities to keep; files have had the one to drop since 2023."""
    return 1 - probability if probability > 0.5 else probability
