"""How good a classifier is: accuracy, confusion, calibration, likelihood; and what is asked of multi-label ones.

What is a sum over pictures is a line or two of NumPy here: scikit-learn wants all pictures at once, while sums can be
added up over batches and over processes (`ClassificationMeter`), in memory that does not grow with the pictures. What
needs a ranking of all pictures, average precision and AUROC, is scikit-learn's own. The tests hold every value equal to
scikit-learn's or torchmetrics'.

Scores may be arrays or tensors, on any device. Shares are of 1, not of 100.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nexus.errors import InputError, require

__all__ = [
    "Calibration",
    "ClassificationMeter",
    "ClassificationScores",
    "MultiLabelMeter",
    "MultiLabelScores",
    "PerClass",
    "auroc",
    "average_precision",
    "brier_score",
    "confusion_matrix",
    "exact_match",
    "expected_calibration_error",
    "mean_average_precision",
    "multi_label_f1",
    "negative_log_likelihood",
    "per_class",
    "softmax",
    "top_k_accuracy",
    "wilson_interval",
]

BINS = 15
"""Bins of the expected calibration error, as Guo et al. (2017) take them."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class PerClass(NamedTuple):
    """How each of K classes fares; 0 where a quotient would be 0 / 0, as in scikit-learn.

    Attributes:
        precision: (K,) of what was called so, the share that is.
        recall: (K,) of what is so, the share that was called so: the class's accuracy.
        f1: (K,) harmonic mean of the two.
        support: (K,) pictures of the class.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Integers


@dataclass(frozen=True)
class Calibration:
    """Whether a classifier that is 80 % sure is right in 80 % of the cases.

    Attributes:
        error: the expected calibration error, 0..1: the mean over pictures of \\|accuracy - confidence\\| of their bin.
        edges: (M + 1,) of the M bins of confidence; a bin includes its upper edge.
        count: (M,) pictures per bin.
        confidence: (M,) mean probability of the predicted class; NaN in an empty bin.
        accuracy: (M,) share that is right; NaN in an empty bin.
    """

    error: float
    edges: Floats
    count: Integers
    confidence: Floats
    accuracy: Floats


def top_k_accuracy(scores: Any, targets: Any, k: int = 1) -> float:
    """Return the share of pictures whose class is among the k with the highest scores.

    Of equal scores the class with the lower number comes first, as in `argmax`.

    Args:
        scores: (N, K), logits or probabilities.
        targets: (N,) numbers of the classes.
        k: 1 or more; from K on the answer is 1.

    Raises:
        InputError: no picture, shapes that do not fit, a number that is no class, or scores that are not finite.
    """
    return float((_ranks(*_checked(scores, targets)) < k).mean())


def confusion_matrix(targets: Any, predicted: Any, num_classes: int) -> Integers:
    """Return (K, K) counts: row i, column j says how many pictures of class i were called j.

    Args:
        targets, predicted: (N,) numbers of classes, 0..K-1.
        num_classes: K.

    Raises:
        InputError: unequally many, or a number that is no class.
    """
    true, called = _classes(targets, num_classes), _classes(predicted, num_classes)
    if len(true) != len(called):
        raise InputError(f"{len(true)} targets and {len(called)} predictions: equally many are needed")
    pairs = np.bincount(true * num_classes + called, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def per_class(confusion: Integers) -> PerClass:
    """Return precision, recall, F1 and support of each class of a (K, K) confusion matrix."""
    return _per_class(np.diag(confusion), confusion.sum(0), confusion.sum(1))


def expected_calibration_error(probabilities: Any, targets: Any, bins: int = BINS) -> Calibration:
    """Return the expected calibration error of the predicted classes, and its bins.

    C. Guo et al. (2017, arXiv:1706.04599), equation 3: M bins of equal width over the confidence.

    Args:
        probabilities: (N, K), rows sum to 1.
        targets: (N,) numbers of the classes.
        bins: M.

    Raises:
        InputError: see `top_k_accuracy`.
    """
    return _calibration(_bin_sums(*_checked(probabilities, targets), bins))


def negative_log_likelihood(logits: Any, targets: Any) -> float:
    """Return the mean over pictures of -log(probability of the true class): the cross-entropy, in nats.

    Args:
        logits: (N, K), before the softmax.
        targets: (N,) numbers of the classes.

    Raises:
        InputError: see `top_k_accuracy`.
    """
    scores, numbers = _checked(logits, targets)
    return float(0 - _log_softmax(scores)[np.arange(len(scores)), numbers].mean())  # 0, not -0, where all is certain


def brier_score(probabilities: Any, targets: Any) -> float:
    """Return the mean over pictures of the squared distance between the probabilities and the truth, 0..2.

    G. Brier (1950): the sum over all classes, for two classes too (some halve it there).

    Args:
        probabilities: (N, K), rows sum to 1.
        targets: (N,) numbers of the classes.

    Raises:
        InputError: see `top_k_accuracy`.
    """
    return float(_brier(*_checked(probabilities, targets)).mean())


def average_precision(scores: Any, targets: Any) -> Floats:
    """Return (K,) the average precision of each class; NaN for a class without positives.

    Args:
        scores: (N, K) in any unit; only their order counts.
        targets: (N, K) whether the picture shows the class.

    Raises:
        InputError: no picture, shapes that do not fit, or scores that are not finite.
        MissingDependencyError: scikit-learn is not installed.
    """
    score = require("sklearn.metrics", "train").average_precision_score
    values, truth = _checked_multi(scores, targets)
    columns = zip(truth.T, values.T, strict=True)
    return np.array([score(true, given) if true.any() else np.nan for true, given in columns])


def mean_average_precision(scores: Any, targets: Any) -> float:
    """Return the mean of `average_precision` over the classes with positives; NaN where none has any."""
    return _mean(average_precision(scores, targets))


def auroc(scores: Any, targets: Any) -> Floats:
    """Return (K,) the area under the ROC curve of each class; NaN for a class without positives or without negatives.

    Args:
        scores: (N, K) in any unit; only their order counts. For a single question, (N, 1).
        targets: (N, K) whether the picture shows the class.

    Raises:
        InputError, MissingDependencyError: see `average_precision`.
    """
    score = require("sklearn.metrics", "train").roc_auc_score
    values, truth = _checked_multi(scores, targets)
    columns = zip(truth.T, values.T, strict=True)
    return np.array([score(true, given) if 0 < true.sum() < len(true) else np.nan for true, given in columns])


def multi_label_f1(probabilities: Any, targets: Any, threshold: float = 0.5) -> tuple[float, float]:
    """Return the micro F1 (all decisions counted alike) and the macro F1 (the mean over the classes).

    Args:
        probabilities: (N, K) in 0..1.
        targets: (N, K) whether the picture shows the class.
        threshold: what is above it counts as shown.

    Raises:
        InputError: see `average_precision`.
    """
    values, truth = _checked_multi(probabilities, targets)
    return _f1(values > threshold, truth)


def exact_match(probabilities: Any, targets: Any, threshold: float = 0.5) -> float:
    """Return the share of pictures all of whose classes, and no others, are found; see `multi_label_f1`."""
    values, truth = _checked_multi(probabilities, targets)
    return float(((values > threshold) == truth).all(1).mean())


def softmax(logits: Any) -> Floats:
    """Return probabilities (N, K) in float64 of logits (N, K)."""
    return np.exp(_log_softmax(_array(logits)))


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of which `hits` of `count` pictures were seen (E. B. Wilson, 1927)."""
    z, share = 1.959964, hits / count
    middle, spread = share + z**2 / (2 * count), z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    low, high = ((middle + sign * spread) / (1 + z**2 / count) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


@dataclass(frozen=True)
class ClassificationScores:
    """What a `ClassificationMeter` has found.

    Attributes:
        count: pictures with a label.
        top_k: k -> top-k accuracy, 0..1.
        balanced_accuracy: mean recall of the classes that occur.
        macro_f1: mean F1 of the classes that occur or were predicted.
        loss: negative log-likelihood in nats, see `negative_log_likelihood`.
        brier: see `brier_score`.
        calibration: see `expected_calibration_error`.
        confusion: (K, K), see `confusion_matrix`.
        classes: see `per_class`.
    """

    count: int
    top_k: dict[int, float]
    balanced_accuracy: float
    macro_f1: float
    loss: float
    brier: float
    calibration: Calibration
    confusion: Integers
    classes: PerClass

    def scalars(self) -> dict[str, float]:
        """Return what a log keeps: ``loss`` and ``top1``, ``top5``, ..."""
        return {"loss": self.loss, **{f"top{k}": share for k, share in self.top_k.items()}}


class ClassificationMeter:
    """Adds up the scores of a classifier over batches; two meters can be added, too.

    Its memory is one (K, K) matrix and a few sums, whatever the number of pictures. It can be sent between processes
    (``torch.distributed.all_gather_object``) and merged there.

    Args:
        num_classes: K.
        ks: which top-k accuracies.
        bins: of the calibration error.
    """

    def __init__(self, num_classes: int, *, ks: tuple[int, ...] = (1, 5), bins: int = BINS) -> None:
        self.num_classes, self.ks = num_classes, ks
        self._confusion = np.zeros((num_classes, num_classes), np.int64)
        self._hits = np.zeros(len(ks), np.int64)
        self._sums = np.zeros(2)  # loss, Brier
        self._bins = np.zeros((3, bins))

    def update(self, logits: Any, targets: Any) -> None:
        """Add a batch.

        Args:
            logits: (B, K).
            targets: (B,) numbers of the classes; a picture with -1 has no label and does not count.

        Raises:
            InputError: shapes that do not fit, a number that is no class, or logits that are not finite.
        """
        scores, numbers = _array(logits), _array(targets).astype(np.int64)
        if len(scores) == len(numbers):  # else the check below says what is wrong
            scores, numbers = scores[numbers >= 0], numbers[numbers >= 0]
        if not len(scores):
            return
        scores, numbers = _checked(scores, numbers, self.num_classes)
        logs = _log_softmax(scores)
        probabilities = np.exp(logs)
        self._confusion += confusion_matrix(numbers, scores.argmax(1), self.num_classes)
        self._hits += (_ranks(scores, numbers)[:, None] < np.array(self.ks)).sum(0)
        self._sums += [-logs[np.arange(len(logs)), numbers].sum(), _brier(probabilities, numbers).sum()]
        self._bins += _bin_sums(probabilities, numbers, self._bins.shape[1])

    def merge(self, other: ClassificationMeter) -> None:
        """Add what another meter of the same kind has seen."""
        self._confusion += other._confusion
        self._hits += other._hits
        self._sums += other._sums
        self._bins += other._bins

    def compute(self) -> ClassificationScores:
        """Return the scores of everything seen so far.

        Raises:
            InputError: no picture with a label was seen.
        """
        count = int(self._confusion.sum())
        if not count:
            raise InputError("no picture with a label was seen, so there is nothing to score")
        classes = per_class(self._confusion)
        occurs, called = classes.support > 0, self._confusion.sum(0) > 0
        loss, brier = self._sums / count
        return ClassificationScores(
            count=count,
            top_k={k: float(hits / count) for k, hits in zip(self.ks, self._hits, strict=True)},
            balanced_accuracy=float(classes.recall[occurs].mean()),
            macro_f1=float(classes.f1[occurs | called].mean()),
            loss=float(loss),
            brier=float(brier),
            calibration=_calibration(self._bins),
            confusion=self._confusion.copy(),
            classes=classes,
        )


@dataclass(frozen=True)
class MultiLabelScores:
    """What a `MultiLabelMeter` has found.

    Attributes:
        count: pictures.
        mean_average_precision: over the classes with positives; NaN where none has any.
        average_precision, auroc: (K,), NaN where a class has too few kinds of pictures for it.
        micro_f1, macro_f1: at probability 0.5, see `multi_label_f1`.
        exact_match: at probability 0.5.
        loss: mean binary cross-entropy over pictures and classes, in nats.
        classes: precision, recall, F1 and support of each class at probability 0.5.
    """

    count: int
    mean_average_precision: float
    average_precision: Floats
    auroc: Floats
    micro_f1: float
    macro_f1: float
    exact_match: float
    loss: float
    classes: PerClass

    def scalars(self) -> dict[str, float]:
        """Return what a log keeps: ``loss`` and ``map``."""
        return {"loss": self.loss, "map": self.mean_average_precision}


class MultiLabelMeter:
    """Gathers the scores of a classifier whose pictures may show several classes, or none.

    Average precision ranks all pictures, so the logits are kept, as float32: 4 bytes per picture and class.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._logits: list[NDArray[np.float32]] = []
        self._targets: list[NDArray[np.bool_]] = []

    def update(self, logits: Any, targets: Any) -> None:
        """Add a batch.

        Args:
            logits: (B, K), before the sigmoid.
            targets: (B, K), 1 where the picture shows the class, else 0.

        Raises:
            InputError: shapes that do not fit, or logits that are not finite.
        """
        if not len(targets):
            return
        values, truth = _checked_multi(logits, targets)
        if values.shape[1] != self.num_classes:
            raise InputError(f"logits of shape {values.shape}: (B, {self.num_classes}) is needed")
        self._logits.append(values.astype(np.float32))
        self._targets.append(truth)

    def merge(self, other: MultiLabelMeter) -> None:
        """Add what another meter of the same kind has seen."""
        self._logits += other._logits
        self._targets += other._targets

    def compute(self) -> MultiLabelScores:
        """Return the scores of everything seen so far.

        Raises:
            InputError: no picture was seen.
            MissingDependencyError: scikit-learn is not installed.
        """
        if not self._logits:
            raise InputError("no picture was seen, so there is nothing to score")
        logits, truth = np.concatenate(self._logits), np.concatenate(self._targets)
        decided = logits > 0  # the probability is above 0.5
        precisions = average_precision(logits, truth)
        micro, macro = _f1(decided, truth)
        return MultiLabelScores(
            count=len(logits),
            mean_average_precision=_mean(precisions),
            average_precision=precisions,
            auroc=auroc(logits, truth),
            micro_f1=micro,
            macro_f1=macro,
            exact_match=float((decided == truth).all(1).mean()),
            loss=float((np.logaddexp(0, logits.astype(np.float64)) - logits * truth).mean()),
            classes=_per_class(*_decisions(decided, truth)),
        )


def _array(values: Any) -> NDArray[Any]:
    """An array of an array, a list or a tensor of any type and device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def _classes(numbers: Any, num_classes: int) -> Integers:
    array = _array(numbers)
    if array.ndim != 1 or (array.size and not (array.min() >= 0 and array.max() < num_classes)):
        seen = f"{array.min()} to {array.max()}" if array.size else "none"
        raise InputError(
            f"classes of shape {array.shape} with numbers {seen}: (N,) with 0 to {num_classes - 1} is needed"
        )
    return array.astype(np.int64)


def _checked(scores: Any, targets: Any, num_classes: int | None = None) -> tuple[Floats, Integers]:
    values = _array(scores).astype(np.float64)
    if values.ndim != 2 or 0 in values.shape or num_classes not in (None, values.shape[1]):
        raise InputError(f"scores of shape {values.shape}: (N, {num_classes or 'K'}) is needed, N at least 1")
    numbers = _classes(targets, values.shape[1])
    if len(numbers) != len(values):
        raise InputError(f"{len(values)} rows of scores and {len(numbers)} targets: equally many are needed")
    return _finite(values), numbers


def _checked_multi(scores: Any, targets: Any) -> tuple[Floats, NDArray[np.bool_]]:
    values, truth = _array(scores).astype(np.float64), _array(targets)
    if values.ndim != 2 or values.shape != truth.shape or not len(values):
        raise InputError(f"scores of shape {values.shape} and targets {truth.shape}: both (N, K), N at least 1")
    if not np.isin(truth, (0, 1)).all():
        raise InputError("targets of several labels must be 0 or 1")
    return _finite(values), truth.astype(bool)


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():  # a comparison with NaN is false, and would count as right
        raise InputError("the scores hold NaN or infinity; look at the model's outputs")
    return values


def _ranks(scores: Floats, targets: Integers) -> Integers:
    """How many classes come before the true one."""
    true = np.take_along_axis(scores, targets[:, None], 1)
    before = np.arange(scores.shape[1]) < targets[:, None]
    ranks: Integers = ((scores > true) | ((scores == true) & before)).sum(1)
    return ranks


def _brier(probabilities: Floats, targets: Integers) -> Floats:
    true = probabilities[np.arange(len(targets)), targets]
    squares: Floats = np.square(probabilities).sum(1) - 2 * true + 1
    return squares


def _log_softmax(logits: NDArray[Any]) -> Floats:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return logs


def _bin_sums(probabilities: Floats, targets: Integers, bins: int) -> Floats:
    """(3, M): number, summed confidence and number of right answers of each bin of confidence."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == targets
    place = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    sums = [np.bincount(place, weight, bins) for weight in (np.ones(len(place)), confidence, right)]
    return np.stack(sums)


def _calibration(sums: Floats) -> Calibration:
    count, confidence, right = sums
    with np.errstate(invalid="ignore"):
        means = np.minimum(confidence / count, 1), right / count  # a mean of ones may be rounded above 1
    error = np.abs(right - confidence).sum() / count.sum()
    return Calibration(float(error), np.linspace(0, 1, len(count) + 1), count.astype(np.int64), *means)


def _decisions(decided: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[Integers, Integers, Integers]:
    """Per class: rightly found, found, there."""
    return (decided & truth).sum(0), decided.sum(0), truth.sum(0)


def _per_class(right: Integers, called: Integers, support: Integers) -> PerClass:
    return PerClass(_share(right, called), _share(right, support), _share(2 * right, called + support), support)


def _f1(decided: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    counts = _decisions(decided, truth)
    micro = _per_class(*(count.sum(keepdims=True) for count in counts))
    return float(micro.f1[0]), float(_per_class(*counts).f1.mean())


def _share(part: Integers, whole: Integers) -> Floats:
    """Part / whole; 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _mean(values: Floats) -> float:
    """The mean of what is defined; NaN where nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
