"""Named weights of InternVL: data only.

Repositories: the README of OpenGVLab/InternVL at 2410d1d. Sizes of the 6B models: `configuration_intern_vit.py` there
(48 blocks); that V1-5 lacks the last 3 of them: its model card; V2_5: the README's 5.5B. Sizes of the 300M models: the
modules of OpenGVLab/InternVL3-1B. Licence: the model cards, MIT. Preprocessing: `clip_benchmark` there for 224 pixels;
one squashed tile for 448. Citation: the README's BibTeX. File names were not read: they are those that transformers
writes, in shards above 5 GB. Nor was a hash.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("InternVL", "InternViT")

HUGGINGFACE = {
    "intern_vit_6b": "InternViT",
    "internvl": "InternViT",
    "internvl_chat": "InternViT",
    "internvl_vision": "InternViT",
}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "InternVL: Scaling up Vision Foundation Models and Aligning for Generic Visual-Linguistic Tasks",
        "authors": (
            "Zhe Chen",
            "Jiannan Wu",
            "Wenhai Wang",
            "Weijie Su",
            "Guo Chen",
            "Sen Xing",
            "Muyan Zhong",
            "Qinglong Zhang",
            "Xizhou Zhu",
            "Lewei Lu",
            "others",
        ),
        "year": 2023,
        "arxiv": "2312.14238",
    },
)

IMAGENET: dict[str, Any] = {
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
CROP_224: dict[str, Any] = {**IMAGENET, "resize": 224, "crop": (224, 224)}
SQUASH_448: dict[str, Any] = {**IMAGENET, "resize": (448, 448), "crop": None}

LARGE: dict[str, Any] = {
    "embed_dim": 3200,
    "num_layers": 48,
    "num_heads": 25,
    "norm": "rms_norm",
    "qkv_bias": False,
    "qk_norm": True,
}
"""InternViT-6B: table 1 of the paper, row "variant 5"; its norms and biases from the authors' code."""

SMALL: dict[str, Any] = {"embed_dim": 1024, "num_layers": 24, "num_heads": 16}

TOWERS: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("intern_vit_300m_448", "InternViT-300M-448px", {**SMALL, "image_size": 448}, SQUASH_448),
    ("intern_vit_300m_448.v2_5", "InternViT-300M-448px-V2_5", {**SMALL, "image_size": 448}, SQUASH_448),
    ("intern_vit_6b_224", "InternViT-6B-224px", {**LARGE, "image_size": 224}, CROP_224),
    ("intern_vit_6b_448.v1_0", "InternViT-6B-448px-V1-0", {**LARGE, "image_size": 448}, SQUASH_448),
    ("intern_vit_6b_448.v1_5", "InternViT-6B-448px-V1-5", {**LARGE, "image_size": 448, "num_layers": 45}, SQUASH_448),
    ("intern_vit_6b_448.v2_5", "InternViT-6B-448px-V2_5", {**LARGE, "image_size": 448, "num_layers": 45}, SQUASH_448),
)
"""Variant, repository, config, preprocessing."""

VARIANTS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "InternViT",
        "config": config,
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"OpenGVLab/{repository}",
                "file": "model.safetensors" if "300m" in name else "model.safetensors.index.json",
                "license": "MIT",
            },
        ),
        "preprocess": preprocess,
        "license": "MIT",
    }
    for name, repository, config, preprocess in TOWERS
}

VARIANTS["internvl_14b_224"] = {
    "class_name": "InternVL",
    "config": {},
    "weights": (
        {
            "kind": "huggingface",
            "repository": "OpenGVLab/InternVL-14B-224px",
            "file": "model.safetensors.index.json",
            "license": "MIT",
        },
    ),
    "preprocess": CROP_224,
    "license": "MIT",
}

TINY_TOWER: dict[str, Any] = {
    "image_size": 56,
    "patch_size": 14,
    "num_classes": 5,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
    "layer_scale": 1.0,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "InternViT", "config": TINY_TOWER, "sizes": ((28, 28), (42, 28))},
    {
        "class_name": "InternViT",
        "config": {**TINY_TOWER, "norm": "rms_norm", "qk_norm": True, "qkv_bias": False, "pool": "mean"},
        "sizes": ((28, 28), (42, 28)),
    },
    {
        "class_name": "InternVL",
        "config": {
            "image": {**TINY_TOWER, "num_classes": 0, "pool": "attention", "pool_heads": 4, "projection_dim": 16},
            "text": {
                "vocab_size": 50,
                "embed_dim": 32,
                "hidden_dim": 48,
                "context_length": 6,
                "num_layers": 3,
                "num_heads": 4,
            },
            "num_queries": 0,
        },
        "sizes": ((28, 28), (42, 28)),
        "texts": {"length": 6, "vocabulary": 50},
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
