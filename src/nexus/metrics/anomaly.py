"""How well scores tell the odd from the normal: pictures, pixels and regions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus.errors import ConfigError, InputError, require

__all__ = ["BestF1", "aupro", "auroc", "best_f1", "pixel_auroc"]


class BestF1(NamedTuple):
    """The threshold with the highest F1.

    Attributes:
        f1: harmonic mean of precision and recall, 0..1.
        threshold: scores from here on are odd.
        precision, recall: at that threshold, 0..1.
    """

    f1: float
    threshold: float
    precision: float
    recall: float


def auroc(scores: ArrayLike, odd: ArrayLike) -> float:
    """Return the area under the ROC curve, 0..1: the chance that something odd scores above something normal.

    Args:
        scores: of any shape.
        odd: of the same shape, bool: what is really odd.

    Raises:
        InputError: the shapes differ, a score is not finite, or there is nothing odd or nothing normal.
    """
    values, truth = _checked(scores, odd)
    return float(require("sklearn.metrics", "train").roc_auc_score(truth.ravel(), values.ravel()))


def pixel_auroc(maps: ArrayLike, masks: ArrayLike) -> float:
    """Return `auroc` over all pixels of (N, H, W) heat maps and masks; large defects count more than small ones."""
    return auroc(maps, masks)


def best_f1(scores: ArrayLike, odd: ArrayLike) -> BestF1:
    """Find the threshold with the highest F1; of equal ones the highest.

    It is chosen with the truth in sight, so it says what is possible, not what to expect.

    Args:
        scores, odd: as for `auroc`.

    Raises:
        InputError: as for `auroc`.
    """
    values, truth = _checked(scores, odd)
    precision, recall, thresholds = require("sklearn.metrics", "train").precision_recall_curve(truth, values)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = len(thresholds) - 1 - int(np.argmax(f1[:-1][::-1]))
    return BestF1(float(f1[best]), float(thresholds[best]), float(precision[best]), float(recall[best]))


def aupro(maps: ArrayLike, masks: ArrayLike, limit: float = 0.3) -> float:
    """Return the area under the per-region overlap curve, up to a false positive rate.

    Bergmann et al. 2020, "Uninformed Students" (arXiv:1911.02357): every connected region of a mask counts
    the same, however small. A curve has the mean share of the regions that lies above a threshold over the share of
    normal pixels that does; its area up to `limit` is divided by `limit`. The curve has a point at every value that
    occurs, so nothing is binned; pixels touch over edges and corners.

    Args:
        maps: (N, H, W) heat maps.
        masks: (N, H, W) bool, what is really odd.
        limit: false positive rate at which the curve ends, above 0, at most 1.

    Returns:
        0..1.

    Raises:
        InputError: the shapes differ, a value is not finite, or there is no odd or no normal pixel.
        ConfigError: `limit` is out of range.
    """
    if not 0 < limit <= 1:
        raise ConfigError(f"limit = {limit}: must be above 0 and at most 1")
    values, truth = _checked(maps, masks)
    if values.ndim != 3:
        raise InputError(f"heat maps of shape {values.shape}: (N, H, W) is needed")
    overlap = _shares(truth)
    order = np.argsort(values, axis=None, kind="stable")[::-1]
    ordered = values.ravel()[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the last pixel of each value
    per_region = np.cumsum(overlap.ravel()[order])[ends]
    false = np.cumsum(~truth.ravel()[order])[ends] / np.count_nonzero(~truth)
    return _area(np.append(0.0, false), np.append(0.0, per_region), limit) / limit


def _shares(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give each odd pixel its share of the mean overlap: one over the number of regions and the size of its own."""
    label = require("scipy.ndimage", "train").label
    shares, regions = np.zeros(masks.shape), 0
    for mask, share in zip(masks, shares, strict=True):
        numbers, count = label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(numbers.ravel())
        share[mask] = 1 / sizes[numbers[mask]]
        regions += count
    return shares / regions


def _area(x: NDArray[np.float64], y: NDArray[np.float64], end: float) -> float:
    """Return the area under straight lines between points (x rising), up to `end`."""
    inside = x <= end
    x, y = np.append(x[inside], end), np.append(y[inside], np.interp(end, x, y))
    return float(np.trapezoid(y, x))


def _checked(scores: ArrayLike, odd: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(odd, dtype=bool)
    if values.shape != truth.shape:
        raise InputError(f"scores of shape {values.shape} and truth of shape {truth.shape}: they must be equal")
    if not np.isfinite(values).all():
        raise InputError("the scores hold NaN or infinity")
    if truth.all() or not truth.any():
        kind = "normal" if truth.all() and truth.size else "odd"
        raise InputError(f"there is nothing {kind} among what was scored; both kinds are needed to tell them apart")
    return values, truth
