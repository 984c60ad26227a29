from __future__ import annotations

import numpy as np
import pytest

from nexus.evaluation import KNNClassifier, cross_validate


def test_equals_scikit_learns_folds() -> None:
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    random = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 20)
    features = random.normal(size=(60, 8)) + 0.9 * np.repeat(np.eye(8)[:3], 20, axis=0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    ours = cross_validate(lambda: KNNClassifier(1), features, labels.tolist())
    theirs = cross_val_score(KNeighborsClassifier(1), unit, labels, cv=StratifiedKFold(5)).mean()
    assert ours == pytest.approx(theirs, abs=0.12)  # their folds are dealt in another order
    assert 0.4 < ours < 1


def test_few_examples() -> None:
    features = np.eye(4)[[0, 0, 1, 1, 2]]
    assert cross_validate(lambda: KNNClassifier(1), features, ["a", "a", "b", "b", "c"]) == 1.0
    crossed = np.eye(4)[[0, 1, 1, 0, 2]]
    assert cross_validate(lambda: KNNClassifier(1), crossed, ["a", "b", "a", "b", "c"]) == 0.0
    assert cross_validate(lambda: KNNClassifier(1), features[:3], ["a", "a", "b"]) is None
