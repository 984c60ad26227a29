"""Named weights of Swin Transformers: data only.

Where the facts were read:
- sizes, files, accuracies, licence (MIT): ``configs/``, README.md and LICENSE of microsoft/Swin-Transformer at f82860b,
  the authors' code; preprocessing from its ``data/build.py`` (the pictures of 384 pixels are squeezed, not cropped).
- Hugging Face repositories: `default_cfgs` of timm 1.0.31, which names the authors' files as theirs.
  ``microsoft/swin-*`` are transformers' conversions of what timm held in 2022, when its untagged base models were those
  fine-tuned from ImageNet-22k (timm 0.4.12, ``swin_transformer.py``): they are sources only where the name was never
  ambiguous.
  V2's are named for their windows, so that their one repository known to transformers 5.23 is a source.
- ``.tv_in1k``: torchvision 0.28's ``Swin_*_Weights``; licence as timm 1.0.31 states it for torchvision's weights.
- citation: the BibTeX of the authors' README. No hash was computed here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("SwinTransformer", "SwinTransformerV2")

HUGGINGFACE = {"swin": "SwinTransformer", "swinv2": "SwinTransformerV2"}

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
    {
        "title": "Swin Transformer V2: Scaling Up Capacity and Resolution",
        "authors": (
            "Ze Liu",
            "Han Hu",
            "Yutong Lin",
            "Zhuliang Yao",
            "Zhenda Xie",
            "Yixuan Wei",
            "Jia Ning",
            "Yue Cao",
            "Zheng Zhang",
            "Li Dong",
            "Furu Wei",
            "Baining Guo",
        ),
        "year": 2022,
        "arxiv": "2111.09883",
        "venue": "International Conference on Computer Vision and Pattern Recognition (CVPR)",
    },
)

SIZES: dict[str, dict[str, Any]] = {
    "t": {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)},
    "s": {"embed_dim": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24)},
    "b": {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)},
    "l": {"embed_dim": 192, "depths": (2, 2, 18, 2), "num_heads": (6, 12, 24, 48)},
}

PREPROCESS: dict[int, dict[str, Any]] = {
    192: {"resize": 219, "crop": (192, 192), "interpolation": "bicubic"},
    224: {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"},
    256: {"resize": 292, "crop": (256, 256), "interpolation": "bicubic"},
    384: {"resize": (384, 384), "crop": None, "interpolation": "bicubic"},
}
"""Pixels -> how the authors prepare pictures: the shorter side to 256 / 224 of them, or all of it squeezed."""

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

GROWN = (12, 12, 12, 6)
"""Windows of each stage when a model of 256 or 384 pixels was pre-trained at 192."""

V2: tuple[tuple[str, str, int, int, int, tuple[int, ...], float | None, str, tuple[str, ...]], ...] = (
    (
        "swin_v2_t",
        "t",
        256,
        8,
        1000,
        (),
        81.8,
        "v2.0.0/swinv2_tiny_patch4_window8_256",
        (
            "microsoft/swinv2-tiny-patch4-window8-256",
            "timm/swinv2_tiny_window8_256.ms_in1k",
        ),
    ),
    (
        "swin_v2_t_w16",
        "t",
        256,
        16,
        1000,
        (),
        82.8,
        "v2.0.0/swinv2_tiny_patch4_window16_256",
        ("timm/swinv2_tiny_window16_256.ms_in1k",),
    ),
    (
        "swin_v2_s",
        "s",
        256,
        8,
        1000,
        (),
        83.7,
        "v2.0.0/swinv2_small_patch4_window8_256",
        ("timm/swinv2_small_window8_256.ms_in1k",),
    ),
    (
        "swin_v2_s_w16",
        "s",
        256,
        16,
        1000,
        (),
        84.1,
        "v2.0.0/swinv2_small_patch4_window16_256",
        ("timm/swinv2_small_window16_256.ms_in1k",),
    ),
    (
        "swin_v2_b",
        "b",
        256,
        8,
        1000,
        (),
        84.2,
        "v2.0.0/swinv2_base_patch4_window8_256",
        ("timm/swinv2_base_window8_256.ms_in1k",),
    ),
    (
        "swin_v2_b_w16",
        "b",
        256,
        16,
        1000,
        (),
        84.6,
        "v2.0.0/swinv2_base_patch4_window16_256",
        ("timm/swinv2_base_window16_256.ms_in1k",),
    ),
    (
        "swin_v2_b.in22k_ft_in1k",
        "b",
        256,
        16,
        1000,
        GROWN,
        86.2,
        "v2.0.0/swinv2_base_patch4_window12to16_192to256_22kto1k_ft",
        ("timm/swinv2_base_window12to16_192to256.ms_in22k_ft_in1k",),
    ),
    (
        "swin_v2_b_384.in22k_ft_in1k",
        "b",
        384,
        24,
        1000,
        GROWN,
        87.1,
        "v2.0.0/swinv2_base_patch4_window12to24_192to384_22kto1k_ft",
        ("timm/swinv2_base_window12to24_192to384.ms_in22k_ft_in1k",),
    ),
    (
        "swin_v2_b.in22k",
        "b",
        192,
        12,
        21841,
        (),
        None,
        "v2.0.0/swinv2_base_patch4_window12_192_22k",
        ("timm/swinv2_base_window12_192.ms_in22k",),
    ),
    (
        "swin_v2_l",
        "l",
        256,
        16,
        1000,
        GROWN,
        86.9,
        "v2.0.0/swinv2_large_patch4_window12to16_192to256_22kto1k_ft",
        ("timm/swinv2_large_window12to16_192to256.ms_in22k_ft_in1k",),
    ),
    (
        "swin_v2_l_384",
        "l",
        384,
        24,
        1000,
        GROWN,
        87.6,
        "v2.0.0/swinv2_large_patch4_window12to24_192to384_22kto1k_ft",
        ("timm/swinv2_large_window12to24_192to384.ms_in22k_ft_in1k",),
    ),
    (
        "swin_v2_l.in22k",
        "l",
        192,
        12,
        21841,
        (),
        None,
        "v2.0.0/swinv2_large_patch4_window12_192_22k",
        ("timm/swinv2_large_window12_192.ms_in22k",),
    ),
)
"""Variant, size, pixels, window, classes, pre-trained windows, accuracy, the authors' file, repositories."""

