"""From the layouts in which EfficientNets are published to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nexus.errors import ConfigError
from nexus.models.conversion import CheckpointFormat, State, rename, with_batch_counts

__all__ = ["FORMATS", "config_from_huggingface"]

BACKBONE: dict[str, str | None] = {
    "embeddings.convolution": "stem.conv",
    "embeddings.batchnorm": "stem.bn",
    "encoder.blocks.{}.expansion.expand_conv": "blocks.{}.expand.conv",
    "encoder.blocks.{}.expansion.expand_bn": "blocks.{}.expand.bn",
    "encoder.blocks.{}.depthwise_conv.depthwise_conv": "blocks.{}.depthwise.conv",
    "encoder.blocks.{}.depthwise_conv.depthwise_norm": "blocks.{}.depthwise.bn",
    "encoder.blocks.{}.squeeze_excite": "blocks.{}.squeeze_excite",
    "encoder.blocks.{}.projection.project_conv": "blocks.{}.project.conv",
    "encoder.blocks.{}.projection.project_bn": "blocks.{}.project.bn",
    "encoder.top_conv": "top.conv",
    "encoder.top_bn": "top.bn",
}
"""Keys of transformers' EfficientNetModel -> ours."""

TRANSFORMERS: dict[str, str | None] = {
    **{f"efficientnet.{theirs}": ours for theirs, ours in BACKBONE.items()},
    "classifier": "head",
}
"""Keys of transformers' EfficientNetForImageClassification -> ours."""

PYTORCH: dict[str, str | None] = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.bn",
    "_blocks.{}._expand_conv": "blocks.{}.expand.conv",
    "_blocks.{}._bn0": "blocks.{}.expand.bn",
    "_blocks.{}._depthwise_conv": "blocks.{}.depthwise.conv",
    "_blocks.{}._bn1": "blocks.{}.depthwise.bn",
    "_blocks.{}._se_reduce": "blocks.{}.squeeze_excite.reduce",
    "_blocks.{}._se_expand": "blocks.{}.squeeze_excite.expand",
    "_blocks.{}._project_conv": "blocks.{}.project.conv",
    "_blocks.{}._bn2": "blocks.{}.project.bn",
    "_conv_head": "top.conv",
    "_bn1": "top.bn",
    "_fc": "head",
}
"""Keys of efficientnet-pytorch and efficientnet-lite-pytorch, which follow the authors' -> ours."""

TIMM: dict[str, str | None] = {
    "conv_stem": "stem.conv",
    "bn1": "stem.bn",
    "conv_head": "top.conv",
    "bn2": "top.bn",
    "classifier": "head",
}
TIMM_EXCITE = {"se.conv_reduce": "squeeze_excite.reduce", "se.conv_expand": "squeeze_excite.expand"}
TIMM_BLOCK: dict[tuple[bool, bool], dict[str, str]] = {
    (False, True): {
        "conv_pw": "expand.conv",
        "bn1": "expand.bn",
        "conv_dw": "depthwise.conv",
        "bn2": "depthwise.bn",
        **TIMM_EXCITE,
        "conv_pwl": "project.conv",
        "bn3": "project.bn",
    },
    (False, False): {
        "conv_dw": "depthwise.conv",
        "bn1": "depthwise.bn",
        **TIMM_EXCITE,
        "conv_pw": "project.conv",
        "bn2": "project.bn",
    },
    (True, True): {
        "conv_exp": "expand.conv",
        "bn1": "expand.bn",
        "conv_pwl": "project.conv",
        "bn2": "project.bn",
    },
    (True, False): {"conv": "expand.conv", "bn1": "expand.bn"},
}
"""timm's keys -> ours; of a whole model, and of a block by whether it is fused, and whether it expands."""

TORCHVISION_BLOCK: dict[tuple[bool, bool], tuple[str, ...]] = {
    (False, True): ("expand", "depthwise", "squeeze_excite", "project"),
    (False, False): ("depthwise", "squeeze_excite", "project"),
    (True, True): ("expand", "project"),
    (True, False): ("expand",),
}
"""What torchvision calls `block.0`, `block.1`, ...; of a block by whether it is fused, and whether it expands."""


def from_transformers(state: State, _: Any) -> dict[str, Tensor]:
    """Convert transformers' EfficientNetForImageClassification."""
    return with_batch_counts(rename(state, TRANSFORMERS))


def from_transformers_backbone(state: State, _: Any) -> dict[str, Tensor]:
    """Convert transformers' EfficientNetModel, which has no head."""
    return with_batch_counts(rename(state, BACKBONE))


def from_efficientnet_pytorch(state: State, _: Any) -> dict[str, Tensor]:
    """Convert the ``.pth`` files of efficientnet-pytorch and efficientnet-lite-pytorch."""
    return with_batch_counts(rename(state, PYTORCH))


