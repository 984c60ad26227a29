"""Learning on frozen features: beside scikit-learn, with few examples, and DINOv2-S beside a ResNet of similar cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks import cifar10
from benchmarks.report import Report, Settings, Table
from nexus import registry
from nexus.engines.predictor import Predictor
from nexus.engines.timing import compare
from nexus.errors import require
from nexus.evaluation import (
    FeatureCache,
    FeatureClassifier,
    KNNClassifier,
    LinearProbe,
    NearestCentroid,
    few_shot_curve,
    sweep_probes,
)
from nexus.models.loading import build_on_meta, load_model
from nexus.models.summary import summarize
from nexus.visualization._plot import BLUE, VERMILION, plain, plotted

MODELS = ("dinov2_vits14", "resnet50.keras_in1k")
SIDE = cifar10.SIDE
SHOTS = (1, 2, 5, 10, 20, 50)
DRAWS = 10
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Values of scikit-learn's C, as many as we try learning rates."""

RATE = 0.05

METHOD = (
    "CIFAR-10 as in [`cifar10`](cifar10.md): the first images of the training and of the test set, enlarged from 32x32 "
    f"to {SIDE}x{SIDE}, become the embeddings of a model whose weights stay as they are (`FeatureCache`, automatic "
    "engine). Nothing was tuned on these images. The speeds are those of training and choosing alone, on the features "
    f"of {MODELS[0]}, with all cores for both. scikit-learn's `LogisticRegression(max_iter=1000)` is timed with its "
    f"`StandardScaler` before it, in float32. *One setting*: C = 1, against a head with the learning rate {RATE} "
    "(`sweep_probes`). *To the optimum*: the same objective with C = 1, until no derivative is above 1e-6, as "
    "`LinearProbe` does it. *The best of five*: of five values of C, or five learning rates, the one that is best on a "
    "tenth of the training images, trained again on all of them (`sweep_probes`). With few examples per class, "
    f"{DRAWS} draws by lot; the intervals are those of the mean, at 95 %."
)


@dataclass(frozen=True)
class Vectors:
    """The features of one model."""

    model: str
    train: np.ndarray
    test: np.ndarray
    rate: float | None
    billions: float


@dataclass(frozen=True)
class Labels:
    """Class numbers of the training and the test images."""

    train: np.ndarray
    test: np.ndarray


def run(settings: Settings) -> Report:
    """Measure everything."""
    counts = (200, 60) if settings.quick else (10_000, 2_000)
    archive = cifar10.fetch(settings.data)
    train = cifar10.read(archive, cifar10.TRAIN, cifar10.TRAIN_LABELS).first(counts[0])
    test = cifar10.read(archive, cifar10.TEST, cifar10.TEST_LABELS).first(counts[1])
    labels = Labels(np.array(train.labels).astype(int), np.array(test.labels).astype(int))
    features = [embed(name, train.pictures, test.pictures, settings) for name in MODELS]
    shots = tuple(count for count in SHOTS if count <= np.bincount(labels.train).min())
    curves = {one.model: few(one, labels, shots, 3 if settings.quick else DRAWS) for one in features}
    tables = [
        speed(features[0], labels, pairs=1 if settings.quick else 7),
        Table(
            f"With {len(labels.train):,} training images",
            {"model": "", "GFLOP": ".1f", "numbers": "d", "classifier": "", "accuracy": ".2%", "images/s": ",.1f"},
            [row for one in features for row in whole(one, labels)],
            "GFLOP: multiply-adds of one picture. Images/s: of the embedding, unless it was on the disk.",
        ),
        Table(
            "With few images per class",
            {"images per class": "d", "model": "", "classifier": "", "accuracy": ".2%", "from": ".2%", "to": ".2%"},
            [
                (row.shots, model, method, row.mean, row.low, row.high)
                for model, by_method in curves.items()
                for method, curve in by_method.items()
                for row in curve.rows
            ],
        ),
    ]
    pictures = {"probe.png": draw(curves, len(labels.test))}
    return Report("probe", "Learning on frozen features", tables, METHOD, pictures=pictures)


def embed(name: str, train: np.ndarray, test: np.ndarray, settings: Settings) -> Vectors:
    """Return the features of all images, from the disk where they are there."""
    with Predictor(load_model(name), preprocess={"resize": (SIDE, SIDE), "crop": None}) as predictor:
        start = time.monotonic()
        found = FeatureCache(predictor, folder=settings.data / "features").features([*test, *train])
        rate = found.computed / (time.monotonic() - start) if 2 * found.computed > len(found.rows) else None
    rows = np.array(found.rows)
    variant = registry.variant(name)
    operations = summarize(build_on_meta(variant.class_name, variant.config), (SIDE, SIDE)).multiply_adds
    return Vectors(name, rows[len(test) :], rows[: len(test)], rate, operations / 1e9)


def whole(features: Vectors, labels: Labels) -> list[tuple[Any, ...]]:
    """One row per classifier, learnt from all images."""
    names, truth = labels.train.astype(str).tolist(), labels.test.astype(str).tolist()
    classifiers: dict[str, FeatureClassifier] = {
        "nearest centroid": NearestCentroid(), "kNN": KNNClassifier(), "linear probe": LinearProbe()
    }  # fmt: skip
    scores = {name: one.fit(features.train, names).accuracy(features.test, truth) for name, one in classifiers.items()}
    scores["linear probe, swept"] = judged(swept(features, labels), features, labels)
    about = (features.model, features.billions, features.train.shape[1])
    return [(*about, name, accuracy, features.rate) for name, accuracy in scores.items()]


