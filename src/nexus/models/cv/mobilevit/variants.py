"""Named weights of MobileViT and MobileViTv2: data only.

Addresses, top-1 accuracies: `docs/source/en/general/README-model-zoo.md` of apple/ml-cvnets; sizes and evaluation
transforms: its `config/classification`. Channels: transformers' processor gives MobileViT blue first; MobileViTv2 gets
red first, as ml-cvnets reads pictures since it has published these weights. Neither was tried on a picture. Licence:
Apple's sample code licence, which has no SPDX name. timm's copies may have the other order and are no sources. No hash
was computed. Citations: the BibTeX of the repository's README.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("MobileViT", "MobileViTV2")

HUGGINGFACE = {"mobilevit": "MobileViT", "mobilevitv2": "MobileViTV2"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision Transformer",
        "authors": ("Sachin Mehta", "Mohammad Rastegari"),
        "year": 2021,
        "arxiv": "2110.02178",
    },
    {
        "title": "Separable Self-attention for Mobile Vision Transformers",
        "authors": ("Sachin Mehta", "Mohammad Rastegari"),
        "year": 2022,
        "arxiv": "2206.02680",
    },
)

LICENSE = "LicenseRef-Apple-Sample-Code"
PREPROCESS: dict[str, Any] = {
    "resize": 288,
    "crop": (256, 256),
    "interpolation": "bilinear",
    "mean": (0.0, 0.0, 0.0),
    "std": (1.0, 1.0, 1.0),
    "channels": "bgr",
}
PREPROCESS_V2: dict[int, dict[str, Any]] = {
    256: {**PREPROCESS, "interpolation": "bicubic", "channels": "rgb"},
    384: {**PREPROCESS, "interpolation": "bicubic", "channels": "rgb", "resize": 384, "crop": (384, 384)},
}

SIZES: dict[str, dict[str, Any]] = {
    "xxs": {
        "widths": (16, 24, 48, 64, 80),
        "transformer_dims": (64, 80, 96),
        "top_width": 320,
        "expand_ratio": 2.0,
        "head_dropout": 0.1,
    },
    "xs": {"widths": (32, 48, 64, 80, 96), "transformer_dims": (96, 120, 144), "top_width": 384},
    "s": {"widths": (32, 64, 96, 128, 160), "transformer_dims": (144, 192, 240), "top_width": 640},
}

ZOO = "https://docs-assets.developer.apple.com/ml-research/models"

V1: tuple[tuple[str, str | None, float], ...] = (
    ("xxs", "apple/mobilevit-xx-small", 69.0),
    ("xs", None, 74.7),
    ("s", None, 78.3),
)
"""Size, repository whose files were seen, top-1 accuracy on ImageNet-1k in percent."""

SCORES: dict[tuple[str, int], dict[str, float]] = {
    ("imagenet1k", 256): {
        "0.5": 70.18,
        "0.75": 75.56,
        "1.0": 78.09,
        "1.25": 79.65,
        "1.5": 80.38,
        "1.75": 80.84,
        "2.0": 81.17,
    },
    ("imagenet1k", 384): {
        "0.5": 72.14,
        "0.75": 76.98,
        "1.0": 79.68,
        "1.25": 80.94,
        "1.5": 81.50,
        "1.75": 82.04,
        "2.0": 82.17,
    },
    ("imagenet21k_to_1k", 256): {"1.5": 81.46, "1.75": 81.94, "2.0": 82.36},
    ("imagenet21k_to_1k", 384): {"1.5": 82.60, "1.75": 82.93, "2.0": 83.41},
}
"""Training data and side of the input -> width multiplier -> top-1 accuracy on ImageNet-1k in percent."""

SOURCE = "the model zoo of apple/ml-cvnets"

VARIANTS: dict[str, dict[str, Any]] = {
    f"mobilevit_{size}": {
        "class_name": "MobileViT",
        "config": SIZES[size],
        "weights": (
            *(
                ({"kind": "huggingface", "repository": repository, "file": "pytorch_model.bin", "license": LICENSE},)
                if repository
                else ()
            ),
            {"kind": "url", "url": f"{ZOO}/cvnets/classification/mobilevit_{size}.pt", "license": LICENSE},
        ),
        "preprocess": PREPROCESS,
        "labels": "imagenet_1k",
        "license": LICENSE,
        "score": {"imagenet_1k_top1": top1, "source": SOURCE},
    }
    for size, repository, top1 in V1
}

VARIANTS |= {
    f"mobilevitv2_{round(100 * float(width)):03}"
    + ("_384" if side == 384 else "")
    + (".in21k_ft_in1k" if "21k" in data else ""): {
        "class_name": "MobileViTV2",
        "config": {"width_multiplier": float(width)},
        "weights": (
            {
                "kind": "url",
                "url": f"{ZOO}/cvnets-v2/classification/mobilevitv2/{data}/{side}x{side}/mobilevitv2-{width}.pt",
                "license": LICENSE,
            },
        ),
        "preprocess": PREPROCESS_V2[side],
        "labels": "imagenet_1k",
        "license": LICENSE,
        "score": {"imagenet_1k_top1": top1, "source": SOURCE},
    }
    for (data, side), scores in SCORES.items()
    for width, top1 in scores.items()
}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "MobileViT",
        "config": {
            "num_classes": 5,
            "stem_width": 8,
            "widths": (8, 12, 16, 20, 24),
            "depths": (1, 2, 1, 1, 1),
            "transformer_dims": (16, 20, 24),
            "top_width": 32,
            "expand_ratio": 2.0,
            "num_heads": 2,
        },
        "sizes": ((64, 64), (64, 128)),
    },
    {
        "class_name": "MobileViTV2",
        "config": {
            "num_classes": 5,
            "width_multiplier": 0.25,
            "depths": (1, 2, 1, 1, 1),
            "attention_dims": (64, 64, 64),
        },
        "sizes": ((64, 64), (128, 128)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
