"""Named weights of ViT, and of MAE and I-JEPA, which train the same network: data only.

Where the facts were read:
- ``vit_*`` without a tag: the conversions in the authors' Hugging Face organisation, pre-trained on ImageNet-21k and,
  unless named ``_in21k``, fine-tuned on ImageNet-1k; their licence as timm states it (``orig_in21k``).
- ``.augreg*``, "How to train your ViT?": file names, preprocessing and licence from `default_cfgs` of timm 1.0.31;
  accuracies from ``results/results-imagenet.csv`` of huggingface/pytorch-image-models at aa4b585.
- ``mae_*``: files, licence and accuracies from README.md and FINETUNE.md of facebookresearch/mae at efb2a80, which
  says CC-BY-NC 4.0, and preprocessing from its ``util/datasets.py``; timm repositories from `default_cfgs`.
  ``facebook/vit-mae-*`` is no source: transformers' ``convert_vit_mae_to_pytorch.py`` reads ``mae_visualize_*``.
- ``ijepa_*``: files from README.md of facebookresearch/ijepa at 52c1ae9, which are CC-BY-NC 4.0; that the Hugging Face
  repositories are their ``encoder``, from transformers' ``convert_ijepa_to_hf.py``; preprocessing from `default_cfgs`.
- citations: the BibTeX of the authors' READMEs. No hash was computed here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("VisionTransformer",)

HUGGINGFACE = {"vit": "VisionTransformer", "vit_mae": "VisionTransformer", "ijepa": "VisionTransformer"}

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
    {
        "title": "Masked Autoencoders Are Scalable Vision Learners",
        "authors": ("Kaiming He", "Xinlei Chen", "Saining Xie", "Yanghao Li", "Piotr Dollár", "Ross Girshick"),
        "year": 2021,
        "arxiv": "2111.06377",
    },
    {
        "title": "Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture",
        "authors": (
            "Mahmoud Assran",
            "Quentin Duval",
            "Ishan Misra",
            "Piotr Bojanowski",
            "Pascal Vincent",
            "Michael Rabbat",
            "Yann LeCun",
            "Nicolas Ballas",
        ),
        "year": 2023,
        "arxiv": "2301.08243",
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
MAE_CROP: dict[str, Any] = {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"}
IJEPA_CROP_224: dict[str, Any] = {"resize": 248, "crop": (224, 224), "interpolation": "bicubic"}
IJEPA_CROP_448: dict[str, Any] = {"resize": 448, "crop": (448, 448), "interpolation": "bicubic"}

RESULTS = "timm's results/results-imagenet.csv"

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 192, "num_layers": 12, "num_heads": 3},
    "small": {"embed_dim": 384, "num_layers": 12, "num_heads": 6},
    "base": {"embed_dim": 768, "num_layers": 12, "num_heads": 12},
    "large": {"embed_dim": 1024, "num_layers": 24, "num_heads": 16},
    "huge": {"embed_dim": 1280, "num_layers": 32, "num_heads": 16},
    "giant": {"embed_dim": 1408, "num_layers": 40, "num_heads": 16, "mlp_ratio": 48 / 11},
}
"""Table 1 of the paper; tiny and small from "How to train your ViT?"; giant from I-JEPA's code."""

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

