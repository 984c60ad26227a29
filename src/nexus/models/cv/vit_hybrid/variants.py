"""Named weights of hybrid ViTs: data only.

Names, files, preprocessing and licence: `default_cfgs` of timm 1.0.31; accuracies: ``results/results-imagenet.csv`` of
huggingface/pytorch-image-models at aa4b585. That google/vit-hybrid-base-bit-384 was made of timm's weights:
transformers' ``convert_vit_hybrid_timm_to_pytorch.py``. Citations: the README of google-research/vision_transformer.
No hash was computed here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("HybridViT",)

HUGGINGFACE = {"vit-hybrid": "HybridViT"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
        "authors": (
            "Alexey Dosovitskiy",
            "Lucas Beyer",
            "Alexander Kolesnikov",
            "Dirk Weissenborn",
            "Xiaohua Zhai",
            "Thomas Unterthiner",
            "Mostafa Dehghani",
            "Matthias Minderer",
            "Georg Heigold",
            "Sylvain Gelly",
            "Jakob Uszkoreit",
            "Neil Houlsby",
        ),
        "year": 2020,
        "arxiv": "2010.11929",
    },
    {
        "title": "How to train your ViT? Data, Augmentation, and Regularization in Vision Transformers",
        "authors": (
            "Andreas Steiner",
            "Alexander Kolesnikov",
            "Xiaohua Zhai",
            "Ross Wightman",
            "Jakob Uszkoreit",
            "Lucas Beyer",
        ),
        "year": 2021,
        "arxiv": "2106.10270",
    },
)

HALF: tuple[float, ...] = (0.5, 0.5, 0.5)
PREPROCESS: dict[int, dict[str, Any]] = {
    224: {"resize": 248, "crop": (224, 224), "interpolation": "bicubic", "mean": HALF, "std": HALF},
    384: {"resize": 384, "crop": (384, 384), "interpolation": "bicubic", "mean": HALF, "std": HALF},
}

RESULTS = "timm's results/results-imagenet.csv"

SIZES: dict[str, dict[str, Any]] = {
    "tiny_r_s16_p8": {"depths": (), "patch_size": 8, "embed_dim": 192, "num_layers": 12, "num_heads": 3},
    "small_r26_s32": {"depths": (2, 2, 2, 2), "embed_dim": 384, "num_layers": 12, "num_heads": 6},
    "base_r50_s16": {"depths": (3, 4, 9), "embed_dim": 768, "num_layers": 12, "num_heads": 12},
    "large_r50_s32": {"depths": (3, 4, 6, 3), "embed_dim": 1024, "num_layers": 24, "num_heads": 16},
}
"""R+Ti/16, R26+S/32, R50+B/16 and R50+L/32, as ``vit_jax/configs/models.py`` of the authors has them."""

AUGREG: tuple[tuple[str, int, str, str, float], ...] = (
    ("tiny_r_s16_p8", 224, "R_Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 71.8),
    ("tiny_r_s16_p8", 384, "R_Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 75.962),
    ("small_r26_s32", 224, "R26_S_32-i21k-300ep-lr_0.001-aug_light0-wd_0.03-do_0.1-sd_0.1", "0.03", 81.856),
    ("small_r26_s32", 384, "R26_S_32-i21k-300ep-lr_0.001-aug_medium2-wd_0.03-do_0.0-sd_0.0", "0.03", 84.066),
    ("large_r50_s32", 224, "R50_L_32-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1", "0.01", 84.434),
    ("large_r50_s32", 384, "R50_L_32-i21k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.0-sd_0.0", "0.01", 86.188),
)
"""Size, image side, from the authors' file names the pre-training and the fine-tuning's rate; top-1."""

AUGREG_IN21K: tuple[tuple[str, str], ...] = (
    ("tiny_r_s16_p8", "R_Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0"),
    ("small_r26_s32", "R26_S_32-i21k-300ep-lr_0.001-aug_medium2-wd_0.03-do_0.0-sd_0.0"),
    ("large_r50_s32", "R50_L_32-i21k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.0-sd_0.0"),
)
"""Size and pre-training; at 224 pixels, with the head for the 21,843 classes."""

FROM_AUGREG: dict[str, dict[str, Any]] = {
    f"vit_{size}_{side}.augreg_in21k_ft_in1k": {
        "class_name": "HybridViT",
        "config": {"image_size": side, "num_classes": 1000, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/vit_{size}_{side}.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                f"{training}--imagenet2012-steps_20k-lr_{rate}-res_{side}.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS[side],
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {"imagenet_1k_top1": top1, "source": RESULTS},
    }
    for size, side, training, rate, top1 in AUGREG
}

FROM_AUGREG_IN21K: dict[str, dict[str, Any]] = {
    f"vit_{size}_224.augreg_in21k": {
        "class_name": "HybridViT",
        "config": {"image_size": 224, "num_classes": 21843, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/vit_{size}_224.augreg_in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": f"https://storage.googleapis.com/vit_models/augreg/{training}.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS[224],
        "license": "Apache-2.0",
    }
    for size, training in AUGREG_IN21K
}

FROM_AUTHORS: dict[str, dict[str, Any]] = {
    "vit_base_r50_s16_224.orig_in21k": {
        "class_name": "HybridViT",
        "config": {"image_size": 224, "num_classes": 0, **SIZES["base_r50_s16"]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_base_r50_s16_224.orig_in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS[224],
        "license": "Apache-2.0",
    },
    "vit_base_r50_s16_384.orig_in21k_ft_in1k": {
        "class_name": "HybridViT",
        "config": {"image_size": 384, "num_classes": 1000, **SIZES["base_r50_s16"]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_base_r50_s16_384.orig_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-hybrid-base-bit-384",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-vitjx/"
                "jx_vit_base_resnet50_384-9fd3c705.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS[384],
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {"imagenet_1k_top1": 84.988, "source": RESULTS},
    },
}

VARIANTS: dict[str, dict[str, Any]] = {**FROM_AUTHORS, **FROM_AUGREG, **FROM_AUGREG_IN21K}

TINY_CONFIG: dict[str, Any] = {
    "image_size": 32,
    "num_classes": 5,
    "depths": (1, 1),
    "root_width": 8,
    "groups": 4,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "HybridViT", "config": TINY_CONFIG, "sizes": ((32, 32), (43, 30))},
    {
        "class_name": "HybridViT",
        "config": {**TINY_CONFIG, "depths": (), "patch_size": 2},
        "sizes": ((32, 32), (40, 24)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
