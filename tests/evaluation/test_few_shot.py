"""A few examples per class: seeded draws, each within the next, and an interval that holds what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from nexus.errors import ConfigError, InputError
from nexus.evaluation import FeatureClassifier, KNNClassifier, LinearProbe, NearestCentroid, few_shot_curve
from nexus.evaluation.few_shot import METHODS, student_t
from nexus.results import ProgressEvent

CLASSES = 3


def examples(count: int, seed: int = 0) -> tuple[Any, Any]:
    centres = np.random.default_rng(42).normal(size=(CLASSES, 8))
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    return (centres[labels] + rng.normal(size=(count, 8))).astype(np.float32), labels


class Remembering(NearestCentroid):
    """Notes what it was taught."""

    kind = "remembering"
    lessons: list[Any] = []  # noqa: RUF012  shared on purpose

    def fit(self, features: Any, labels: Any) -> Remembering:
        self.lessons.append((features, labels))
        return super().fit(features, labels)


def test_draws_are_balanced_and_each_lies_within_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "centroid", Remembering)
    monkeypatch.setattr(Remembering, "lessons", [])
    features, labels = examples(90)
    few_shot_curve(features, labels, features, labels, shots=(4, 1, 2), repeats=3, method="centroid")
    lessons = Remembering.lessons
    assert [len(names) for _, names in lessons] == [3, 6, 12] * 3
    for drawn, names in lessons:
        assert len(np.unique(drawn, axis=0)) == len(drawn)
        assert len(set(np.unique(names, return_counts=True)[1])) == 1
        for row, name in zip(drawn, names, strict=True):
            assert (features[labels == int(name)] == row).all(1).any()
    sets = [{row.tobytes() for row in drawn} for drawn, _ in lessons]
    assert all(sets[n] < sets[n + 1] for n in (0, 1, 3, 4, 6, 7))
    assert sets[2] != sets[5]


@pytest.mark.parametrize(
    ("method", "kind"), [("probe", LinearProbe), ("knn", KNNClassifier), ("centroid", NearestCentroid)]
)
def test_accuracies_are_those_of_the_classifier(method: Any, kind: type[FeatureClassifier]) -> None:
    (features, labels), (others, truth) = examples(12), examples(60, seed=1)
    curve = few_shot_curve(features, labels, others, truth, shots=[4], repeats=2, method=method)
    whole = kind().fit(features, labels.astype(str).tolist()).accuracy(others, truth.astype(str).tolist())
    assert curve.rows[0].accuracies == pytest.approx((whole, whole))  # four of four: there is nothing to draw
    assert (curve.rows[0].low, curve.rows[0].high) == pytest.approx((whole, whole))
    assert (curve.classes, curve.tests, curve.method) == (CLASSES, 60, method)


def test_more_examples_help_and_the_seed_decides() -> None:
    (features, labels), (others, truth) = examples(150), examples(150, seed=1)
    first, second = (few_shot_curve(features, labels, others, truth, repeats=6) for _ in range(2))
    assert first == second
    assert first != few_shot_curve(features, labels, others, truth, repeats=6, seed=1)
    assert [row.shots for row in first.rows] == [1, 5, 10]
    assert first.rows[0].mean < first.rows[1].mean < first.rows[2].mean
    assert len(first.lines()) == 3


def test_the_interval_is_students() -> None:
    (features, labels), (others, truth) = examples(90), examples(60, seed=1)
    row = few_shot_curve(features, labels, others, truth, shots=(2,), repeats=5).rows[0]
    low, high = stats.t.interval(0.95, 4, np.mean(row.accuracies), stats.sem(row.accuracies))
    assert (row.mean, row.low, row.high) == pytest.approx((np.mean(row.accuracies), low, high))
    for freedom in (1, 2, 3, 9, 50):
        for confidence in (0.5, 0.95, 0.99):
            assert student_t(freedom, confidence) == pytest.approx(stats.t.ppf((1 + confidence) / 2, freedom), rel=1e-5)


def test_names_and_gaps_are_taken() -> None:
    (features, labels), (others, truth) = examples(60), examples(30, seed=1)
    names = np.array(["cat", "dog", "emu"])
    wanted = few_shot_curve(features, labels, others, truth, shots=(2,), repeats=3)
    assert few_shot_curve(features, names[labels], others, names[truth], shots=(2,), repeats=3).rows == wanted.rows
    padded = np.concatenate([features, features * 100]), np.concatenate([labels, np.full(60, -1)])
    assert few_shot_curve(*padded, others, truth, shots=(2,), repeats=3).rows == wanted.rows


def test_progress_is_told() -> None:
    events: list[ProgressEvent] = []
    few_shot_curve(*examples(30), *examples(30), shots=(1,), repeats=3, progress=events.append)
    assert [(event.done, event.total, event.unit) for event in events] == [
        (1, 3, "draws"),
        (2, 3, "draws"),
        (3, 3, "draws"),
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "prob"}, ConfigError, "did you mean 'probe'"),
        ({"shots": ()}, ConfigError, r"shots = \[\]"),
        ({"shots": (0, 1)}, ConfigError, r"shots = \[0, 1\]"),
        ({"repeats": 1}, ConfigError, "repeats = 1"),
        ({"shots": (11,)}, InputError, "class 0 has 10 examples; shots = 11"),
    ],
)
def test_what_cannot_be_is_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        few_shot_curve(*examples(30), *examples(30), **arguments)


def test_examples_must_fit_their_labels() -> None:
    features, labels = examples(30)
    with pytest.raises(InputError, match="30 features and 29 labels"):
        few_shot_curve(features, labels[:29], features, labels)
    with pytest.raises(InputError, match=r"labels of shape \(30, 1\)"):
        few_shot_curve(features, labels[:, None], features, labels)
    with pytest.raises(InputError, match="1 classes"):
        few_shot_curve(features, labels * 0, features, labels)
