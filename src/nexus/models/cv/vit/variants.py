"""Named weights of ViT: data only.

``vit_*`` without a tag: the conversions in the authors' Hugging Face organisation, pre-trained on ImageNet-21k and,
unless named ``_in21k``, fine-tuned on ImageNet-1k. With a tag: "How to train your ViT?", file names, preprocessing and
licence as timm 1.0.31 states them in its `default_cfgs`, which also states the licence of the others (``orig_in21k``).
No hash was computed here. Citations: the BibTeX of the authors' README (google-research/vision_transformer).
"""

from __future__ import annotations

from typing import Any

CLASSES = ("VisionTransformer",)

HUGGINGFACE = {"vit": "VisionTransformer"}

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

SQUASH_224: dict[str, Any] = {
    "resize": (224, 224),
    "crop": None,
    "interpolation": "bilinear",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}
SQUASH_384: dict[str, Any] = {**SQUASH_224, "resize": (384, 384)}
CROP_224: dict[str, Any] = {**SQUASH_224, "resize": 248, "crop": (224, 224), "interpolation": "bicubic"}
CROP_384: dict[str, Any] = {**SQUASH_224, "resize": 384, "crop": (384, 384), "interpolation": "bicubic"}

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 192, "num_layers": 12, "num_heads": 3},
    "small": {"embed_dim": 384, "num_layers": 12, "num_heads": 6},
    "base": {"embed_dim": 768, "num_layers": 12, "num_heads": 12},
    "large": {"embed_dim": 1024, "num_layers": 24, "num_heads": 16},
    "huge": {"embed_dim": 1280, "num_layers": 32, "num_heads": 16},
}
"""Table 1 of the paper; tiny and small from "How to train your ViT?"."""

AUTHORS: tuple[tuple[str, int, int, int], ...] = (
    ("base", 16, 224, 1000),
    ("base", 16, 384, 1000),
    ("base", 32, 384, 1000),
    ("large", 16, 224, 1000),
    ("large", 16, 384, 1000),
    ("large", 32, 384, 1000),
    ("base", 16, 224, 0),
    ("base", 32, 224, 0),
    ("large", 16, 224, 0),
    ("large", 32, 224, 0),
    ("huge", 14, 224, 0),
)
"""Size, patch, image side and classes of what the authors' organisation publishes; 0: pre-trained only (``_in21k``)."""

AUGREG: tuple[tuple[str, int, int, str, str], ...] = (
    ("tiny", 16, 224, "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0", "0.03"),
    ("tiny", 16, 384, "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0", "0.03"),
    ("small", 16, 224, "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03"),
    ("small", 16, 384, "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03"),
    ("small", 32, 224, "S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03"),
    ("small", 32, 384, "S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03"),
    ("base", 32, 224, "B_32-i21k-300ep-lr_0.001-aug_medium1-wd_0.03-do_0.0-sd_0.0", "0.03"),
    ("base", 16, 224, "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0", "0.01"),
    ("large", 16, 224, "L_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1", "0.01"),
)
"""Size, patch, image side, and from the authors' file names the pre-training and the rate of the fine-tuning."""

FROM_AUTHORS: dict[str, dict[str, Any]] = {
    f"vit_{size}_patch{patch}_{side}" + ("" if classes else "_in21k"): {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": side,
            "patch_size": patch,
            "num_classes": classes,
            **SIZES[size],
            "layer_norm_eps": 1e-12,
        },
        "weights": tuple(
            {
                "kind": "huggingface",
                "repository": f"google/vit-{size}-patch{patch}-{side}" + ("" if classes else "-in21k"),
                "file": file,
                "license": "Apache-2.0",
            }
            for file in ("model.safetensors", "pytorch_model.bin")
        ),
        "preprocess": {224: SQUASH_224, 384: SQUASH_384}[side],
        "labels": "imagenet_1k" if classes else None,
        "license": "Apache-2.0",
    }
    for size, patch, side, classes in AUTHORS
}

FROM_AUGREG: dict[str, dict[str, Any]] = {
    f"vit_{size}_patch{patch}_{side}.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {"image_size": side, "patch_size": patch, "num_classes": 1000, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/vit_{size}_patch{patch}_{side}.augreg_in21k_ft_in1k",
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
        "preprocess": {224: CROP_224, 384: CROP_384}[side],
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    }
    for size, patch, side, training, rate in AUGREG
}

VARIANTS: dict[str, dict[str, Any]] = {**FROM_AUTHORS, **FROM_AUGREG}

TINY_CONFIG: dict[str, Any] = {
    "image_size": 32,
    "patch_size": 8,
    "num_classes": 5,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "VisionTransformer", "config": TINY_CONFIG, "sizes": ((32, 32), (40, 24))},
    {
        "class_name": "VisionTransformer",
        "config": {**TINY_CONFIG, "pool": "mean", "qkv_bias": False},
        "sizes": ((32, 32), (40, 24)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
