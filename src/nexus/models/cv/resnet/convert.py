"""From the layouts in which ResNets are published to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.errors import ConfigError
from nexus.models.conversion import CheckpointFormat, State, rename, with_batch_counts

__all__ = ["FORMATS", "config_from_huggingface"]

STAGES = range(4)

TORCHVISION: dict[str, str | None] = {
    "conv1": "stem.conv",
    "bn1": "stem.bn",
    **{
        f"layer{s + 1}.{{}}.{theirs}": f"stages.{s}.{{}}.{ours}"
        for s in STAGES
        for theirs, ours in {
            "conv1": "conv1.conv",
            "conv2": "conv2.conv",
            "conv3": "conv3.conv",
            "bn1": "conv1.bn",
            "bn2": "conv2.bn",
            "bn3": "conv3.bn",
            "downsample.0": "shortcut.conv",
            "downsample.1": "shortcut.bn",
        }.items()
    },
    "fc": "head",
}
"""torchvision's keys -> ours. timm's are the same."""

DEEP_STEM: dict[str, str | None] = {
    "conv1.0": "stem.deep.0.conv",
    "conv1.1": "stem.deep.0.bn",
    "conv1.3": "stem.deep.1.conv",
    "conv1.4": "stem.deep.1.bn",
    "conv1.6": "stem.conv",
    **TORCHVISION,
    **{f"layer{s + 1}.{{}}.downsample.1": f"stages.{s}.{{}}.shortcut.conv" for s in STAGES},
    **{f"layer{s + 1}.{{}}.downsample.2": f"stages.{s}.{{}}.shortcut.bn" for s in STAGES},
}
"""Keys of timm's "D" networks -> ours."""

TIMM_V2: dict[str, str | None] = {
    "stem.conv": "stem.conv",
    **{f"stem.conv{i + 1}": f"stem.deep.{i}.conv" for i in range(2)},
    **{f"stem.norm{i + 1}": f"stem.deep.{i}.bn" for i in range(2)},
    "stem.conv3": "stem.conv",
    **{f"stages.{{}}.blocks.{{}}.conv{i}": f"stages.{{}}.{{}}.conv{i}" for i in (1, 2, 3)},
    **{f"stages.{{}}.blocks.{{}}.norm{i}": f"stages.{{}}.{{}}.bn{i}" for i in (1, 2, 3)},
    "stages.{}.blocks.{}.downsample": "stages.{}.{}.shortcut",
    "norm": "norm.bn",
    "head.fc": "head",
}
"""Keys of timm's ResNetV2 -> ours."""

BACKBONE: dict[str, str | None] = {
    "embedder.embedder.convolution": "stem.conv",
    "embedder.embedder.normalization": "stem.bn",
    **{
        f"encoder.stages.{{}}.layers.{{}}.layer.{i}.{theirs}": f"stages.{{}}.{{}}.conv{i + 1}.{ours}"
        for i in range(3)
        for theirs, ours in {"convolution": "conv", "normalization": "bn"}.items()
    },
    "encoder.stages.{}.layers.{}.shortcut.convolution": "stages.{}.{}.shortcut.conv",
    "encoder.stages.{}.layers.{}.shortcut.normalization": "stages.{}.{}.shortcut.bn",
}
"""Keys of transformers' ResNetModel -> ours."""

TRANSFORMERS: dict[str, str | None] = {
    **{f"resnet.{theirs}": ours for theirs, ours in BACKBONE.items()},
    "classifier.1": "head",
}
"""Keys of transformers' ResNetForImageClassification -> ours."""

KERAS_NORM = {"gamma": "weight", "beta": "bias", "moving_variance": "running_var"}


def from_torchvision(state: State, config: Any) -> dict[str, Tensor]:
    """Convert torchvision's or timm's ResNet."""
    return with_batch_counts(rename(state, DEEP_STEM if config.stem == "deep" else TORCHVISION))


def from_timm_v2(state: State, _: Any) -> dict[str, Tensor]:
    """Convert timm's ResNetV2, whose head is a 1x1 convolution."""
    renamed = rename(state, TIMM_V2)
    if "head.weight" in renamed:
        renamed["head.weight"] = renamed["head.weight"].flatten(1)
    return with_batch_counts(renamed)


def from_transformers(state: State, _: Any) -> dict[str, Tensor]:
    """Convert transformers' ResNetForImageClassification."""
    return with_batch_counts(rename(state, TRANSFORMERS))


def from_transformers_backbone(state: State, _: Any) -> dict[str, Tensor]:
    """Convert transformers' ResNetModel, which has no head."""
    return with_batch_counts(rename(state, BACKBONE))


