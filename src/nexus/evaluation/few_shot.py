"""How good features are with a few labelled examples: the mean over draws, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus._seeds import generator
from nexus.errors import ConfigError, InputError, did_you_mean
from nexus.evaluation.classifier import FeatureClassifier
from nexus.evaluation.knn import KNNClassifier
from nexus.evaluation.linear_probe import LinearProbe
from nexus.evaluation.nearest_centroid import NearestCentroid
from nexus.results import Progress, ProgressEvent, Result

__all__ = ["CONFIDENCE", "FewShotCurve", "FewShotRow", "few_shot_curve"]

CONFIDENCE = 0.95

METHODS: dict[str, Callable[[], FeatureClassifier]] = {
    "probe": LinearProbe,
    "knn": KNNClassifier,
    "centroid": NearestCentroid,
}


class FewShotRow(Result):
    """The accuracy with so many examples per class.

    Attributes:
        shots: examples per class.
        mean: accuracy, 0..1, mean over the draws.
        low, high: the 95 % confidence interval of the mean, by Student's t-distribution.
        accuracies: of each draw.
    """

    shots: int
    mean: float
    low: float
    high: float
    accuracies: tuple[float, ...]


class FewShotCurve(Result):
    """What `few_shot_curve` returns: one row per number of shots, in ascending order.

    Attributes:
        method: the classifier: ``"probe"``, ``"knn"`` or ``"centroid"``.
        classes: how many there are.
        tests: how many pictures were classified in each draw.
        rows: the points of the curve.
    """

    method: str
    classes: int
    tests: int
    rows: tuple[FewShotRow, ...]

    def lines(self) -> list[str]:
        """One line per number of shots."""
        return [
            f"{row.shots:>4} per class  {row.mean:7.2%}  ({row.low:.2%} to {row.high:.2%}, {len(row.accuracies)} draws)"
            for row in self.rows
        ]


def few_shot_curve(
    features: ArrayLike,
    labels: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    *,
    shots: Sequence[int] = (1, 5, 10),
    repeats: int = 10,
    seed: int = 0,
    method: Literal["probe", "knn", "centroid"] = "probe",
    progress: Progress | None = None,
) -> FewShotCurve:
    """Learn from a few examples of each class, drawn by lot, and classify the same test examples each time.

    A draw of five examples holds the draw of one with the same number, so that the curve shows what more examples give
    and not what other examples give. The interval says how far the mean over *these* features may be off by the luck of
    the draws; it knows nothing of other test pictures.

    Args:
        features: (N, D) vectors to draw from.
        labels: (N,) classes, numbers or names; -1 for none.
        test_features: (T, D) vectors to classify.
        test_labels: (T,) their classes.
        shots: examples per class.
        repeats: draws for each number of shots, two at least.
        seed: of the draws.
        method: ``"probe"``: logistic regression (`LinearProbe`); ``"knn"``: `KNNClassifier`; ``"centroid"``:
            `NearestCentroid`.
        progress: called after every draw.

    Raises:
        ConfigError: `shots`, `repeats` or `method` cannot be.
        InputError: a class has too few examples, or shapes that do not fit each other.
    """
    shots = sorted(set(shots))
    if method not in METHODS:
        raise ConfigError(f"method = {method!r}: one of {', '.join(METHODS)}{did_you_mean(method, METHODS)}")
    if not shots or shots[0] < 1 or repeats < 2:
        raise ConfigError(f"shots = {shots}, repeats = {repeats}: shots from 1 and repeats from 2 on are needed")
    array, names, known = np.asarray(features), *_labelled(labels)
    tests, truth = np.asarray(test_features), np.asarray(test_labels).astype(str)
    if len(array) != len(names) or len(tests) != len(truth):
        raise InputError(
            f"{len(array)} features and {len(names)} labels, {len(tests)} and {len(truth)} to test: "
            "one label per feature vector is needed"
        )
    members = _members(names, known, shots[-1])
    accuracies: dict[int, list[float]] = {count: [] for count in shots}
    for repeat in range(repeats):
        rng = generator(seed, repeat)
        drawn = [rng.permutation(numbers)[: shots[-1]] for numbers in members]
        for count in shots:
            chosen = np.concatenate([numbers[:count] for numbers in drawn])
            classifier = METHODS[method]().fit(array[chosen], names[chosen].tolist())
            accuracies[count].append(classifier.accuracy(tests, truth.tolist()))
        if progress is not None:
            progress(ProgressEvent(stage=f"few shots, {method}", done=repeat + 1, total=repeats, unit="draws"))
    rows = tuple(_row(count, values) for count, values in accuracies.items())
    return FewShotCurve(method=method, classes=len(members), tests=len(tests), rows=rows)


def _labelled(labels: ArrayLike) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    array = np.asarray(labels)
    if array.ndim != 1:
        raise InputError(f"labels of shape {array.shape}: (N,), one class per example, is needed")
    return array.astype(str), np.asarray(array != -1 if array.dtype.kind in "iu" else np.ones(len(array), bool))


def _members(names: NDArray[np.str_], known: NDArray[np.bool_], least: int) -> list[NDArray[np.int64]]:
    """The examples of each class."""
    classes = np.unique(names[known])
    members = [np.flatnonzero(known & (names == name)) for name in classes]
    for name, numbers in zip(classes, members):
        if len(numbers) < least:
            raise InputError(f"class {name} has {len(numbers)} examples; shots = {least} needs {least} of every class")
    if len(members) < 2:
        raise InputError(f"there are examples of {len(members)} classes; two are needed")
    return members


def _row(shots: int, accuracies: Sequence[float]) -> FewShotRow:
    mean = float(np.mean(accuracies))
    spread = float(np.std(accuracies, ddof=1)) / math.sqrt(len(accuracies))
    reach = student_t(len(accuracies) - 1, CONFIDENCE) * spread
    return FewShotRow(
        shots=shots, mean=mean, low=max(0, mean - reach), high=min(1, mean + reach), accuracies=tuple(accuracies)
    )


def student_t(freedom: int, confidence: float) -> float:
    """Return t such that Student's t-distribution has the share `confidence` of its mass within -t..t.

    With ``x = sqrt(freedom) tan(angle)`` its density becomes ``cos(angle) ** (freedom - 1)``, which is summed up.
    """
    angles = np.linspace(0, np.pi / 2, 200_001)
    density = np.cos(angles) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return float(math.sqrt(freedom) * np.tan(np.interp(confidence, mass / mass[-1], angles)))
