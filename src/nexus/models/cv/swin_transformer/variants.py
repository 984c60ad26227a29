"""Named weights of Swin Transformers: data only.

Where the facts were read:
- sizes, files, accuracies, licence (MIT): ``configs/``, README.md and LICENSE of microsoft/Swin-Transformer at f82860b,
  the authors' code; preprocessing from its ``data/build.py`` (the pictures of 384 pixels are squeezed, not cropped).
- Hugging Face repositories: `default_cfgs` of timm 1.0.31, which names the authors' files as theirs.
  ``microsoft/swin-*`` are transformers' conversions of what timm held in 2022, when its untagged base models were those
  fine-tuned from ImageNet-22k (timm 0.4.12, ``swin_transformer.py``): they are sources only where the name was never
  ambiguous.
- ``.tv_in1k``: torchvision 0.28's ``Swin_*_Weights``; licence as timm 1.0.31 states it for torchvision's weights.
- citation: the BibTeX of the authors' README. No hash was computed here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("SwinTransformer",)

HUGGINGFACE = {"swin": "SwinTransformer"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
        "authors": (
            "Ze Liu",
            "Yutong Lin",
            "Yue Cao",
            "Han Hu",
            "Yixuan Wei",
            "Zheng Zhang",
            "Stephen Lin",
            "Baining Guo",
        ),
        "year": 2021,
        "arxiv": "2103.14030",
        "venue": "Proceedings of the IEEE/CVF International Conference on Computer Vision (ICCV)",
    },
)

SIZES: dict[str, dict[str, Any]] = {
    "t": {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)},
    "s": {"embed_dim": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24)},
    "b": {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)},
    "l": {"embed_dim": 192, "depths": (2, 2, 18, 2), "num_heads": (6, 12, 24, 48)},
}

CROPPED: dict[str, Any] = {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"}
SQUEEZED: dict[str, Any] = {"resize": (384, 384), "crop": None, "interpolation": "bicubic"}

STORAGE = "https://github.com/SwinTransformer/storage/releases/download"
README = "README.md of microsoft/Swin-Transformer at f82860b"

V1: tuple[tuple[str, str, int, int, float | None, str, tuple[str, ...]], ...] = (
    (
        "swin_t",
        "t",
        224,
        1000,
        81.2,
        "v1.0.0/swin_tiny_patch4_window7_224",
        (
            "microsoft/swin-tiny-patch4-window7-224",
            "timm/swin_tiny_patch4_window7_224.ms_in1k",
        ),
    ),
    (
        "swin_s",
        "s",
        224,
        1000,
        83.2,
        "v1.0.0/swin_small_patch4_window7_224",
        (
            "microsoft/swin-small-patch4-window7-224",
            "timm/swin_small_patch4_window7_224.ms_in1k",
        ),
    ),
    (
        "swin_b",
        "b",
        224,
        1000,
        83.5,
        "v1.0.0/swin_base_patch4_window7_224",
        ("timm/swin_base_patch4_window7_224.ms_in1k",),
    ),
    (
        "swin_b_384",
        "b",
        384,
        1000,
        84.5,
        "v1.0.0/swin_base_patch4_window12_384",
        ("timm/swin_base_patch4_window12_384.ms_in1k",),
    ),
    (
        "swin_t.in22k_ft_in1k",
        "t",
        224,
        1000,
        80.9,
        "v1.0.8/swin_tiny_patch4_window7_224_22kto1k_finetune",
        ("timm/swin_tiny_patch4_window7_224.ms_in22k_ft_in1k",),
    ),
    (
        "swin_s.in22k_ft_in1k",
        "s",
        224,
        1000,
        83.2,
        "v1.0.8/swin_small_patch4_window7_224_22kto1k_finetune",
        ("timm/swin_small_patch4_window7_224.ms_in22k_ft_in1k",),
    ),
    (
        "swin_b.in22k_ft_in1k",
        "b",
        224,
        1000,
        85.2,
        "v1.0.0/swin_base_patch4_window7_224_22kto1k",
        ("timm/swin_base_patch4_window7_224.ms_in22k_ft_in1k",),
    ),
    (
        "swin_b_384.in22k_ft_in1k",
        "b",
        384,
        1000,
        86.4,
        "v1.0.0/swin_base_patch4_window12_384_22kto1k",
        ("timm/swin_base_patch4_window12_384.ms_in22k_ft_in1k",),
    ),
    (
        "swin_l",
        "l",
        224,
        1000,
        86.3,
        "v1.0.0/swin_large_patch4_window7_224_22kto1k",
        ("timm/swin_large_patch4_window7_224.ms_in22k_ft_in1k",),
    ),
    (
        "swin_l_384",
        "l",
        384,
        1000,
        87.3,
        "v1.0.0/swin_large_patch4_window12_384_22kto1k",
        ("timm/swin_large_patch4_window12_384.ms_in22k_ft_in1k",),
    ),
    (
        "swin_t.in22k",
        "t",
        224,
        21841,
        None,
        "v1.0.8/swin_tiny_patch4_window7_224_22k",
        ("timm/swin_tiny_patch4_window7_224.ms_in22k",),
    ),
    (
        "swin_s.in22k",
        "s",
        224,
        21841,
        None,
        "v1.0.8/swin_small_patch4_window7_224_22k",
        ("timm/swin_small_patch4_window7_224.ms_in22k",),
    ),
    (
        "swin_b.in22k",
        "b",
        224,
        21841,
        None,
        "v1.0.0/swin_base_patch4_window7_224_22k",
        ("timm/swin_base_patch4_window7_224.ms_in22k",),
    ),
    (
        "swin_b_384.in22k",
        "b",
        384,
        21841,
        None,
        "v1.0.0/swin_base_patch4_window12_384_22k",
        ("timm/swin_base_patch4_window12_384.ms_in22k",),
    ),
    (
        "swin_l.in22k",
        "l",
        224,
        21841,
        None,
        "v1.0.0/swin_large_patch4_window7_224_22k",
        ("timm/swin_large_patch4_window7_224.ms_in22k",),
    ),
    (
        "swin_l_384.in22k",
        "l",
        384,
        21841,
        None,
        "v1.0.0/swin_large_patch4_window12_384_22k",
        ("timm/swin_large_patch4_window12_384.ms_in22k",),
    ),
)
"""Variant, size, pixels, classes, accuracy, the authors' file, repositories. Swin-L was never trained on 1k alone."""

