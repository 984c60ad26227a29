"""Named weights of ViT: data only.

``vit_*`` without a tag: the conversions in the authors' Hugging Face organisation, pre-trained on ImageNet-21k and,
unless named ``_in21k``, fine-tuned on ImageNet-1k. With a tag: "How to train your ViT?", file names, preprocessing and
licence as timm 1.0.31 states them in its `default_cfgs`, which also states the licence of the others (``orig_in21k``).
No hash was computed here.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("VisionTransformer",)

HUGGINGFACE = {"vit": "VisionTransformer"}

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

VARIANTS: dict[str, dict[str, Any]] = {
    "vit_base_patch16_224": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch16-224",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch16-224",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_base_patch16_384": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 384,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch16-384",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch16-384",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_384,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_base_patch32_384": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 384,
            "patch_size": 32,
            "num_classes": 1000,
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch32-384",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch32-384",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_384,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_large_patch16_224": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 1024,
            "num_layers": 24,
            "num_heads": 16,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch16-224",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch16-224",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_large_patch16_384": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 384,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 1024,
            "num_layers": 24,
            "num_heads": 16,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch16-384",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch16-384",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_384,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_large_patch32_384": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 384,
            "patch_size": 32,
            "num_classes": 1000,
            "embed_dim": 1024,
            "num_layers": 24,
            "num_heads": 16,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch32-384",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch32-384",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_384,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_base_patch16_224_in21k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 0,
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch16-224-in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch16-224-in21k",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_224,
        "license": "Apache-2.0",
    },
    "vit_base_patch32_224_in21k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 32,
            "num_classes": 0,
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch32-224-in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-base-patch32-224-in21k",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_224,
        "license": "Apache-2.0",
    },
    "vit_large_patch16_224_in21k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 0,
            "embed_dim": 1024,
            "num_layers": 24,
            "num_heads": 16,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch16-224-in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch16-224-in21k",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_224,
        "license": "Apache-2.0",
    },
    "vit_large_patch32_224_in21k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 32,
            "num_classes": 0,
            "embed_dim": 1024,
            "num_layers": 24,
            "num_heads": 16,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch32-224-in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-large-patch32-224-in21k",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_224,
        "license": "Apache-2.0",
    },
    "vit_huge_patch14_224_in21k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 14,
            "num_classes": 0,
            "embed_dim": 1280,
            "num_layers": 32,
            "num_heads": 16,
            "layer_norm_eps": 1e-12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "google/vit-huge-patch14-224-in21k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "huggingface",
                "repository": "google/vit-huge-patch14-224-in21k",
                "file": "pytorch_model.bin",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": SQUASH_224,
        "license": "Apache-2.0",
    },
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 192,
            "num_layers": 12,
            "num_heads": 3,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_tiny_patch16_384.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 384,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 192,
            "num_layers": 12,
            "num_heads": 3,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_tiny_patch16_384.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_384.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_384,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_small_patch16_224.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 384,
            "num_layers": 12,
            "num_heads": 6,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_small_patch16_384.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 384,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 384,
            "num_layers": 12,
            "num_heads": 6,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_small_patch16_384.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_384.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_384,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_small_patch32_224.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 32,
            "num_classes": 1000,
            "embed_dim": 384,
            "num_layers": 12,
            "num_heads": 6,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_small_patch32_224.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_small_patch32_384.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 384,
            "patch_size": 32,
            "num_classes": 1000,
            "embed_dim": 384,
            "num_layers": 12,
            "num_heads": 6,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_small_patch32_384.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "S_32-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_384.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_384,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_base_patch32_224.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 32,
            "num_classes": 1000,
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_base_patch32_224.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "B_32-i21k-300ep-lr_0.001-aug_medium1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_base_patch16_224.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 768,
            "num_layers": 12,
            "num_heads": 12,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_base_patch16_224.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.01-res_224.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
    "vit_large_patch16_224.augreg_in21k_ft_in1k": {
        "class_name": "VisionTransformer",
        "config": {
            "image_size": 224,
            "patch_size": 16,
            "num_classes": 1000,
            "embed_dim": 1024,
            "num_layers": 24,
            "num_heads": 16,
        },
        "weights": (
            {
                "kind": "huggingface",
                "repository": "timm/vit_large_patch16_224.augreg_in21k_ft_in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
            {
                "kind": "url",
                "url": "https://storage.googleapis.com/vit_models/augreg/"
                "L_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.1-sd_0.1--imagenet2012-steps_20k-lr_0.01-res_224.npz",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": CROP_224,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
    },
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
        "config": {**TINY_CONFIG, "pool": "mean", "qkv_bias": False},
        "sizes": ((32, 32), (40, 24)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