AUGREG: tuple[tuple[str, int, int, str, str, str, float], ...] = (
    ("tiny", 16, 224, "in21k_ft_in1k", "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 75.452),
    ("tiny", 16, 384, "in21k_ft_in1k", "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0", "0.03", 78.438),
    ("small", 32, 224, "in21k_ft_in1k", "S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03", 76.01),
    ("small", 32, 384, "in21k_ft_in1k", "S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03", 80.476),
    ("small", 16, 224, "in21k_ft_in1k", "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03", 81.402),
    ("small", 16, 384, "in21k_ft_in1k", "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0", "0.03", 83.814),
    ("small", 16, 224, "in1k", "S_16-i1k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.0-sd_0.0", "0.01", 78.842),
    ("small", 16, 384, "in1k", "S_16-i1k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.0-sd_0.0", "0.01", 81.13),
    ("base", 32, 224, "in21k_ft_in1k", "B_32-i21k-300ep-lr_0.001-aug_medium1-wd_0.03-do_0.0-sd_0.0", "0.03", 80.732),
    ("base", 32, 384, "in21k_ft_in1k", "B_32-i21k-300ep-lr_0.001-aug_light1-wd_0.1-do_0.0-sd_0.0", "0.03", 83.358),
    ("base", 32, 224, "in1k", "B_32-i1k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.1-sd_0.1", "0.01", 74.908),
    ("base", 32, 384, "in1k", "B_32-i1k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.1-sd_0.1", "0.01", 78.75),
    ("base", 16, 224, "in21k_ft_in1k", "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0", "0.01", 84.534),
    ("base", 16, 384, "in21k_ft_in1k", "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0", "0.01", 86.01),
    ("base", 16, 224, "in1k", "B_16-i1k-300ep-lr_0.001-aug_strong2-wd_0.1-do_0.1-sd_0.1", "0.01", 79.154),
    ("base", 16, 384, "in1k", "B_16-i1k-300ep-lr_0.001-aug_strong2-wd_0.1-do_0.1-sd_0.1", "0.01", 81.102),
    ("large", 16, 224, "in21k_ft_in1k", "L_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1", "0.01", 85.856),
    ("large", 16, 384, "in21k_ft_in1k", "L_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1", "0.01", 87.096),
)
"""Size, patch, image side, data, from the authors' file names the pre-training and the fine-tuning's rate; top-1."""

AUGREG_IN21K: tuple[tuple[str, int, str], ...] = (
    ("tiny", 16, "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0"),
    ("small", 32, "S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0"),
    ("small", 16, "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0"),
    ("base", 32, "B_32-i21k-300ep-lr_0.001-aug_medium1-wd_0.03-do_0.0-sd_0.0"),
    ("base", 16, "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0"),
    ("large", 16, "L_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1"),
)
"""Size, patch and pre-training; at 224 pixels, with the head for the 21,843 classes."""

MAE: tuple[tuple[str, str, int, float], ...] = (
    ("mae_vitb16", "base", 16, 83.664),
    ("mae_vitl16", "large", 16, 85.952),
    ("mae_vith14", "huge", 14, 86.928),
)
"""Name, size, patch, and top-1 of the fine-tuned classifier."""

IJEPA: tuple[tuple[str, str, int, int, str, str], ...] = (
    ("ijepa_vith14.in1k", "huge", 14, 224, "facebook/ijepa_vith14_1k", "IN1K-vit.h.14-300e"),
    ("ijepa_vith14.in22k", "huge", 14, 224, "facebook/ijepa_vith14_22k", "IN22K-vit.h.14-900e"),
    ("ijepa_vith16_448.in1k", "huge", 16, 448, "facebook/ijepa_vith16_1k", "IN1K-vit.h.16-448px-300e"),
    ("ijepa_vitg16.in22k", "giant", 16, 224, "facebook/ijepa_vitg16_22k", "IN22K-vit.g.16-600e"),
)
"""Name, size, patch, image side, Hugging Face repository, and the authors' file."""

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
    f"vit_{size}_patch{patch}_{side}.augreg_{data}": {
        "class_name": "VisionTransformer",
        "config": {"image_size": side, "patch_size": patch, "num_classes": 1000, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/vit_{size}_patch{patch}_{side}.augreg_{data}",
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
        "score": {"imagenet_1k_top1": top1, "source": RESULTS},
    }
    for size, patch, side, data, training, rate, top1 in AUGREG
}

FROM_AUGREG_IN21K: dict[str, dict[str, Any]] = {
    f"vit_{size}_patch{patch}_224.augreg_in21k": {
        "class_name": "VisionTransformer",
        "config": {"image_size": 224, "patch_size": patch, "num_classes": 21843, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/vit_{size}_patch{patch}_224.augreg_in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": f"https://storage.googleapis.com/vit_models/augreg/{training}.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_224,
        "license": "Apache-2.0",
    }
    for size, patch, training in AUGREG_IN21K
}

AUGREG2: dict[str, Any] = {
    "class_name": "VisionTransformer",
    "config": {"image_size": 224, "patch_size": 16, "num_classes": 1000, **SIZES["base"]},
    "weights": (
        {
            "kind": "huggingface",
            "repository": "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
            "file": "model.safetensors",
            "license": "Apache-2.0",
        },
    ),
    "preprocess": CROP_224,
    "labels": "imagenet_1k",
    "license": "Apache-2.0",
    "score": {"imagenet_1k_top1": 85.108, "source": RESULTS},
}
"""Fine-tuned again by the author of timm."""

FROM_MAE: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "VisionTransformer",
        "config": {"image_size": 224, "patch_size": patch, "num_classes": 0, **SIZES[size]},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/vit_{size}_patch{patch}_224.mae",
                "file": "model.safetensors",
                "license": "CC-BY-NC-4.0",
            },
            {
                "kind": "url",
                "url": f"https://dl.fbaipublicfiles.com/mae/pretrain/mae_pretrain_vit_{size}.pth",
                "license": "CC-BY-NC-4.0",
            },
        ),
        "preprocess": MAE_CROP,
        "license": "CC-BY-NC-4.0",
    }
    for name, size, patch, _ in MAE
}