TORCHVISION: tuple[tuple[str, str, int, str, float, float], ...] = (
    ("swin_t.tv_in1k", "t", 232, "swin_t-704ceda3.pth", 81.474, 95.776),
    ("swin_s.tv_in1k", "s", 246, "swin_s-5e29d889.pth", 83.196, 96.360),
    ("swin_b.tv_in1k", "b", 238, "swin_b-68c6b09e.pth", 83.582, 96.640),
)
"""Variant, size, shorter side after the resize, file, accuracies."""

VARIANTS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "SwinTransformer",
        "config": {**SIZES[size], "window_size": pixels // 32, "num_classes": classes},
        "weights": (
            *(
                {"kind": "huggingface", "repository": repository, "file": "model.safetensors", "license": "MIT"}
                for repository in repositories
            ),
            {"kind": "url", "url": f"{STORAGE}/{file}.pth", "license": "MIT"},
        ),
        "preprocess": CROPPED if pixels == 224 else SQUEEZED,
        "labels": "imagenet_1k" if classes == 1000 else None,
        "license": "MIT",
        "score": {"imagenet_1k_top1": top1, "source": README} if top1 else None,
    }
    for name, size, pixels, classes, top1, file, repositories in V1
}

RETRAINED: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "SwinTransformer",
        "config": {**SIZES[size], "window_size": 7, "num_classes": 1000},
        "weights": ({"kind": "url", "url": f"https://download.pytorch.org/models/{file}", "license": "BSD-3-Clause"},),
        "preprocess": {**CROPPED, "resize": resize},
        "labels": "imagenet_1k",
        "license": "BSD-3-Clause",
        "score": {
            "imagenet_1k_top1": top1,
            "imagenet_1k_top5": top5,
            "source": "torchvision 0.28, Swin_*_Weights.IMAGENET1K_V1",
        },
    }
    for name, size, resize, file, top1, top5 in TORCHVISION
}

VARIANTS |= RETRAINED

TINY_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (2, 2),
    "num_heads": (2, 4),
    "window_size": 4,
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "SwinTransformer", "config": TINY_CONFIG, "sizes": ((64, 64), (50, 77))},
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
