"""Named weights of EVA-02: data only.

Names, preprocessing, licence, and the authors' files in comments: `default_cfgs` of timm 1.0.31; the same files and
licence: ``EVA-02/asuka/README.md`` and LICENSE of baaivision/EVA at 5623d08; accuracies:
``results/results-imagenet.csv`` of huggingface/pytorch-image-models at aa4b585; sizes: ``modeling_finetune.py`` of the
authors; citation: their README. Of the authors' files only the pre-trained ones are sources: of the fine-tuned ones
timm takes averaged weights where there are any, and it is not said where. No hash was computed here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("EVA02",)

CITATION: dict[str, Any] = {
    "title": "EVA-02: A Visual Representation for Neon Genesis",
    "authors": ("Yuxin Fang", "Quan Sun", "Xinggang Wang", "Tiejun Huang", "Xinlong Wang", "Yue Cao"),
    "year": 2023,
    "arxiv": "2303.11331",
}

NORMALISED: dict[str, Any] = {
    "interpolation": "bicubic",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
CROP_224: dict[str, Any] = {"resize": 248, "crop": (224, 224), **NORMALISED}
CROP: dict[int, dict[str, Any]] = {
    336: {"resize": 336, "crop": (336, 336), **NORMALISED},
    448: {"resize": 448, "crop": (448, 448), **NORMALISED},
}
SQUASH_448: dict[str, Any] = {"resize": (448, 448), "crop": None, **NORMALISED}
"""Of what was fine-tuned on ImageNet-22k."""

RESULTS = "timm's results/results-imagenet.csv"

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 192, "num_layers": 12, "num_heads": 3, "sub_ln": False},
    "small": {"embed_dim": 384, "num_layers": 12, "num_heads": 6, "sub_ln": False},
    "base": {"embed_dim": 768, "num_layers": 12, "num_heads": 12, "sub_ln": True},
    "large": {"embed_dim": 1024, "num_layers": 24, "num_heads": 16, "sub_ln": True},
}

PRETRAINED: tuple[tuple[str, str, str], ...] = (
    ("tiny", "mim_in22k", "eva02_Ti_pt_in21k_p14"),
    ("small", "mim_in22k", "eva02_S_pt_in21k_p14"),
    ("base", "mim_in22k", "eva02_B_pt_in21k_p14"),
    ("large", "mim_in22k", "eva02_L_pt_in21k_p14"),
    ("large", "mim_m38m", "eva02_L_pt_m38m_p14"),
)
"""Size, data and the authors' file; at 224 pixels, without a head."""

FINE_TUNED: tuple[tuple[str, int, str, float], ...] = (
    ("tiny", 336, "mim_in22k_ft_in1k", 80.648),
    ("small", 336, "mim_in22k_ft_in1k", 85.77),
    ("base", 448, "mim_in22k_ft_in1k", 88.262),
    ("base", 448, "mim_in22k_ft_in22k_in1k", 88.678),
    ("large", 448, "mim_in22k_ft_in1k", 89.634),
    ("large", 448, "mim_in22k_ft_in22k_in1k", 89.956),
    ("large", 448, "mim_m38m_ft_in1k", 89.55),
    ("large", 448, "mim_m38m_ft_in22k_in1k", 90.056),
)
"""Size, image side, data and top-1; with the head for ImageNet-1k."""

FINE_TUNED_IN22K: tuple[tuple[str, str], ...] = (
    ("base", "mim_in22k_ft_in22k"),
    ("large", "mim_in22k_ft_in22k"),
    ("large", "mim_m38m_ft_in22k"),
)
"""Size and data; at 448 pixels, with the head for the 21,841 classes of ImageNet-22k."""

FROM_PRETRAINING: dict[str, dict[str, Any]] = {
    f"eva02_{size}_patch14_224.{data}": {
        "class_name": "EVA02",
        "config": {"image_size": 224, "num_classes": 0, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/eva02_{size}_patch14_224.{data}",
                "file": "model.safetensors",
                "license": "MIT",
            },
            {
                "kind": "huggingface",
                "repository": "Yuxin-CV/EVA-02",
                "file": f"eva02/pt/{file}.pt",
                "license": "MIT",
            },
        ),
        "preprocess": CROP_224,
        "license": "MIT",
    }
    for size, data, file in PRETRAINED
}

FROM_FINE_TUNING: dict[str, dict[str, Any]] = {
    f"eva02_{size}_patch14_{side}.{data}": {
        "class_name": "EVA02",
        "config": {"image_size": side, "num_classes": 1000, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/eva02_{size}_patch14_{side}.{data}",
                "file": "model.safetensors",
                "license": "MIT",
            },
        ),
        "preprocess": SQUASH_448 if "ft_in22k" in data else CROP[side],
        "labels": "imagenet_1k",
        "license": "MIT",
        "score": {"imagenet_1k_top1": top1, "source": RESULTS},
    }
    for size, side, data, top1 in FINE_TUNED
}

FROM_FINE_TUNING_IN22K: dict[str, dict[str, Any]] = {
    f"eva02_{size}_patch14_448.{data}": {
        "class_name": "EVA02",
        "config": {"image_size": 448, "num_classes": 21841, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/eva02_{size}_patch14_448.{data}",
                "file": "model.safetensors",
                "license": "MIT",
            },
        ),
        "preprocess": SQUASH_448,
        "license": "MIT",
    }
    for size, data in FINE_TUNED_IN22K
}

VARIANTS: dict[str, dict[str, Any]] = {**FROM_PRETRAINING, **FROM_FINE_TUNING, **FROM_FINE_TUNING_IN22K}

TINY_CONFIG: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "num_classes": 5,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
    "rope_grid": 3,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "EVA02", "config": TINY_CONFIG, "sizes": ((32, 32), (40, 24))},
    {"class_name": "EVA02", "config": {**TINY_CONFIG, "sub_ln": False}, "sizes": ((32, 32), (40, 24))},
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
