"""Named weights of HiViT: data only.

Sizes: `supervised/configs` of zhangxiaosong18/hivit at 2718339, and `self_supervised/models`; preprocessing: its
evaluation transforms; licence: that of the repository, which states none for the weights. The authors publish weights
of the base model only, on a file host: ``hivit_base.mae_ft_in1k`` (its README's score) and the masked autoencoder that
it was fine-tuned from, ``hivit_base.mae``. Their addresses were not tried, and no hash was computed. For the others,
give a file. Citation: the README's BibTeX.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("HiViT",)

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "HiViT: A Simpler and More Efficient Design of Hierarchical Vision Transformer",
        "authors": (
            "Xiaosong Zhang",
            "Yunjie Tian",
            "Lingxi Xie",
            "Wei Huang",
            "Qi Dai",
            "Qixiang Ye",
            "Qi Tian",
        ),
        "year": 2022,
        "arxiv": "2205.14949",
    },
)

PREPROCESS: dict[str, Any] = {
    "resize": 256,
    "crop": (224, 224),
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 384, "depths": (1, 1, 10), "num_heads": 6, "drop_path": 0.05},
    "small": {"embed_dim": 384, "depths": (2, 2, 20), "num_heads": 6, "drop_path": 0.3},
    "base": {"embed_dim": 512, "depths": (2, 2, 20), "num_heads": 8, "drop_path": 0.5},
}

VARIANTS: dict[str, dict[str, Any]] = {
    f"hivit_{size}": {
        "class_name": "HiViT",
        "config": config,
        "weights": (),
        "preprocess": PREPROCESS,
        "labels": "imagenet_1k",
        "license": None,
    }
    for size, config in SIZES.items()
}

VARIANTS["hivit_base.mae"] = {
    "class_name": "HiViT",
    "config": {
        **SIZES["base"],
        "num_classes": 0,
        "relative_positions": False,
        "layer_norm_eps": 1e-6,
        "drop_path": 0.0,
    },
    "weights": (
        {
            "kind": "url",
            "url": "https://drive.google.com/uc?export=download&id=1VZQz4buhlepZ5akTcEvrA3a_nxsQZ8eQ",
            "license": None,
        },
    ),
    "preprocess": PREPROCESS,
    "license": None,
}

VARIANTS["hivit_base.mae_ft_in1k"] = {
    "class_name": "HiViT",
    "config": {**SIZES["base"], "layer_norm_eps": 1e-6, "drop_path": 0.2},
    "weights": (
        {
            "kind": "url",
            "url": "https://drive.google.com/uc?export=download&id=1TVfocCnoJj-SB7to6UQFvrB2205u2Q59",
            "license": None,
        },
    ),
    "preprocess": PREPROCESS,
    "labels": "imagenet_1k",
    "license": None,
    "score": {"imagenet_1k_top1": 84.6, "source": "the README of zhangxiaosong18/hivit"},
}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "HiViT",
        "config": {
            "image_size": 48,
            "num_classes": 5,
            "embed_dim": 32,
            "depths": (1, 1, 2),
            "num_heads": 2,
            "mlp_ratio": 2,
        },
        "sizes": ((32, 32), (48, 32)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
