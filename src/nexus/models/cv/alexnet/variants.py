"""Named AlexNets: data only.

Where the facts were read: torchvision 0.28, `AlexNet_Weights` (address, preprocessing, accuracy); the licence is the
library's, which states none for weights. Citations: the papers that torchvision's documentation names.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("AlexNet",)

HUGGINGFACE: dict[str, str] = {}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "ImageNet Classification with Deep Convolutional Neural Networks",
        "authors": ("Alex Krizhevsky", "Ilya Sutskever", "Geoffrey E. Hinton"),
        "year": 2012,
        "url": "https://proceedings.neurips.cc/paper/2012/file/c399862d3b9d6b76c8436e924a68c45b-Paper.pdf",
        "venue": "Advances in Neural Information Processing Systems",
    },
    {
        "title": "One weird trick for parallelizing convolutional neural networks",
        "authors": ("Alex Krizhevsky",),
        "year": 2014,
        "arxiv": "1404.5997",
    },
)

VARIANTS: dict[str, dict[str, Any]] = {
    "alexnet": {
        "class_name": "AlexNet",
        "config": {},
        "weights": (
            {
                "kind": "url",
                "url": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
                "license": "BSD-3-Clause",
            },
        ),
        "preprocess": {"resize": 256, "crop": (224, 224), "interpolation": "bilinear"},
        "labels": "imagenet_1k",
        "license": "BSD-3-Clause",
        "score": {
            "imagenet_1k_top1": 56.522,
            "imagenet_1k_top5": 79.066,
            "source": "torchvision 0.28, AlexNet_Weights.IMAGENET1K_V1",
        },
    },
}

TINY_CONFIG: dict[str, Any] = {
    "widths": (8, 12, 16, 12, 12),
    "pool_side": 2,
    "hidden_dim": 24,
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "AlexNet", "config": TINY_CONFIG, "sizes": ((63, 63), (95, 80)), "unpadded": True},
    {
        "class_name": "AlexNet",
        "config": {**TINY_CONFIG, "groups": 2, "response_norm": True},
        "sizes": ((63, 63), (95, 80)),
        "unpadded": True,
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
