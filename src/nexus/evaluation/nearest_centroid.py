"""Classes by the nearest mean of their examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus.evaluation.classifier import FeatureClassifier, positive
from nexus.retrieval import ann

__all__ = ["NearestCentroid"]


class NearestCentroid(FeatureClassifier):
    """The class whose examples point, on the mean, most nearly where the feature points.

    With one example per class this is the nearest neighbour, and with a handful it is hard to beat: the baseline of
    SimpleShot (Y. Wang et al., 2019, arXiv:1911.04623) on features of length 1, by cosine.

    Args:
        temperature: probabilities are ``softmax(cosine / temperature)``; it decides how sure they are, not which class.

    Raises:
        ConfigError: an argument is not above 0.
    """

    kind = "nearest_centroid"

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        positive("temperature", temperature)
        self.temperature = temperature

    def _fit(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        sums = np.zeros((len(self.classes), features.shape[1]))
        np.add.at(sums, labels, ann.normalised(features))
        self._centroids = ann.normalised(sums.astype(np.float32))

    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = (ann.normalised(features) @ self._centroids.T).astype(np.float64) / self.temperature
        powers = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True), dtype=np.float32)

    def _settings(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    def _tensors(self) -> Mapping[str, NDArray[Any]]:
        return {"centroids": self._centroids}

    def _restore(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._centroids = tensors["centroids"]