FROM_MAE_FINE_TUNED: dict[str, dict[str, Any]] = {
    f"{name}.ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {"image_size": 224, "patch_size": patch, "num_classes": 1000, "pool": "mean_norm", **SIZES[size]},
        "weights": (
            {
                "kind": "url",
                "url": f"https://dl.fbaipublicfiles.com/mae/finetune/mae_finetuned_vit_{size}.pth",
                "license": "CC-BY-NC-4.0",
            },
        ),
        "preprocess": MAE_CROP,
        "labels": "imagenet_1k",
        "license": "CC-BY-NC-4.0",
        "score": {"imagenet_1k_top1": top1, "source": "FINETUNE.md of facebookresearch/mae"},
    }
    for name, size, patch, top1 in MAE
}

FROM_IJEPA: dict[str, dict[str, Any]] = {
    name: {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": side,
            "patch_size": patch,
            "num_classes": 0,
            "class_token": False,
            "pool": "mean",
            **SIZES[size],
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": repository,
                "file": "model.safetensors",
                "license": "CC-BY-NC-4.0",
            },
            {
                "kind": "url",
                "url": f"https://dl.fbaipublicfiles.com/ijepa/{file}.pth.tar",
                "license": "CC-BY-NC-4.0",
            },
        ),
        "preprocess": {224: IJEPA_CROP_224, 448: IJEPA_CROP_448}[side],
        "license": "CC-BY-NC-4.0",
    }
    for name, size, patch, side, repository, file in IJEPA
}

VARIANTS: dict[str, dict[str, Any]] = {
    **FROM_AUTHORS,
    **FROM_AUGREG,
    **FROM_AUGREG_IN21K,
    "vit_base_patch16_224.augreg2_in21k_ft_in1k": AUGREG2,
    **FROM_MAE,
    **FROM_MAE_FINE_TUNED,
    **FROM_IJEPA,
}

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
        "config": {**TINY_CONFIG, "class_token": False, "pool": "mean", "qkv_bias": False},
        "sizes": ((32, 32), (40, 24)),
    },
    {
        "class_name": "VisionTransformer",
        "config": {**TINY_CONFIG, "pool": "mean_norm"},
        "sizes": ((32, 32), (40, 24)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
