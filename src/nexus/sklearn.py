"""Scikit-learn estimators: pictures to vectors, and vectors to classes. Needs the extra ``train``.

from nexus.sklearn import Embedder, LinearProbe

pipeline = make_pipeline(Embedder("dinov2_vits14"), LinearProbe())
pipeline.fit(paths, labels)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus.errors import ConfigError, InputError, require

require("sklearn", extra="train")

from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from nexus.engines.predictor import Predictor, output_path
from nexus.evaluation import FeatureCache, FeatureClassifier, KNNClassifier
from nexus.evaluation import LinearProbe as FeatureProbe

__all__ = ["KNN", "Embedder", "LinearProbe"]


class Embedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns pictures into vectors with a model whose weights stay as they are.

    There is nothing to fit. Vectors are kept on disk under the content of each picture (see
    `nexus.evaluation.FeatureCache`), so that a grid search or a cross-validation runs each picture through the model
    once. The loaded model is shared by all embedders of one process with the same settings, and a pickle has its name.

    Args:
        model: a name (`nexus.list_models()`), a folder, or a `NexusModule`.
        pooling: ``"cls"``, the model's own vector, or ``"mean"`` over its patches; see `Predictor.embed`.
        layer: of which block; None: the final features.
        size: side of the square that the model sees, in pixels; None: its own.
        engine, device, batch_size, workers: see `Predictor`.
        cache: whether vectors are kept on disk.
    """

    def __init__(
        self,
        model: Any = "dinov2_vits14",
        *,
        pooling: Literal["cls", "mean"] = "cls",
        layer: int | None = None,
        size: int | None = None,
        engine: str = "auto",
        device: str = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        cache: bool = True,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.layer = layer
        self.size = size
        self.engine = engine
        self.device = device
        self.batch_size = batch_size
        self.workers = workers
        self.cache = cache

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the settings; nothing is learnt.

        Args:
            X: see `transform`; not read.
            y: not read.

        Raises:
            ConfigError: pooling is neither ``"cls"`` nor ``"mean"``.
            NexusError: whatever `Predictor` raises.
        """
        self._predictor()
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the vectors of pictures, (N, D) float32.

        Args:
            X: N pictures: paths, PIL images, encoded files or arrays in a sequence or column, or one array (N, H, W, 3)
                of uint8 or of floats 0..1.

        Raises:
            InputError: a picture cannot be read: a row for every picture is promised here.
            NexusError: whatever `Predictor` raises.
        """
        predictor, path = self._predictor()
        pictures = as_pictures(X)
        if self.cache:
            found = FeatureCache(predictor, (path,)).features(pictures)
            rows, skipped = np.asarray(found.rows), found.skipped
        else:
            embedded = predictor.embed(pictures, self.pooling, self.layer)
            rows, skipped = embedded.vectors, embedded.skipped
        if skipped:
            raise InputError(
                f"{len(skipped)} of {len(pictures)} pictures cannot be read, the first is {skipped[0].source}: "
                f"{skipped[0].reason}; leave them out"
            )
        return rows

    @property
    def _n_features_out(self) -> int:
        predictor, _ = self._predictor()
        black = np.zeros((*predictor.preprocess.size, 3), np.uint8)
        return int(predictor.embed(black, self.pooling, self.layer).vectors.shape[1])

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        return tags

    def _predictor(self) -> tuple[Predictor, str]:
        """The model, loaded, and the name of the output that is read."""
        if self.pooling not in ("cls", "mean"):
            raise ConfigError(f"pooling = {self.pooling!r}: one vector per picture is needed, by 'cls' or 'mean'")
        settings = (self.model, self.size, self.engine, self.device, self.batch_size, self.workers)
        return loaded(*settings), output_path(self.pooling, self.layer)


@lru_cache(maxsize=2)
def loaded(
    model: Any, size: int | None, engine: str, device: str, batch_size: int | None, workers: int | None
) -> Predictor:
    """Return a predictor; the last two stay loaded, since scikit-learn copies estimators freely."""
    predictor = Predictor(model, engine=engine, device=device, batch_size=batch_size, workers=workers)
    return predictor if size is None else predictor.like(preprocess=predictor.preprocess.at(size))


def as_pictures(X: Any) -> list[Any]:
    """Return the pictures in a list.

    Raises:
        InputError: one picture in the place of several, or numbers that are none.
    """
    if isinstance(X, str | bytes) or not isinstance(X, Iterable) or getattr(X, "ndim", 4) not in (1, 4):
        shape = getattr(X, "shape", None)
        raise InputError(
            f"X is a {type(X).__name__}{'' if shape is None else f' of shape {tuple(shape)}'}, not several pictures: "
            "give a sequence of paths or pictures, or an array (N, H, W, 3)"
        )
    return list(X)


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What the estimators on vectors share: numbers in scikit-learn's order on the outside, one of ours within.

    Attributes:
        classes_: (K,) the labels, sorted.
        n_features_in_: D.
        classifier_: the fitted `FeatureClassifier`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from vectors X (N, D) and their labels y (N,).

        Raises:
            InputError: y holds one class.
            ValueError: X or y are not what a classifier takes.
        """
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(f"y holds one class, {self.classes_[0]!r}; two are needed")
        # Names of equal length, so that their order is that of the numbers.
        self.classifier_ = self._build().fit(X, [f"{number:09}" for number in numbers])
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return (N, K) probabilities of `classes_` for vectors X (N, D); rows sum to 1."""
        check_is_fitted(self)
        probabilities = self.classifier_.probabilities(validate_data(self, X, reset=False)).astype(np.float64)
        return np.asarray(probabilities / probabilities.sum(1, keepdims=True))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each of (N, D) vectors."""
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    def _build(self) -> FeatureClassifier:
        raise NotImplementedError


class LinearProbe(Classifier):
    """Logistic regression on frozen features; see `nexus.evaluation.LinearProbe`.

    Features are standardised within, so no scaler is needed before it.

    Args:
        c: the larger, the closer the fit; the smaller, the smoother.
        max_steps: of the optimiser, at most.

    Attributes:
        classes_: (K,) the labels, sorted.
        n_features_in_: D.
        classifier_: the fitted `nexus.evaluation.LinearProbe`, whose `weight` and `bias` fit an ``nn.Linear``.
    """

    def __init__(self, c: float = 1.0, *, max_steps: int = 1000) -> None:
        self.c = c
        self.max_steps = max_steps

    def _build(self) -> FeatureClassifier:
        return FeatureProbe(self.c, self.max_steps)


class KNN(Classifier):
    """A vote of the nearest neighbours by cosine; see `nexus.evaluation.KNNClassifier`.

    Args:
        k: how many vote; all of them where there are fewer.
        temperature: the smaller, the more the nearest count.

    Attributes:
        classes_: (K,) the labels, sorted.
        n_features_in_: D.
        classifier_: the fitted `nexus.evaluation.KNNClassifier`.
    """

    def __init__(self, k: int = 20, *, temperature: float = 0.07) -> None:
        self.k = k
        self.temperature = temperature

    def _build(self) -> FeatureClassifier:
        return KNNClassifier(self.k, self.temperature)
