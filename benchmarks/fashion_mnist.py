"""Fashion-MNIST three ways: two networks from random weights, and a head and neighbours on frozen features."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nexus
from benchmarks.report import Report, Settings, Table
from nexus.datasets import LabelledImages, read_splits
from nexus.errors import InputError
from nexus.evaluation import FeatureCache, KNNClassifier, sweep_probes
from nexus.models.base import NexusModule
from nexus.models.cv import ResNet, VisionTransformer
from nexus.training.run_folder import RunFolder
from nexus.transforms.preprocess import PreprocessSpec

INSTALLED = Path("/usr/share/datasets/fashion-mnist")
PACKAGE = "dataset-fashion-mnist"
"""Debian's package; it holds the four files that the authors publish."""

SPEC = PreprocessSpec(resize=28, crop=(28, 28), mean=(0.286,) * 3, std=(0.353,) * 3, decode="exact")
"""Pictures as they are; mean and deviation of the training pictures."""

RESNET18 = {
    "block": "basic", "depths": (2, 2, 2, 2), "widths": (64, 128, 256, 512), "stem": "3x3", "num_classes": 10,
}  # fmt: skip
VIT_TINY = {
    "image_size": 28, "patch_size": 4, "embed_dim": 192, "num_layers": 12, "num_heads": 3, "num_classes": 10,
}  # fmt: skip

SHIFTED = {"scale": (0.7, 1.0), "ratio": (0.9, 1.11), "flip": 0.5}
RUNS: dict[str, tuple[type[NexusModule], Mapping[str, Any], Mapping[str, Any]]] = {
    "ResNet-18, 3x3 stem": (ResNet, RESNET18, {
        "epochs": 5, "batch_size": 128, "lr": 0.1, "lr_batch": None, "optimizer": {"name": "sgd", "nesterov": True,
        "weight_decay": 5e-4}, "schedule": {"warmup_epochs": 1}, "augment": {"policy": "none", **SHIFTED}, "mix": None,
        "erase": {"probability": 0.25}, "loss": {"label_smoothing": 0.1}, "clip_grad": None,
    }),
    "ViT-Ti/4": (VisionTransformer, VIT_TINY, {
        "epochs": 10, "batch_size": 64, "lr": 1e-3, "lr_batch": None, "schedule": {"warmup_epochs": 1},
        "augment": {"policy": "none", **SHIFTED}, "mix": None, "erase": None, "loss": {"label_smoothing": 0.1},
        "compile": True,
    }),
}  # fmt: skip

PUBLISHED = (
    ("WRN-40-4, 8.9 M parameters", "crops, flips", 0.967),
    ("ResNet-18", "flips, shifts, turns", 0.949),
    ("HOG features and SVM", "none", 0.926),
)
"""From the table that the data's authors keep (github.com/zalandoresearch/fashion-mnist, README.md, "Benchmark"); they
have not tested these themselves."""

METHOD = (
    "Fashion-MNIST (Xiao et al. 2017): 60,000 pictures of 28x28 to learn from, 10,000 to measure on, which nothing was "
    "chosen by: the last epoch counts. From random weights: `nexus.train` with the settings in benchmarks/"
    "fashion_mnist.py, as few epochs as a CPU allows; minutes are those of the steps at the upper quartile of their "
    "rates, for the machine did other work beside them. Frozen features: the class token of dinov2_vits14 on pictures "
    "enlarged to 224x224, a head chosen on a tenth of the pictures (`nexus.evaluation.sweep_probes`) and a vote of the "
    "20 nearest, on the first 6,000 pictures to learn from and the first 2,000 of the others."
)


def run(settings: Settings) -> Report:
    """Train, probe and measure."""
    splits = read_splits(fetch(settings.data), val=0)
    train, test = splits.train, splits.test
    assert test is not None
    if settings.quick:
        train, test = train.subset(range(256)), test.subset(range(64))
    folder = settings.data / "runs"
    rows = [from_scratch(name, train, test, folder, settings.quick) for name in RUNS]
    some = (64, 32) if settings.quick else (6_000, 2_000)
    rows += on_frozen_features(train.subset(range(some[0])), test.subset(range(some[1])))
    columns = {"": "", "pictures": ",d", "epochs": "d", "top-1": ".1%", "minutes": ".1f"}
    known = Table("Published", {"": "", "augmentation": "", "top-1": ".1%"}, PUBLISHED)
    return Report("fashion_mnist", "Fashion-MNIST", [Table("Measured here", columns, rows), known], METHOD)


def from_scratch(
    name: str, train: LabelledImages, test: LabelledImages, folder: Path, quick: bool
) -> tuple[str, int, int, float, float]:
    """Train one network from random weights; a run that was interrupted goes on."""
    kind, config, settings = RUNS[name]
    model = kind(config)
    model.preprocess = SPEC
    settings = {**settings, "epochs": 1, "schedule": {"warmup_epochs": 0}, "compile": False} if quick else settings
    out = folder / f"{name.split(',')[0].replace('/', '-').lower()}{'-quick' if quick else ''}"
    if quick:
        shutil.rmtree(out, ignore_errors=True)
    nexus.train(
        {"train": train, "val": test},
        mode="scratch",
        model=model,
        out=str(out),
        config=settings,
        track=["none"],
        engine="eager",
    )
    run = RunFolder(out)
    # The last epoch counts: taking the best would choose by the test pictures.
    top1 = float(run.records("epoch")[-1]["val_top1"])
    rate = float(np.quantile([record["images_per_second"] for record in run.records("step")], 0.75))
    return name, len(train), settings["epochs"], top1, settings["epochs"] * len(train) / rate / 60


def on_frozen_features(train: LabelledImages, test: LabelledImages) -> list[tuple[str, int, None, float, None]]:
    """A head that was chosen on a tenth of the training pictures, and the nearest neighbours."""
    with nexus.load("dinov2_vits14", preprocess={"resize": (224, 224), "crop": None}) as predictor:
        known, asked = (FeatureCache(predictor).features(part).rows for part in (train, test))
    sweep = sweep_probes(known, train.targets, num_classes=len(train.classes))
    with torch.inference_mode():
        said = sweep.head(torch.from_numpy(np.array(asked))).argmax(1).numpy()
    names = [train.classes[number] for number in train.targets]
    nearest = KNNClassifier(20).fit(known, names)
    voted = nearest.accuracy(asked, [train.classes[number] for number in test.targets])
    return [
        ("DINOv2-S/14, a head on frozen features", len(train), None, float((said == test.targets).mean()), None),
        ("DINOv2-S/14, 20 nearest neighbours", len(train), None, voted, None),
    ]


def fetch(data: Path) -> Path:
    """Return the folder of the four files: the system's, or that of Debian's package, fetched once.

    Raises:
        InputError: neither is there.
    """
    folder = data / "fashion-mnist"
    unpacked = folder / INSTALLED.relative_to("/")
    if INSTALLED.is_dir() or unpacked.is_dir():
        return INSTALLED if INSTALLED.is_dir() else unpacked
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "-q", "download", PACKAGE], cwd=folder, check=True, capture_output=True)
        archive = next(folder.glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=folder, check=True)
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        raise InputError(
            f"Fashion-MNIST is not here: apt-get install {PACKAGE}, or put its four files into {INSTALLED}"
        ) from error
    return unpacked
