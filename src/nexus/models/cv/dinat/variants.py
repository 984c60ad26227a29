"""Named weights of DiNAT and NAT: data only.

Sizes, addresses, scores, licence and citations: SHI-Labs/Neighborhood-Attention-Transformer (`classification/dinat.py`,
`nat.py`, `DiNAT.md`, `NAT.md`, README). Preprocessing: its `classification/train.py` and configs, timm's transform with
a crop of 0.875 (1.0 at 384) and bicubic resampling. No hash was computed.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("DiNAT",)

HUGGINGFACE = {"dinat": "DiNAT", "nat": "DiNAT"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "Dilated Neighborhood Attention Transformer",
        "authors": ("Ali Hassani", "Humphrey Shi"),
        "year": 2022,
        "arxiv": "2209.15001",
    },
    {
        "title": "Neighborhood Attention Transformer",
        "authors": ("Ali Hassani", "Steven Walton", "Jiachen Li", "Shen Li", "Humphrey Shi"),
        "year": 2023,
        "arxiv": "2204.07143",
    },
)

PREPROCESS: dict[str, Any] = {
    "resize": 256,
    "crop": (224, 224),
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
CROP_384: dict[str, Any] = {**PREPROCESS, "resize": 384, "crop": (384, 384)}

MINI = (3, 4, 6, 5)
DEEP = (3, 4, 18, 5)

SIZES: dict[str, dict[str, Any]] = {
    "mini": {"embed_dim": 64, "num_heads": (2, 4, 8, 16), "mlp_ratio": 3, "depths": MINI, "drop_path": 0.2},
    "tiny": {"embed_dim": 64, "num_heads": (2, 4, 8, 16), "mlp_ratio": 3, "depths": DEEP, "drop_path": 0.2},
    "small": {"embed_dim": 96, "num_heads": (3, 6, 12, 24), "mlp_ratio": 2, "depths": DEEP, "drop_path": 0.3},
    "base": {
        "embed_dim": 128,
        "num_heads": (4, 8, 16, 32),
        "mlp_ratio": 2,
        "depths": DEEP,
        "drop_path": 0.5,
        "layer_scale": 1e-5,
    },
    "large": {"embed_dim": 192, "num_heads": (6, 12, 24, 48), "mlp_ratio": 2, "depths": DEEP, "drop_path": 0.35},
}

DILATIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "mini": ((1, 8, 1), (1, 4) * 2, (1, 2) * 3, (1,) * 5),
    "deep": ((1, 8, 1), (1, 4) * 2, (1, 2) * 9, (1,) * 5),
    "deep 384": ((1, 13, 1), (1, 6) * 2, (1, 3) * 9, (1,) * 5),
    "nat mini": ((1,) * 3, (1,) * 4, (1,) * 6, (1,) * 5),
    "nat": ((1,) * 3, (1,) * 4, (1,) * 18, (1,) * 5),
}

IN1K = "https://shi-labs.com/projects/dinat/checkpoints/imagenet1k"
NAT = "https://shi-labs.com/projects/nat/checkpoints/CLS"

PUBLISHED: tuple[tuple[str, str, dict[str, Any], str, float], ...] = (
    ("dinat_mini", "mini", {"dilations": DILATIONS["mini"]}, f"{IN1K}/dinat_mini_in1k_224.pth", 81.8),
    ("dinat_tiny", "tiny", {"dilations": DILATIONS["deep"]}, f"{IN1K}/dinat_tiny_in1k_224.pth", 82.7),
    ("dinat_small", "small", {"dilations": DILATIONS["deep"]}, f"{IN1K}/dinat_small_in1k_224.pth", 83.8),
    ("dinat_base", "base", {"dilations": DILATIONS["deep"]}, f"{IN1K}/dinat_base_in1k_224.pth", 84.4),
    ("dinat_large", "large", {"dilations": DILATIONS["deep"]}, f"{IN1K}/dinat_large_in22k_in1k_224.pth", 86.6),
    ("dinat_large_384", "large", {"dilations": DILATIONS["deep 384"]}, f"{IN1K}/dinat_large_in22k_in1k_384.pth", 87.4),
    (
        "dinat_large_384_11x11",
        "large",
        {"dilations": DILATIONS["deep"], "kernel_size": 11},
        f"{IN1K}/dinat_large_in22k_in1k_384_11x11.pth",
        87.5,
    ),
    ("nat_mini", "mini", {"dilations": DILATIONS["nat mini"]}, f"{NAT}/nat_mini.pth", 81.8),
    ("nat_tiny", "tiny", {"dilations": DILATIONS["nat"]}, f"{NAT}/nat_tiny.pth", 83.2),
    ("nat_small", "small", {"dilations": DILATIONS["nat"], "layer_scale": 1e-5}, f"{NAT}/nat_small.pth", 83.7),
    ("nat_base", "base", {"dilations": DILATIONS["nat"]}, f"{NAT}/nat_base.pth", 84.3),
)
"""Variant, size, further config, address, top-1."""

VARIANTS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "DiNAT",
        "config": {**SIZES[size], **config},
        "weights": ({"kind": "url", "url": url, "license": "MIT"},),
        "preprocess": CROP_384 if "_384" in name else PREPROCESS,
        "labels": "imagenet_1k",
        "license": "MIT",
        "score": {"imagenet_1k_top1": top1, "source": "the authors' DiNAT.md and NAT.md"},
    }
    for name, size, config, url, top1 in PUBLISHED
}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "DiNAT",
        "config": {
            "num_classes": 5,
            "embed_dim": 16,
            "depths": (1, 1),
            "num_heads": (2, 4),
            "kernel_size": 3,
            "dilations": ((2,), (1,)),
            "mlp_ratio": 2,
            "layer_scale": 1.0,
            "drop_path": 0.0,
        },
        "sizes": ((32, 32), (44, 36)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
