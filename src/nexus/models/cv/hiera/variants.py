"""Named weights of Hiera: data only.

Where the facts were read: sizes from ``hiera/hiera.py``, files, accuracies and the licence of the weights from
README.md of facebookresearch/hiera at b12b842, preprocessing from its ``examples/inference.ipynb``, citation from its
BibTeX; timm's repositories, which hold the authors' weights, from its 1.0.31's `default_cfgs`. ``.mae`` is the encoder
of the pre-training, without labels; its final norm is, as in timm, the one before the decoder. No hash was computed
here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("Hiera",)

HUGGINGFACE = {"hiera": "Hiera"}

CITATION: dict[str, Any] = {
    "title": "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles",
    "authors": (
        "Chaitanya Ryali",
        "Yuan-Ting Hu",
        "Daniel Bolya",
        "Chen Wei",
        "Haoqi Fan",
        "Po-Yao Huang",
        "Vaibhav Aggarwal",
        "Arkabandhu Chowdhury",
        "Omid Poursaeed",
        "Judy Hoffman",
        "Jitendra Malik",
        "Yanghao Li",
        "Christoph Feichtenhofer",
    ),
    "year": 2023,
    "arxiv": "2306.00989",
    "venue": "ICML",
}

SIZES: dict[str, tuple[dict[str, Any], float]] = {
    "tiny": ({"embed_dim": 96, "depths": (1, 2, 7, 2), "num_heads": (1, 2, 4, 8)}, 82.8),
    "small": ({"embed_dim": 96, "depths": (1, 2, 11, 2), "num_heads": (1, 2, 4, 8)}, 83.8),
    "base": ({"embed_dim": 96, "depths": (2, 3, 16, 3), "num_heads": (1, 2, 4, 8)}, 84.5),
    "base_plus": ({"embed_dim": 112, "depths": (2, 3, 16, 3), "num_heads": (2, 4, 8, 16)}, 85.2),
    "large": ({"embed_dim": 144, "depths": (2, 6, 36, 4), "num_heads": (2, 4, 8, 16)}, 86.1),
    "huge": ({"embed_dim": 256, "depths": (2, 6, 36, 4), "num_heads": (4, 8, 16, 32)}, 86.9),
}
"""Size -> config, accuracy after fine-tuning."""

LICENSE = "CC-BY-NC-4.0"
FILES = "https://dl.fbaipublicfiles.com/hiera"
PREPROCESS: dict[str, Any] = {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"}

VARIANTS: dict[str, dict[str, Any]] = {
    f"hiera_{size}": {
        "class_name": "Hiera",
        "config": {**config, "num_classes": 1000},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/hiera_{size}_224.mae_in1k_ft_in1k",
                "file": "model.safetensors",
                "license": LICENSE,
            },
            {"kind": "url", "url": f"{FILES}/hiera_{size}_224.pth", "license": LICENSE},
        ),
        "preprocess": PREPROCESS,
        "labels": "imagenet_1k",
        "license": LICENSE,
        "score": {"imagenet_1k_top1": top1, "source": "README.md of facebookresearch/hiera at b12b842"},
    }
    for size, (config, top1) in SIZES.items()
}

VARIANTS |= {
    f"hiera_{size}.mae": {
        "class_name": "Hiera",
        "config": {**config, "num_classes": 0},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/hiera_{size}_224.mae",
                "file": "model.safetensors",
                "license": LICENSE,
            },
            {"kind": "url", "url": f"{FILES}/mae_hiera_{size}_224.pth", "license": LICENSE},
        ),
        "preprocess": PREPROCESS,
        "labels": None,
        "license": LICENSE,
        "score": None,
    }
    for size, (config, _) in SIZES.items()
}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "Hiera",
        "config": {
            "image_size": 32,
            "embed_dim": 16,
            "depths": (1, 2, 1),
            "num_heads": (1, 2, 4),
            "unit_size": 4,
            "unit_attention": (True, True, False),
            "num_classes": 5,
        },
        "sizes": ((32, 32), (48, 80)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
