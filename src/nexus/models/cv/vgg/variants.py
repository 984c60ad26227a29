"""Named VGGs: data only.

Where the facts were read: torchvision 0.28, `VGG*_Weights` (addresses, preprocessing, accuracies) and timm 1.0.31,
`default_cfgs` (its copies, and the licence that it states for them). The paper is cited as its arXiv page gives it.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("VGG",)

HUGGINGFACE: dict[str, str] = {}

CITATION: dict[str, Any] = {
    "title": "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    "authors": ("Karen Simonyan", "Andrew Zisserman"),
    "year": 2014,
    "arxiv": "1409.1556",
}

DEPTHS: dict[str, tuple[int, ...]] = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Columns A, B, D and E of table 1."""

WEIGHTS: tuple[tuple[str, str, float, float], ...] = (
    ("vgg11", "8a719046", 69.020, 88.628),
    ("vgg11_bn", "6002323d", 70.370, 89.810),
    ("vgg13", "19584684", 69.928, 89.246),
    ("vgg13_bn", "abd245e5", 71.586, 90.374),
    ("vgg16", "397923af", 71.592, 90.382),
    ("vgg16_bn", "6c64b313", 73.360, 91.516),
    ("vgg19", "dcbb9e9d", 72.376, 90.876),
    ("vgg19_bn", "c79401a0", 74.218, 91.842),
)
"""Name, end of the file's name, top-1 and top-5 accuracy."""

VARIANTS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "VGG",
        "config": {"depths": DEPTHS[name.removesuffix("_bn")], "batch_norm": name.endswith("_bn")},
        "weights": (
            {
                "kind": "url",
                "url": f"https://download.pytorch.org/models/{name}-{digits}.pth",
                "license": "BSD-3-Clause",
            },
            {
                "kind": "huggingface",
                "repository": f"timm/{name}.tv_in1k",
                "file": "model.safetensors",
                "license": "BSD-3-Clause",
            },
        ),
        "preprocess": {"resize": 256, "crop": (224, 224), "interpolation": "bilinear"},
        "labels": "imagenet_1k",
        "license": "BSD-3-Clause",
        "score": {"imagenet_1k_top1": top1, "imagenet_1k_top5": top5, "source": "torchvision 0.28, VGG*_Weights"},
    }
    for name, digits, top1, top5 in WEIGHTS
}

TINY_CONFIG: dict[str, Any] = {
    "depths": (1, 2, 2),
    "widths": (8, 12, 16),
    "pool_side": 2,
    "hidden_dim": 24,
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "VGG", "config": TINY_CONFIG, "sizes": ((32, 32), (40, 24))},
    {"class_name": "VGG", "config": {**TINY_CONFIG, "batch_norm": True}, "sizes": ((32, 32), (40, 24))},
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
