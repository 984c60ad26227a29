"""Classes by a vote of the nearest examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        library = ann.faiss()
        votes = np.zeros((len(features), len(self.classes)))
        for start in range(0, len(features), QUERY_BLOCK):
            queries = ann.normalised(features[start : start + QUERY_BLOCK])
            k = min(self.k, len(self._examples))
            cosine, nearest = library.knn(queries, self._examples, k, metric=library.METRIC_INNER_PRODUCT)
            # Relative to the nearest, so that a small temperature does not overflow.
            weights = np.exp((cosine - cosine.max(1, keepdims=True)).astype(np.float64) / self.temperature)
            rows = np.repeat(np.arange(start, start + len(queries)), k)
            np.add.at(votes, (rows, self._labels[nearest].ravel()), weights.ravel())
        return np.asarray(votes / votes.sum(1, keepdims=True), dtype=np.float32)

    def _settings(self) -> dict[str, Any]:
        return {"k": self.k, "temperature": self.temperature}

    def _tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"examples": self._examples, "labels": self._labels}

    def _restore(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._examples, self._labels = tensors["examples"], tensors["labels"]
