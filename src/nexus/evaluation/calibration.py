"""Temperature scaling: how sure a classifier should have been."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus._seeds import generator
from nexus.errors import InputError, require
from nexus.metrics.classification import expected_calibration_error, negative_log_likelihood, softmax
from nexus.results import TemperatureScaling

__all__ = ["COLDEST", "HOTTEST", "fit_temperature", "temperature_scaling"]

COLDEST, HOTTEST = 0.01, 100.0
"""A temperature beyond these is none: the pictures are all right, or all wrong."""


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the T for which ``softmax(logits / T)`` has the least negative log-likelihood, 0.01..100.

    C. Guo et al. (2017, arXiv:1706.04599), section 4.2. The likelihood is convex in 1 / T, so there is one answer:
    where its derivative, the expected logit minus that of the true class, is 0 in the mean.

    Args:
        logits: (N, K).
        targets: (N,) numbers of the classes.

    Raises:
        InputError: see `negative_log_likelihood`.
        MissingDependencyError: SciPy, which comes with scikit-learn, is not installed.
    """
    negative_log_likelihood(logits, targets)  # checks both
    values, numbers = np.asarray(logits, dtype=np.float64), np.asarray(targets)
    true = values[np.arange(len(values)), numbers].mean()

    def slope(log_inverse: float) -> float:
        return float((softmax(values * math.exp(log_inverse)) * values).sum(1).mean() - true)

    least, most = -math.log(HOTTEST), -math.log(COLDEST)
    if slope(least) >= 0:
        return HOTTEST
    if slope(most) <= 0:
        return COLDEST
    return math.exp(-require("scipy.optimize", "train").brentq(slope, least, most, xtol=1e-6))


def temperature_scaling(logits: NDArray[np.float32], targets: NDArray[np.int64], seed: int = 0) -> TemperatureScaling:
    """Fit a temperature on half of the pictures, drawn at random, and judge it by the other half.

    Args:
        logits: (N, K).
        targets: (N,) numbers of the classes.
        seed: of the draw.

    Raises:
        InputError: fewer than two pictures.
    """
    if len(logits) < 2:
        raise InputError(
            f"a temperature is fitted on one half and judged by the other: {len(logits)} picture is too few"
        )
    order = generator(seed).permutation(len(logits))
    fitted, held = np.array_split(order, 2)
    temperature = fit_temperature(logits[fitted], targets[fitted])
    before, after = logits[held].astype(np.float64), logits[held].astype(np.float64) / temperature
    return TemperatureScaling(
        temperature=temperature,
        fitted_on=len(fitted),
        measured_on=len(held),
        error_before=expected_calibration_error(softmax(before), targets[held]).error,
        error_after=expected_calibration_error(softmax(after), targets[held]).error,
        loss_before=negative_log_likelihood(before, targets[held]),
        loss_after=negative_log_likelihood(after, targets[held]),
    )