def few(features: Vectors, labels: Labels, shots: tuple[int, ...], draws: int) -> dict[str, Any]:
    """One curve per classifier."""
    parts = (features.train, labels.train, features.test, labels.test)
    return {
        name: few_shot_curve(*parts, shots=shots, repeats=draws, method=method)
        for name, method in (("linear probe", "probe"), ("kNN", "knn"), ("nearest centroid", "centroid"))
    }


def speed(features: Vectors, labels: Labels, pairs: int) -> Table:
    """Time ours beside scikit-learn's, one setting and the best of five."""
    names = labels.train.astype(str).tolist()
    jobs: dict[str, dict[str, Callable[[], Any]]] = {
        "one setting": {
            "scikit-learn": lambda: standardized(1.0).fit(features.train, labels.train),
            "nexus": lambda: swept(features, labels, learning_rates=(RATE,)),
        },
        "one setting, to the optimum": {
            "scikit-learn": lambda: standardized(1.0, tol=1e-6).fit(features.train, labels.train),
            "nexus": lambda: LinearProbe().fit(features.train, names),
        },
        "the best of five": {
            "scikit-learn": lambda: best_of(features.train, labels.train),
            "nexus": lambda: swept(features, labels),
        },
    }
    rows = [row for job, candidates in jobs.items() for row in timed(job, candidates, features, labels, pairs)]
    columns = {"": "", "by": "", "ms": ",.0f", "times as fast": ".2f", "quartiles": "", "pairs": "d", "accuracy": ".2%"}
    count, width = features.train.shape
    return Table(f"A linear probe on {count:,} vectors of {width}, 10 classes", columns, rows)


def timed(
    job: str, candidates: dict[str, Callable[[], Any]], features: Vectors, labels: Labels, pairs: int
) -> list[tuple[Any, ...]]:
    """One row for each way of doing the same job."""
    made: dict[str, Any] = {}

    def keeping(who: str) -> Callable[[], None]:
        return lambda: made.__setitem__(who, candidates[who]())

    rows = []
    for row in compare({who: keeping(who) for who in candidates}, "scikit-learn", pairs=pairs).rows:
        spread = f"{row.low:.2f} to {row.high:.2f}" if row.name == "nexus" else None
        accuracy = judged(made[row.name], features, labels)
        rows.append((job, row.name, 1e3 * row.seconds, row.ratio, spread, row.pairs, accuracy))
    return rows


def standardized(strength: float, **settings: Any) -> Any:
    """scikit-learn's usual way."""
    linear, pipeline = require("sklearn.linear_model", "train"), require("sklearn.pipeline", "train")
    scaler = require("sklearn.preprocessing", "train").StandardScaler()
    return pipeline.make_pipeline(scaler, linear.LogisticRegression(C=strength, max_iter=1000, **settings))


def best_of(features: np.ndarray, labels: np.ndarray) -> Any:
    """Try each C on nine tenths of the examples, and train the best once more on all of them."""
    split = require("sklearn.model_selection", "train").train_test_split
    known, held, classes, truth = split(features, labels, test_size=0.1, stratify=labels, random_state=0)
    scores = [standardized(strength).fit(known, classes).score(held, truth) for strength in STRENGTHS]
    return standardized(STRENGTHS[int(np.argmax(scores))]).fit(features, labels)


def swept(features: Vectors, labels: Labels, **settings: Any) -> torch.nn.Module:
    """Ours: the head that is best of five learning rates, or of those that are given."""
    head: torch.nn.Module = sweep_probes(features.train, labels.train, config=settings).head
    return head


def judged(classifier: Any, features: Vectors, labels: Labels) -> float:
    """Return the accuracy on the test images of whatever was learnt."""
    if isinstance(classifier, torch.nn.Module):
        with torch.inference_mode():
            found = classifier(torch.from_numpy(features.test)).argmax(1).numpy()
    else:
        found = np.asarray(classifier.predict(features.test)).astype(int)
    return float((found == labels.test).mean())


def draw(curves: dict[str, dict[str, Any]], tests: int) -> Image.Image:
    """Draw the few-shot curves, a band for the interval of each."""
    styles = {"linear probe": "-", "kNN": "--", "nearest centroid": ":"}

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for colour, (model, by_method) in zip((BLUE, VERMILION), curves.items()):
            for method, curve in by_method.items():
                shots, means, lows, highs = zip(*((row.shots, row.mean, row.low, row.high) for row in curve.rows))
                axes.plot(shots, means, styles[method], marker="o", ms=3.5, color=colour, label=f"{model}, {method}")
                axes.fill_between(shots, lows, highs, color=colour, alpha=0.15, linewidth=0)
        plain(axes, f"CIFAR-10 on frozen features: accuracy on {tests:,} test images")
        axes.set_xscale("log")
        axes.set_xticks(shots, [str(count) for count in shots])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel("training images per class; bands: 95 % interval of the mean over the draws", fontsize=8.5)
        axes.legend(fontsize=8, loc="lower right", frameon=False)

    return plotted((1000, 620), paint)