def from_timm(state: State, config: Any) -> dict[str, Tensor]:
    """Convert timm's EfficientNet; V2, Lite and ``tf_`` ones included."""
    table = dict(TIMM)
    for number, (stage, index, kind) in enumerate(places(config)):
        parts = TIMM_BLOCK[kind].items()
        table |= {f"blocks.{stage}.{index}.{theirs}": f"blocks.{number}.{ours}" for theirs, ours in parts}
    return with_batch_counts(rename(state, table))


def from_torchvision(state: State, config: Any) -> dict[str, Tensor]:
    """Convert torchvision's EfficientNet and EfficientNetV2."""
    top = f"features.{len(config.stages) + 1}"
    table: dict[str, str | None] = {f"{top}.0": "top.conv", f"{top}.1": "top.bn", "classifier.1": "head"}
    table |= {"features.0.0": "stem.conv", "features.0.1": "stem.bn"}
    for number, (stage, index, kind) in enumerate(places(config)):
        for position, part in enumerate(TORCHVISION_BLOCK[kind]):
            theirs, ours = f"features.{stage + 1}.{index}.block.{position}", f"blocks.{number}.{part}"
            layers = ("fc1", "reduce", "fc2", "expand") if part == "squeeze_excite" else ("0", "conv", "1", "bn")
            table |= {f"{theirs}.{layers[0]}": f"{ours}.{layers[1]}", f"{theirs}.{layers[2]}": f"{ours}.{layers[3]}"}
    return with_batch_counts(rename(state, table))


def places(config: Any) -> list[tuple[int, int, tuple[bool, bool]]]:
    """List the blocks in order: stage, number in the stage, and whether it is fused and expands."""
    return [
        (s, index, (stage.fused, stage.expand_ratio > 1))
        for s, (stage, depth) in enumerate(zip(config.stages, config.scaled_depths()))
        for index in range(depth)
    ]


FORMATS = {
    "transformers": CheckpointFormat("efficientnet.embeddings.convolution.weight", from_transformers),
    "transformers backbone": CheckpointFormat("embeddings.convolution.weight", from_transformers_backbone),
    "timm": CheckpointFormat("conv_stem.weight", from_timm),
    "torchvision": CheckpointFormat("features.0.0.weight", from_torchvision),
    "efficientnet-pytorch": CheckpointFormat("_conv_stem.weight", from_efficientnet_pytorch),
}

DEFAULTS: dict[str, Any] = {
    "width_coefficient": 2.0,
    "depth_coefficient": 3.1,
    "depth_divisor": 8,
    "kernel_sizes": (3, 3, 5, 3, 5, 5, 3),
    "in_channels": (32, 16, 24, 40, 80, 112, 192),
    "out_channels": (16, 24, 40, 80, 112, 192, 320),
    "depthwise_padding": (),
    "strides": (1, 2, 2, 2, 1, 2, 1),
    "num_block_repeats": (1, 2, 2, 3, 3, 4, 1),
    "expand_ratios": (1, 6, 6, 6, 6, 6, 6),
    "squeeze_expansion_ratio": 0.25,
    "batch_norm_eps": 1e-3,
    "dropout_rate": 0.5,
    "drop_connect_rate": 0.2,
}
"""What transformers' EfficientNetConfig takes for a key that a ``config.json`` leaves out."""


def config_from_huggingface(described: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the ``config.json`` of transformers' EfficientNet.

    Its padding is kept as transformers computes it. Its ``batch_norm_momentum`` is TensorFlow's decay, passed to
    PyTorch as the opposite; the authors' 0.99 is meant and kept.

    Raises:
        ConfigError: a setting that an `EfficientNetConfig` cannot say.
    """
    for key, known in {"hidden_act": ("swish", "silu"), "num_channels": (3,), "pooling_type": ("mean",)}.items():
        if described.get(key, known[0]) not in known:
            raise ConfigError(f"{key} = {described[key]!r}: nexus' EfficientNet has only {known[0]!r}")
    c = {**DEFAULTS, **described}
    if list(c["in_channels"]) != [32, *c["out_channels"][:-1]]:
        raise ConfigError(f"in_channels = {c['in_channels']}: each stage takes what the one before gives, the first 32")
    rows = zip(c["expand_ratios"], c["kernel_sizes"], c["strides"], c["out_channels"], c["num_block_repeats"])
    names = ("expand_ratio", "kernel_size", "stride", "width", "depth")
    classifies = any("ForImageClassification" in name for name in described.get("architectures") or ())
    return {
        "width_coefficient": c["width_coefficient"],
        "depth_coefficient": c["depth_coefficient"],
        "width_divisor": c["depth_divisor"],
        "stages": tuple(dict(zip(names, row)) for row in rows),
        "squeeze_ratio": c["squeeze_expansion_ratio"],
        "padding": "fixed",
        "symmetric_blocks": tuple(c["depthwise_padding"]),
        "bn_eps": c["batch_norm_eps"],
        "drop_path": c["drop_connect_rate"],
        "dropout": c["dropout_rate"],
        "num_classes": len(described.get("id2label") or range(2)) if classifies else 0,  # transformers' default is 2
    }
