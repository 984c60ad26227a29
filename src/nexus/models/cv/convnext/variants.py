"""Named weights of ConvNeXt and ConvNeXt V2: data only.

Where the facts were read:
- sizes, addresses, licences and top-1 accuracies at the resolution in question: the READMEs and model files of
  facebookresearch/ConvNeXt at 048efce and facebookresearch/ConvNeXt-V2 at 2553895 (V2: "ImageNet pre-trained and
  fine-tuned models [...] are licensed under a CC-BY-NC"); preprocessing: their `datasets.py` (a crop of 7/8 below 384
  pixels, no crop and no aspect kept from there on).
- the repositories in timm's organisation and the licences that it states: timm 1.0.31, `default_cfgs`. It has no copy
  of the weights that were trained on ImageNet-1k alone and fine-tuned at 384.
- ``.tv_in1k``: torchvision 0.28, `ConvNeXt_*_Weights`; the licence is the library's, which states none for weights.
- citations: the BibTeX of the authors' READMEs.

A name without a tag was trained on ImageNet-1k alone (V2: pre-trained there, too, by masked autoencoding, FCMAE);
``.fcmae``: only pre-trained, no head, and no last norm, which starts as the identity; ``.in22k``: on ImageNet-22k,
whose 21,841 classes have no names here; ``.in22k_ft_in1k``: fine-tuned from there.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("ConvNeXt",)

HUGGINGFACE = {"convnext": "ConvNeXt", "convnextv2": "ConvNeXt"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "A ConvNet for the 2020s",
        "authors": (
            "Zhuang Liu",
            "Hanzi Mao",
            "Chao-Yuan Wu",
            "Christoph Feichtenhofer",
            "Trevor Darrell",
            "Saining Xie",
        ),
        "year": 2022,
        "arxiv": "2201.03545",
    },
    {
        "title": "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
        "authors": (
            "Sanghyun Woo",
            "Shoubhik Debnath",
            "Ronghang Hu",
            "Xinlei Chen",
            "Zhuang Liu",
            "In So Kweon",
            "Saining Xie",
        ),
        "year": 2023,
        "arxiv": "2301.00808",
    },
)

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"depths": (3, 3, 9, 3), "widths": (96, 192, 384, 768)},
    "small": {"depths": (3, 3, 27, 3), "widths": (96, 192, 384, 768)},
    "base": {"depths": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)},
    "large": {"depths": (3, 3, 27, 3), "widths": (192, 384, 768, 1536)},
    "xlarge": {"depths": (3, 3, 27, 3), "widths": (256, 512, 1024, 2048)},
}

V2: dict[str, Any] = {"grn": True, "layer_scale": None}

SIZES_V2: dict[str, dict[str, Any]] = {
    "atto": {**V2, "depths": (2, 2, 6, 2), "widths": (40, 80, 160, 320)},
    "femto": {**V2, "depths": (2, 2, 6, 2), "widths": (48, 96, 192, 384)},
    "pico": {**V2, "depths": (2, 2, 6, 2), "widths": (64, 128, 256, 512)},
    "nano": {**V2, "depths": (2, 2, 8, 2), "widths": (80, 160, 320, 640)},
    "tiny": {**V2, **SIZES["tiny"]},
    "base": {**V2, **SIZES["base"]},
    "large": {**V2, **SIZES["large"]},
    "huge": {**V2, "depths": (3, 3, 27, 3), "widths": (352, 704, 1408, 2816)},
}

PREPROCESS: dict[int, dict[str, Any]] = {
    224: {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"},
    384: {"resize": (384, 384), "crop": None, "interpolation": "bicubic"},
    512: {"resize": (512, 512), "crop": None, "interpolation": "bicubic"},
}
"""The authors' evaluation transforms, by the side of the input."""

V1_WEIGHTS: tuple[tuple[str, str, int, str, str | None, float | None], ...] = (
    ("convnext_tiny", "tiny", 224, "tiny_1k_224_ema", "convnext_tiny.fb_in1k", 82.1),
    ("convnext_small", "small", 224, "small_1k_224_ema", "convnext_small.fb_in1k", 83.1),
    ("convnext_base", "base", 224, "base_1k_224_ema", "convnext_base.fb_in1k", 83.8),
    ("convnext_base_384", "base", 384, "base_1k_384", None, 85.1),
    ("convnext_large", "large", 224, "large_1k_224_ema", "convnext_large.fb_in1k", 84.3),
    ("convnext_large_384", "large", 384, "large_1k_384", None, 85.5),
    *(
        (f"convnext_{size}.in22k", size, 224, f"{size}_22k_224", f"convnext_{size}.fb_in22k", None)
        for size in ("tiny", "small", "base", "large", "xlarge")
    ),
    *(
        (
            f"convnext_{size}{'' if side == 224 else f'_{side}'}.in22k_ft_in1k",
            size,
            side,
            f"{size}_22k_1k_{side}" + ("_ema" if size == "xlarge" else ""),
            f"convnext_{size}.fb_in22k_ft_in1k" + ("" if side == 224 else f"_{side}"),
            top1,
        )
        for size, side, top1 in (
            ("tiny", 224, 82.9),
            ("tiny", 384, 84.1),
            ("small", 224, 84.6),
            ("small", 384, 85.8),
            ("base", 224, 85.8),
            ("base", 384, 86.8),
            ("large", 224, 86.6),
            ("large", 384, 87.5),
            ("xlarge", 224, 87.0),
            ("xlarge", 384, 87.8),
        )
    ),
)
"""Name, size, side of the input, the authors' file, timm's repository, top-1 accuracy on ImageNet-1k in percent."""