def from_keras(state: State, config: Any) -> dict[str, Tensor]:
    """Convert the first ResNet-50 of Keras (Caffe's layer names), as TensorFlow.js stores it.

    Its convolutions have biases. The batch norm behind each one subtracts the running mean, so the bias is taken off
    that mean, which gives the same output.
    """
    left = dict(state)
    converted: dict[str, Tensor] = {}
    for theirs, norm, ours in keras_layers(config.depths):
        if f"{theirs}/kernel" not in left:
            continue
        converted[f"{ours}.conv.weight"] = left.pop(f"{theirs}/kernel").permute(3, 2, 0, 1)  # HWIO -> OIHW
        for key, name in KERAS_NORM.items():
            converted[f"{ours}.bn.{name}"] = left.pop(f"{norm}/{key}")
        converted[f"{ours}.bn.running_mean"] = left.pop(f"{norm}/moving_mean") - left.pop(f"{theirs}/bias")
    if "fc1000/kernel" in left:
        converted["head.weight"] = left.pop("fc1000/kernel").T
        converted["head.bias"] = left.pop("fc1000/bias")
    return with_batch_counts({**converted, **left})


def keras_layers(depths: tuple[int, ...]) -> list[tuple[str, str, str]]:
    """List Keras' convolutions, their norms and our names: ``res2a_branch2b, bn2a_branch2b, stages.0.0.conv2``."""
    branches = {"2a": "conv1", "2b": "conv2", "2c": "conv3", "1": "shortcut"}
    return [
        ("conv1", "bn_conv1", "stem"),
        *(
            (f"res{place}_branch{branch}", f"bn{place}_branch{branch}", f"stages.{s}.{b}.{ours}")
            for s, depth in enumerate(depths)
            for b, place in enumerate(f"{s + 2}{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"[:depth])
            for branch, ours in branches.items()
        ),
    ]


GLUON_NORM = {"gamma": "weight", "beta": "bias", "running_mean": "running_mean", "running_var": "running_var"}


def from_gluon(state: State, config: Any) -> dict[str, Tensor]:
    """Convert a second version of Gluon's, as the ONNX model zoo has it; the shape of its reshape is no weight."""
    prefix = next(key for key in state if key.endswith("_conv0_weight") and "stage" not in key).removesuffix(
        "conv0_weight"
    )
    layers = gluon_layers(config)
    table: dict[str, str | None] = {f"{prefix}{theirs}_weight": f"{ours}.weight" for theirs, ours in layers}
    for theirs, ours in layers:
        table |= {f"{prefix}{theirs}_{key}": f"{ours}.{name}" for key, name in GLUON_NORM.items()}
    table |= {f"{prefix}dense0_weight": "head.weight", f"{prefix}dense0_bias": "head.bias"}
    weights = {key: tensor for key, tensor in state.items() if not key.startswith("reshape_attr_tensor")}
    return with_batch_counts(rename(weights, table))


def gluon_layers(config: Any) -> list[tuple[str, str]]:
    """List Gluon's layers, numbered by kind in each stage in the order of construction, and our names.

    A block makes its shortcut last.
    """
    names = [("batchnorm0", "stem.input_norm"), ("conv0", "stem.conv"), ("batchnorm1", "stem.bn")]
    names.append(("batchnorm2", "norm.bn"))
    inputs = (config.stem_width, *config.widths)
    layers = range(1, 4 if config.block == "bottleneck" else 3)
    for s, depth in enumerate(config.depths):
        counts = {"batchnorm": 0, "conv": 0}
        for b in range(depth):
            parts = [(kind, f"{ours}{i}") for i in layers for kind, ours in (("batchnorm", "bn"), ("conv", "conv"))]
            if b == 0 and (inputs[s] != config.widths[s] or config.strides[s] > 1):
                parts.append(("conv", "shortcut.conv"))
            for kind, part in parts:
                names.append((f"stage{s + 1}_{kind}{counts[kind]}", f"stages.{s}.{b}.{part}"))
                counts[kind] += 1
    return names


FORMATS = {
    "torchvision": CheckpointFormat("layer1.0.conv1.weight", from_torchvision),
    "transformers": CheckpointFormat("resnet.embedder.embedder.convolution.weight", from_transformers),
    "transformers backbone": CheckpointFormat("embedder.embedder.convolution.weight", from_transformers_backbone),
    "timm v2": CheckpointFormat("stages.0.blocks.0.norm1.weight", from_timm_v2),
    "keras": CheckpointFormat("res2a_branch2a/kernel", from_keras),
    "gluon": CheckpointFormat("resnetv22_conv0_weight", from_gluon),
}


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the ``config.json`` of transformers' ResNet.

    Raises:
        ConfigError: a setting that a `ResNetConfig` cannot say.
    """
    for key, only in {"hidden_act": "relu", "num_channels": 3}.items():
        if described.get(key, only) != only:
            raise ConfigError(f"{key} = {described[key]!r}: nexus' ResNet has only {only!r}")
    widths = described.get("hidden_sizes", (256, 512, 1024, 2048))
    classifies = any("ForImageClassification" in name for name in described.get("architectures") or ())
    return {
        "block": described.get("layer_type", "bottleneck"),
        "depths": tuple(described.get("depths", (3, 4, 6, 3))),
        "widths": tuple(widths),
        "strides": (2 if described.get("downsample_in_first_stage") else 1, *(2 for _ in widths[1:])),
        "stem_width": described.get("embedding_size", 64),
        "bottleneck_stride": "1x1" if described.get("downsample_in_bottleneck") else "3x3",
        "num_classes": len(described.get("id2label") or range(2)) if classifies else 0,  # transformers' default is 2
    }
