"""Named weights of DeiT: data only.

Files, accuracies and the citation: README_deit.md of facebookresearch/deit at 7e160fe; licence: its README.md and
LICENSE; preprocessing: the evaluation transform of its ``datasets.py``, with the crop ratio of 0.875. That the
timm repositories hold the same files: `default_cfgs` of timm 1.0.31. No hash was computed here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("DeiT",)

HUGGINGFACE = {"deit": "DeiT"}

CITATION: dict[str, Any] = {
    "title": "Training data-efficient image transformers & distillation through attention",
    "authors": (
        "Hugo Touvron",
        "Matthieu Cord",
        "Matthijs Douze",
        "Francisco Massa",
        "Alexandre Sablayrolles",
        "Herve Jegou",
    ),
    "year": 2021,
    "arxiv": "2012.12877",
    "venue": "International Conference on Machine Learning",
}

PREPROCESS: dict[int, dict[str, Any]] = {
    224: {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"},
    384: {"resize": 438, "crop": (384, 384), "interpolation": "bicubic"},
}

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 192, "num_layers": 12, "num_heads": 3},
    "small": {"embed_dim": 384, "num_layers": 12, "num_heads": 6},
    "base": {"embed_dim": 768, "num_layers": 12, "num_heads": 12},
}
"""Table 1 of the paper."""

PUBLISHED: tuple[tuple[str, str, int, bool, str, float], ...] = (
    ("deit_tiny_patch16_224", "tiny", 224, False, "a1311bcf", 72.2),
    ("deit_small_patch16_224", "small", 224, False, "cd65a155", 79.9),
    ("deit_base_patch16_224", "base", 224, False, "b5f2ef4d", 81.8),
    ("deit_base_patch16_384", "base", 384, False, "8de9b5d1", 82.9),
    ("deit_tiny_distilled_patch16_224", "tiny", 224, True, "b40b3cf7", 74.5),
    ("deit_small_distilled_patch16_224", "small", 224, True, "649709d9", 81.2),
    ("deit_base_distilled_patch16_224", "base", 224, True, "df68dfff", 83.4),
    ("deit_base_distilled_patch16_384", "base", 384, True, "d0272ac0", 85.2),
)
"""Name, size, image side, whether distilled, end of the authors' file name, and top-1."""

VARIANTS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "DeiT",
        "config": {"image_size": side, "patch_size": 16, "num_classes": 1000, "distilled": distilled, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/{name}.fb_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": f"https://dl.fbaipublicfiles.com/deit/{name}-{ending}.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS[side],
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {"imagenet_1k_top1": top1, "source": "README_deit.md of facebookresearch/deit"},
    }
    for name, size, side, distilled, ending, top1 in PUBLISHED
}

TINY_CONFIG: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "num_classes": 5,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "DeiT", "config": TINY_CONFIG, "sizes": ((32, 32), (40, 24))},
    {"class_name": "DeiT", "config": {**TINY_CONFIG, "distilled": False}, "sizes": ((32, 32), (40, 24))},
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
