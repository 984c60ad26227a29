"""Named Mobile-Formers: data only.

Where the facts were read:
- sizes: ``mobile_former.py`` of AAboys/MobileFormer at f447310, the authors' code; its `default_cfgs` has the
  evaluation transform (timm's: the shorter side is size / 0.875).
- accuracies, dropout, citation: its README. No licence is stated, of the code or of the weights.
- weights: the README links to pages of Google Drive, which are no files; fetch one there and load it with
  ``from_pretrained(name, weights=PATH)``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES", "HUGGINGFACE", "VARIANTS"]

CLASSES = ("MobileFormer",)
HUGGINGFACE: dict[str, str] = {}

CITATION: dict[str, Any] = {
    "title": "Mobile-Former: Bridging MobileNet and Transformer",
    "authors": (
        "Yinpeng Chen",
        "Xiyang Dai",
        "Dongdong Chen",
        "Mengchen Liu",
        "Xiaoyi Dong",
        "Lu Yuan",
        "Zicheng Liu",
    ),
    "year": 2021,
    "arxiv": "2108.05895",
}

Row = tuple[str, int, int, int, int]

BLOCKS: dict[str, tuple[Row, ...]] = {
    "508m": (
        ("lite", 24, 2, 1, 4),
        ("down", 40, 6, 2, 4),
        ("mobile", 40, 3, 1, 4),
        ("down", 72, 6, 2, 4),
        ("mobile", 72, 3, 1, 4),
        ("down", 128, 6, 2, 4),
        ("mobile", 128, 4, 1, 4),
        ("mobile", 176, 6, 1, 4),
        ("mobile", 176, 6, 1, 4),
        ("down", 240, 6, 2, 4),
        ("mobile", 240, 6, 1, 4),
        ("mobile", 240, 6, 1, 4),
    ),
    "294m": (
        ("lite", 16, 2, 1, 4),
        ("down", 24, 6, 2, 4),
        ("mobile", 24, 4, 1, 4),
        ("down", 48, 6, 2, 4),
        ("mobile", 48, 4, 1, 4),
        ("down", 96, 6, 2, 4),
        ("mobile", 96, 4, 1, 4),
        ("mobile", 128, 6, 1, 4),
        ("mobile", 128, 6, 1, 4),
        ("down", 192, 6, 2, 4),
        ("mobile", 192, 6, 1, 4),
        ("mobile", 192, 6, 1, 4),
    ),
    "214m": (
        ("lite", 12, 2, 1, 4),
        ("down", 20, 6, 2, 4),
        ("mobile", 20, 3, 1, 4),
        ("down", 40, 6, 2, 4),
        ("mobile", 40, 4, 1, 4),
        ("down", 80, 6, 2, 4),
        ("mobile", 80, 4, 1, 4),
        ("mobile", 112, 6, 1, 4),
        ("mobile", 112, 6, 1, 4),
        ("down", 160, 6, 2, 4),
        ("mobile", 160, 6, 1, 4),
        ("mobile", 160, 6, 1, 4),
    ),
    "151m": (
        ("lite", 12, 2, 1, 4),
        ("down", 16, 6, 2, 4),
        ("mobile", 16, 3, 1, 4),
        ("down", 32, 6, 2, 4),
        ("mobile", 32, 3, 1, 4),
        ("down", 64, 6, 2, 4),
        ("mobile", 64, 4, 1, 4),
        ("mobile", 88, 6, 1, 4),
        ("mobile", 88, 6, 1, 4),
        ("down", 128, 6, 2, 4),
        ("mobile", 128, 6, 1, 4),
        ("mobile", 128, 6, 1, 4),
    ),
    "96m": (
        ("lite", 12, 2, 1, 4),
        ("down", 16, 6, 2, 4),
        ("down", 32, 6, 2, 4),
        ("mobile", 32, 3, 1, 4),
        ("down", 64, 6, 2, 4),
        ("mobile", 64, 4, 1, 4),
        ("mobile", 88, 6, 1, 4),
        ("down", 128, 6, 2, 4),
        ("mobile", 128, 6, 1, 4),
    ),
    "52m": (
        ("lite", 12, 3, 2, 4),
        ("mobile", 12, 3, 1, 4),
        ("down", 24, 6, 2, 4),
        ("mobile", 24, 3, 1, 4),
        ("down", 48, 6, 2, 4),
        ("mobile", 48, 4, 1, 4),
        ("mobile", 64, 6, 1, 4),
        ("down", 96, 6, 2, 4),
        ("mobile", 96, 6, 1, 4),
    ),
}
"""Of every row of table 1: kind, width, expansion, stride, and the expansion behind the coarser grid."""
BLOCKS["26m"] = BLOCKS["52m"]

SIZES: dict[str, dict[str, Any]] = {
    "508m": {"stem_width": 24, "head_width": 1920, "num_tokens": 6, "token_dim": 192, "dropout": 0.3},
    "294m": {"stem_width": 16, "head_width": 1920, "num_tokens": 6, "token_dim": 192, "dropout": 0.3},
    "214m": {"stem_width": 12, "head_width": 1600, "num_tokens": 6, "token_dim": 192, "dropout": 0.2},
    "151m": {"stem_width": 12, "head_width": 1280, "num_tokens": 6, "token_dim": 192, "dropout": 0.2},
    "96m": {"stem_width": 12, "head_width": 1280, "num_tokens": 4, "token_dim": 128, "dropout": 0.2},
    "52m": {"stem_width": 8, "head_width": 1024, "num_tokens": 3, "token_dim": 128, "dropout": 0.2},
    "26m": {"stem_width": 8, "head_width": 1024, "num_tokens": 3, "token_dim": 128, "dropout": 0.1, "groups": 4},
}
TOP1 = {"508m": 79.3, "294m": 77.9, "214m": 76.7, "151m": 75.2, "96m": 72.8, "52m": 68.7, "26m": 64.0}

VARIANTS: dict[str, dict[str, Any]] = {
    f"mobile_former_{size}": {
        "class_name": "MobileFormer",
        "config": {
            **config,
            "blocks": tuple(
                {"kind": kind, "width": width, "expand_ratio": expand, "stride": stride, "expand_again": again}
                for kind, width, expand, stride, again in BLOCKS[size]
            ),
        },
        "weights": (),
        "preprocess": {"resize": 256, "crop": (224, 224), "interpolation": "bilinear"},
        "labels": "imagenet_1k",
        "license": None,
        "score": {"imagenet_1k_top1": TOP1[size], "source": "README of AAboys/MobileFormer"},
    }
    for size, config in SIZES.items()
}

TINY_CONFIG: dict[str, Any] = {
    "stem_width": 4,
    "blocks": (
        {"kind": "lite", "width": 4, "expand_ratio": 2, "stride": 1},
        {"kind": "down", "width": 8, "expand_ratio": 2, "expand_again": 2, "stride": 2},
        {"kind": "mobile", "width": 8, "expand_ratio": 2},
        {"kind": "down", "width": 12, "expand_ratio": 2, "expand_again": 2, "stride": 2},
    ),
    "num_tokens": 3,
    "token_dim": 16,
    "top_ratio": 2,
    "head_width": 24,
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "MobileFormer", "config": TINY_CONFIG, "sizes": ((32, 32), (47, 70))},
    {"class_name": "MobileFormer", "config": {**TINY_CONFIG, "groups": 4}, "sizes": ((32, 32), (47, 70))},
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