V1_CONFIG: dict[str, Any] = {"window_size": 7}
V2_CONFIG: dict[str, Any] = {"window_size": 8, "image_size": None}

TORCHVISION: tuple[tuple[str, str, dict[str, Any], str, int, int, str, float, float], ...] = (
    ("swin_t.tv_in1k", "SwinTransformer", V1_CONFIG, "t", 232, 224, "swin_t-704ceda3.pth", 81.474, 95.776),
    ("swin_s.tv_in1k", "SwinTransformer", V1_CONFIG, "s", 246, 224, "swin_s-5e29d889.pth", 83.196, 96.360),
    ("swin_b.tv_in1k", "SwinTransformer", V1_CONFIG, "b", 238, 224, "swin_b-68c6b09e.pth", 83.582, 96.640),
    ("swin_v2_t.tv_in1k", "SwinTransformerV2", V2_CONFIG, "t", 260, 256, "swin_v2_t-b137f0e2.pth", 82.072, 96.132),
    ("swin_v2_s.tv_in1k", "SwinTransformerV2", V2_CONFIG, "s", 260, 256, "swin_v2_s-637d8ceb.pth", 83.712, 96.816),
    ("swin_v2_b.tv_in1k", "SwinTransformerV2", V2_CONFIG, "b", 272, 256, "swin_v2_b-781e5279.pth", 84.112, 96.864),
)
"""Variant, class, windows, size, shorter side after the resize, pixels, file, accuracies."""

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
        "preprocess": PREPROCESS[pixels],
        "labels": "imagenet_1k" if classes == 1000 else None,
        "license": "MIT",
        "score": {"imagenet_1k_top1": top1, "source": README} if top1 else None,
    }
    for name, size, pixels, classes, top1, file, repositories in V1
}

VARIANTS |= {
    name: {
        "class_name": "SwinTransformerV2",
        "config": {
            **SIZES[size],
            "image_size": pixels,
            "window_size": window,
            "num_classes": classes,
            "pretrained_window_sizes": pretrained,
        },
        "weights": (
            *(
                {"kind": "huggingface", "repository": repository, "file": "model.safetensors", "license": "MIT"}
                for repository in repositories
            ),
            {"kind": "url", "url": f"{STORAGE}/{file}.pth", "license": "MIT"},
        ),
        "preprocess": PREPROCESS[pixels],
        "labels": "imagenet_1k" if classes == 1000 else None,
        "license": "MIT",
        "score": {"imagenet_1k_top1": top1, "source": README} if top1 else None,
    }
    for name, size, pixels, window, classes, pretrained, top1, file, repositories in V2
}

RETRAINED: dict[str, dict[str, Any]] = {
    name: {
        "class_name": class_name,
        "config": {**SIZES[size], **config, "num_classes": 1000},
        "weights": ({"kind": "url", "url": f"https://download.pytorch.org/models/{file}", "license": "BSD-3-Clause"},),
        "preprocess": {"resize": resize, "crop": (pixels, pixels), "interpolation": "bicubic"},
        "labels": "imagenet_1k",
        "license": "BSD-3-Clause",
        "score": {
            "imagenet_1k_top1": top1,
            "imagenet_1k_top5": top5,
            "source": "torchvision 0.28, Swin_*_Weights.IMAGENET1K_V1",
        },
    }
    for name, class_name, config, size, resize, pixels, file, top1, top5 in TORCHVISION
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
    {
        "class_name": "SwinTransformerV2",
        "config": {**TINY_CONFIG, "image_size": 48, "pretrained_window_sizes": (3, 3)},
        "sizes": ((64, 64), (50, 77)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
