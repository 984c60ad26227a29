"""Named weights of CvT: data only.

Sizes, scores, evaluation transforms and citation: README and `experiments/imagenet/cvt` of microsoft/CvT at f851e68.
Repositories, file names and licence: their pages on the Hugging Face hub. No hash was computed. The feed-forward layers
have the authors' QuickGELU, with which they were trained; transformers runs the same weights with the exact GELU.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("CvT",)

HUGGINGFACE = {"cvt": "CvT"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "CvT: Introducing Convolutions to Vision Transformers",
        "authors": (
            "Haiping Wu",
            "Bin Xiao",
            "Noel Codella",
            "Mengchen Liu",
            "Xiyang Dai",
            "Lu Yuan",
            "Lei Zhang",
        ),
        "year": 2021,
        "arxiv": "2103.15808",
    },
)

BICUBIC: dict[str, Any] = {
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
PREPROCESS: dict[int, dict[str, Any]] = {
    224: {**BICUBIC, "resize": 256, "crop": (224, 224)},
    384: {**BICUBIC, "resize": (384, 384), "crop": None},
}

SIZES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int], float]] = {
    "13": ((64, 192, 384), (1, 2, 10), (1, 3, 6), 0.1),
    "21": ((64, 192, 384), (1, 4, 16), (1, 3, 6), 0.1),
    "w24": ((192, 768, 1024), (2, 2, 20), (3, 12, 16), 0.3),
}
"""Widths, depths and heads of the stages, and the last stage's stochastic depth."""

STAGES: tuple[dict[str, Any], ...] = (
    {"patch_size": 7, "patch_stride": 4, "patch_padding": 2},
    {},
    {"class_token": True},
)

PUBLISHED: tuple[tuple[str, str, int, float], ...] = (
    ("cvt_13", "cvt-13", 224, 81.6),
    ("cvt_13_384", "cvt-13-384", 384, 83.0),
    ("cvt_13_384.in22k_ft_in1k", "cvt-13-384-22k", 384, 83.3),
    ("cvt_21", "cvt-21", 224, 82.5),
    ("cvt_21_384", "cvt-21-384", 384, 83.3),
    ("cvt_21_384.in22k_ft_in1k", "cvt-21-384-22k", 384, 84.9),
    ("cvt_w24_384.in22k_ft_in1k", "cvt-w24-384-22k", 384, 87.6),
)
"""Variant, repository, side of the input, top-1 accuracy on ImageNet-1k in percent."""

VARIANTS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "CvT",
        "config": {
            "stages": tuple(
                {
                    **stage,
                    "embed_dim": width,
                    "depth": depth,
                    "num_heads": heads,
                    "drop_path": SIZES[name.split("_")[1]][3] if "class_token" in stage else 0.0,
                }
                for stage, width, depth, heads in zip(STAGES, *SIZES[name.split("_")[1]][:3])
            )
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"microsoft/{repository}",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS[side],
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {"imagenet_1k_top1": top1, "source": "the README of microsoft/CvT"},
    }
    for name, repository, side, top1 in PUBLISHED
}

TINY_STAGE: dict[str, Any] = {"embed_dim": 16, "depth": 1, "num_heads": 2, "mlp_ratio": 2}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "CvT",
        "config": {
            "num_classes": 5,
            "stages": (
                {**TINY_STAGE, "patch_size": 7, "patch_stride": 4, "patch_padding": 2},
                {**TINY_STAGE, "depth": 2, "class_token": True},
            ),
        },
        "sizes": ((32, 32), (48, 40)),
    },
    {
        "class_name": "CvT",
        "config": {
            "num_classes": 5,
            "activation": "gelu",
            "stages": (
                {**TINY_STAGE, "patch_size": 7, "patch_stride": 4, "patch_padding": 2, "qkv_bias": False},
                {**TINY_STAGE, "projection": "avg", "padding_kv": 0, "kernel_size": 2},
            ),
        },
        "sizes": ((32, 32), (48, 40)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