V2_WEIGHTS: tuple[tuple[str, str, int, str, str, float | None], ...] = (
    *(
        (
            f"convnextv2_{size}.fcmae",
            size,
            224,
            f"pt_only/convnextv2_{size}_1k_224_fcmae",
            f"convnextv2_{size}.fcmae",
            None,
        )
        for size in SIZES_V2
    ),
    *(
        (
            f"convnextv2_{size}",
            size,
            224,
            f"im1k/convnextv2_{size}_1k_224_ema",
            f"convnextv2_{size}.fcmae_ft_in1k",
            top1,
        )
        for size, top1 in (
            ("atto", 76.7),
            ("femto", 78.5),
            ("pico", 80.3),
            ("nano", 81.9),
            ("tiny", 83.0),
            ("base", 84.9),
            ("large", 85.8),
            ("huge", 86.3),
        )
    ),
    *(
        (
            f"convnextv2_{size}{'' if side == 224 else f'_{side}'}.in22k_ft_in1k",
            size,
            side,
            f"im22k/convnextv2_{size}_22k_{side}_ema",
            f"convnextv2_{size}.fcmae_ft_in22k_in1k" + ("" if side == 224 else f"_{side}"),
            top1,
        )
        for size, side, top1 in (
            ("nano", 224, 82.1),
            ("nano", 384, 83.4),
            ("tiny", 224, 83.9),
            ("tiny", 384, 85.1),
            ("base", 224, 86.8),
            ("base", 384, 87.7),
            ("large", 224, 87.3),
            ("large", 384, 88.2),
            ("huge", 384, 88.7),
            ("huge", 512, 88.9),
        )
    ),
)
"""As `V1_WEIGHTS`."""

TORCHVISION: tuple[tuple[str, str, int, float, float], ...] = (
    ("tiny", "983f1562", 236, 82.520, 96.146),
    ("small", "0c510722", 230, 83.616, 96.650),
    ("base", "6075fbad", 232, 84.062, 96.870),
    ("large", "ea097f82", 232, 84.414, 96.976),
)
"""Size, end of the file's name, side of the resize, top-1 and top-5 accuracy."""

FROM_AUTHORS: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "ConvNeXt",
        "config": {
            **sizes[size],
            "num_classes": 21841 if name.endswith(".in22k") else 0 if name.endswith(".fcmae") else 1000,
        },
        "weights": (
            *(
                {
                    "kind": "huggingface",
                    "repository": f"timm/{repository}",
                    "file": "model.safetensors",
                    "license": licenses[1],
                }
                for repository in ([timm] if timm else [])
            ),
            {"kind": "url", "url": f"https://dl.fbaipublicfiles.com/convnext/{file}", "license": licenses[0]},
        ),
        "preprocess": PREPROCESS[side],
        "labels": None if name.endswith((".in22k", ".fcmae")) else "imagenet_1k",
        "license": licenses[0],
        "score": {"imagenet_1k_top1": top1, "source": source} if top1 else None,
    }
    for sizes, licenses, source, rows in (
        (
            SIZES,
            ("MIT", "Apache-2.0"),
            "README of facebookresearch/ConvNeXt at 048efce",
            [
                (name, size, side, f"convnext_{file}.pth", timm, top1)
                for name, size, side, file, timm, top1 in V1_WEIGHTS
            ],
        ),
        (
            SIZES_V2,
            ("CC-BY-NC-4.0", "CC-BY-NC-4.0"),
            "README of facebookresearch/ConvNeXt-V2 at 2553895",
            [
                (name, size, side, f"convnextv2/{file}.pt", timm, top1)
                for name, size, side, file, timm, top1 in V2_WEIGHTS
            ],
        ),
    )
    for name, size, side, file, timm, top1 in rows
}

FROM_TORCHVISION: dict[str, dict[str, Any]] = {
    f"convnext_{size}.tv_in1k": {
        "class_name": "ConvNeXt",
        "config": SIZES[size],
        "weights": (
            {
                "kind": "url",
                "url": f"https://download.pytorch.org/models/convnext_{size}-{digits}.pth",
                "license": "BSD-3-Clause",
            },
        ),
        "preprocess": {"resize": resize, "crop": (224, 224), "interpolation": "bilinear"},
        "labels": "imagenet_1k",
        "license": "BSD-3-Clause",
        "score": {
            "imagenet_1k_top1": top1,
            "imagenet_1k_top5": top5,
            "source": "torchvision 0.28, ConvNeXt_*_Weights.IMAGENET1K_V1",
        },
    }
    for size, digits, resize, top1, top5 in TORCHVISION
}

VARIANTS: dict[str, dict[str, Any]] = {**FROM_AUTHORS, **FROM_TORCHVISION}

TINY_CONFIG: dict[str, Any] = {"depths": (1, 2, 1, 1), "widths": (8, 16, 24, 32), "num_classes": 5}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "ConvNeXt", "config": {**TINY_CONFIG, "layer_scale": 0.1}, "sizes": ((64, 64), (32, 96))},
    {"class_name": "ConvNeXt", "config": {**TINY_CONFIG, **V2}, "sizes": ((64, 64), (32, 96))},
    {
        "class_name": "ConvNeXt",
        "config": {
            **TINY_CONFIG,
            "stem": "resnet",
            "depthwise": False,
            "inverted_bottleneck": False,
            "spatial_first": False,
            "kernel_size": 3,
            "activation": "relu",
            "fewer_activations": False,
            "fewer_norms": False,
            "norm": "batch",
            "separate_downsampling": False,
            "layer_scale": None,
        },
        "sizes": ((64, 64), (47, 70)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
