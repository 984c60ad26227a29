"""What all classifiers on frozen features share: names of classes, answers, files."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus.errors import ConfigError, InputError, WeightsError

__all__ = ["FeatureClassifier", "load_classifier", "positive"]

KINDS: dict[str, type[FeatureClassifier]] = {}


class FeatureClassifier(ABC):
    """A classifier on feature vectors. Fit it, then ask it.

    Attributes:
        classes: names of the classes, sorted; empty before `fit`.
    """

    kind: ClassVar[str]
    """How files name it."""

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self._dims = 0

    def __init_subclass__(cls) -> None:
        KINDS[cls.kind] = cls

    def fit(self, features: ArrayLike, labels: Sequence[str]) -> Self:
        """Learn from examples.

        Args:
            features: (N, D) vectors.
            labels: N class names.

        Raises:
            InputError: no or unequally many features and labels, or features that are not finite.
        """
        array = _checked(features, None)
        if len(labels) != len(array):
            raise InputError(f"{len(array)} features and {len(labels)} labels: one label per feature vector is needed")
        if not len(array):
            raise InputError("there are no examples to learn from")
        names, numbers = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
        self.classes, self._dims = tuple(str(name) for name in names), array.shape[1]
        self._fit(array, numbers.astype(np.int64))
        return self

    def probabilities(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return (Q, K) probabilities of the classes for (Q, D) features; rows sum to 1.

        Raises:
            InputError: not fitted, or features of another length or not finite.
        """
        return self._probabilities(self._ready(features))

    def _ready(self, features: ArrayLike) -> NDArray[np.float32]:
        """Check what is asked, and that it can be answered."""
        if not self.classes:
            raise InputError(f"{type(self).__name__} has learnt nothing yet; call fit first")
        return _checked(features, self._dims)

    def predict(self, features: ArrayLike) -> list[str]:
        """Return the most probable class of each of (Q, D) features."""
        return [self.classes[best] for best in self.probabilities(features).argmax(1)]

    def accuracy(self, features: ArrayLike, labels: Sequence[str]) -> float:
        """Return the share, 0..1, of (Q, D) features whose predicted class is the label.

        Raises:
            InputError: no or unequally many features and labels.
        """
        predicted = self.predict(features)
        if len(predicted) != len(labels) or not predicted:
            raise InputError(
                f"{len(predicted)} features and {len(labels)} labels: equally many, at least 1, are needed"
            )
        return float(np.mean([a == b for a, b in zip(predicted, labels, strict=True)]))

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file."""
        from safetensors.numpy import save_file

        if not self.classes:
            raise InputError(f"{type(self).__name__} has learnt nothing yet; call fit first")
        settings = {"classes": self.classes, "dims": self._dims, **self._settings()}
        save_file(dict(self._tensors()), str(path), {"nexus_classifier": self.kind, "settings": json.dumps(settings)})

    @abstractmethod
    def _fit(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> None: ...

    @abstractmethod
    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float32]: ...

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Arguments of the constructor."""

    @abstractmethod
    def _tensors(self) -> Mapping[str, NDArray[Any]]: ...

    @abstractmethod
    def _restore(self, tensors: Mapping[str, NDArray[Any]]) -> None: ...


def load_classifier(path: str | Path) -> FeatureClassifier:
    """Read what `FeatureClassifier.save` wrote.

    Raises:
        WeightsError: it is no such file.
    """
    from safetensors import SafetensorError, safe_open

    from nexus.evaluation import knn, linear_probe, nearest_centroid  # noqa: F401  they register their kinds

    try:
        with safe_open(str(path), framework="numpy") as file:
            described = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read as a classifier: {error}") from error
    kind = described.get("nexus_classifier", "")
    if kind not in KINDS:
        raise WeightsError(f"{path} holds {kind or 'no'} classifier; one of {', '.join(KINDS)} was expected")
    settings = json.loads(described["settings"])
    classes, dims = settings.pop("classes"), settings.pop("dims")
    classifier = KINDS[kind](**settings)
    classifier.classes, classifier._dims = tuple(classes), dims
    classifier._restore(tensors)
    return classifier


def positive(name: str, value: float) -> None:
    """Refuse a setting that is not above 0."""
    if not value > 0:
        raise ConfigError(f"{name} = {value}: must be above 0")


def _checked(features: ArrayLike, dims: int | None) -> NDArray[np.float32]:
    array = np.ascontiguousarray(features, dtype=np.float32)
    if array.ndim != 2 or (dims is not None and array.shape[1] != dims):
        raise InputError(f"features of shape {array.shape}: (N, {dims or 'D'}) is needed")
    if not np.isfinite(array).all():
        raise InputError("the features hold NaN or infinity")
    return array
