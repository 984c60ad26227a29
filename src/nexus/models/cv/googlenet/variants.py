"""Named GoogLeNets: data only.

Where the facts were read: torchvision 0.28, `GoogLeNet_Weights` (address, preprocessing, accuracies) and `googlenet`;
licence: that of torchvision, which states none for these weights. torchvision normalises pictures as all its models do,
and then its model undoes that (`transform_input`) to take (picture - 0.5) / 0.5: both steps are one here, in
`preprocess`. The file's auxiliary classifiers were never trained, as torchvision warns: they are left out. The paper is
cited as in zjZSTU/GoogLeNet.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("GoogLeNet",)

HUGGINGFACE: dict[str, str] = {}

CITATION: dict[str, Any] = {
    "title": "Going Deeper with Convolutions",
    "authors": (
        "Christian Szegedy",
        "Wei Liu",
        "Yangqing Jia",
        "Pierre Sermanet",
        "Scott Reed",
        "Dragomir Anguelov",
        "Dumitru Erhan",
        "Vincent Vanhoucke",
        "Andrew Rabinovich",
    ),
    "year": 2014,
    "arxiv": "1409.4842",
}

VARIANTS: dict[str, dict[str, Any]] = {
    "googlenet": {
        "class_name": "GoogLeNet",
        "config": {"batch_norm": True, "large_kernel": 3, "last_pool": 2, "dropout": 0.2, "aux_classes": 0},
        "weights": (
            {
                "kind": "url",
                "url": "https://download.pytorch.org/models/googlenet-1378be20.pth",
                "license": "BSD-3-Clause",
            },
        ),
        "preprocess": {
            "resize": 256,
            "crop": (224, 224),
            "interpolation": "bilinear",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
        },
        "labels": "imagenet_1k",
        "license": "BSD-3-Clause",
        "score": {
            "imagenet_1k_top1": 69.778,
            "imagenet_1k_top5": 89.530,
            "source": "torchvision 0.28, GoogLeNet_Weights",
        },
    }
}

TINY_CONFIG: dict[str, Any] = {
    "stem_widths": (8, 8, 12),
    "stages": (((4, 4, 8, 2, 4, 4), (8, 8, 8, 4, 4, 4)), ((8, 8, 12, 4, 4, 4),) * 3, ((8, 8, 16, 4, 8, 8),) * 2),
    "aux_blocks": (2, 3),
    "aux_widths": (4, 8),
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "GoogLeNet", "config": TINY_CONFIG, "sizes": ((64, 64), (160, 128))},
    {
        "class_name": "GoogLeNet",
        "config": {**TINY_CONFIG, "batch_norm": True, "large_kernel": 3, "last_pool": 2},
        "sizes": ((64, 64), (95, 79)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
