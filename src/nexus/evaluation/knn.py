"""Classes by a vote of the nearest examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus.evaluation.classifier import FeatureClassifier, positive
from nexus.retrieval import ann

__all__ = ["KNNClassifier"]

QUERY_BLOCK = 4_096


class KNNClassifier(FeatureClassifier):
    """The k nearest examples by cosine vote with weights ``exp(cosine / temperature)``.

    This is the evaluation of Z. Wu et al. (2018, arXiv:1805.01978) as DINO and DINOv2 use it.

    Args:
        k: how many vote; all of them where there are fewer.
        temperature: the smaller, the more the nearest count.

    Raises:
        ConfigError: an argument is not above 0.
    """

    kind = "knn"

    def __init__(self, k: int = 20, temperature: float = 0.07) -> None:
        super().__init__()
        positive("k", k)
        positive("temperature", temperature)
        self.k, self.temperature = k, temperature

    def _fit(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._examples, self._labels = ann.normalised(features), labels

    def nearest(self, features: ArrayLike, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest examples of (Q, D) features.

        Returns:
            Their cosines and the numbers of their classes, (Q, k) each, the nearest first; fewer than k columns where
            there are fewer examples. The first columns are what a smaller k finds.

        Raises:
            InputError: see `probabilities`.
        """
        return self._nearest(self._ready(features), k)

    def _nearest(self, features: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        library, queries = ann.faiss(), ann.normalised(features)
        found = min(k, len(self._examples))
        cosine, examples = library.knn(queries, self._examples, found, metric=library.METRIC_INNER_PRODUCT)
        return cosine, self._labels[examples]

    def vote(self, cosine: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the probabilities (Q, K) of the classes that the `nearest` vote for."""
        # Relative to the nearest, so that a small temperature does not overflow.
        weights = np.exp((cosine - cosine.max(1, keepdims=True)).astype(np.float64) / self.temperature)
        votes = np.zeros((len(cosine), len(self.classes)))
        np.add.at(votes, (np.repeat(np.arange(len(cosine)), cosine.shape[1]), classes.ravel()), weights.ravel())
        return np.asarray(votes / votes.sum(1, keepdims=True), dtype=np.float32)

    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.empty((len(features), len(self.classes)), dtype=np.float32)
        for start in range(0, len(features), QUERY_BLOCK):
            block = slice(start, start + QUERY_BLOCK)
            found[block] = self.vote(*self._nearest(features[block], self.k))
        return found

    def _settings(self) -> dict[str, Any]:
        return {"k": self.k, "temperature": self.temperature}

    def _tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"examples": self._examples, "labels": self._labels}

    def _restore(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._examples, self._labels = tensors["examples"], tensors["labels"]
