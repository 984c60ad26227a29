"""How well examples predict each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from nexus.evaluation.classifier import FeatureClassifier

__all__ = ["cross_validate"]


def cross_validate(
    build: Callable[[], FeatureClassifier], features: ArrayLike, labels: Sequence[str], folds: int = 5
) -> float | None:
    """Return the share, 0..1, of examples that classifiers learnt from the other folds label right.

    The folds are stratified: each class is dealt out in the order given. A class with one example cannot be predicted
    by others and is left out.

    Args:
        build: makes a classifier that has learnt nothing.
        features: (N, D) vectors.
        labels: N class names.
        folds: number of folds; fewer where no class has so many examples.

    Returns:
        The accuracy, or None where fewer than two classes have two examples.
    """
    array, names = np.asarray(features), np.asarray(labels, dtype=str)
    classes, own, counts = np.unique(names, return_inverse=True, return_counts=True)
    counted = counts[own] > 1
    if (counts > 1).sum() < 2:
        return None
    array, names, own = array[counted], names[counted], own[counted]
    dealt = np.zeros(len(own), dtype=np.int64)
    for number in range(len(classes)):
        members = np.flatnonzero(own == number)
        dealt[members] = np.arange(len(members)) % min(folds, counts.max())
    right = 0.0
    for fold in np.unique(dealt):
        held = dealt == fold
        classifier = build().fit(array[~held], names[~held].tolist())
        right += held.sum() * classifier.accuracy(array[held], names[held].tolist())
    return float(right / len(own))
