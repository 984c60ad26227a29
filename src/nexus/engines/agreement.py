"""Whether two engines give the same answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from nexus.engines.base import Outputs, leaves

__all__ = ["MINIMUM", "agreement", "agreements"]

MINIMUM = 0.999
"""Cosine below which an engine is refused."""

CHANNEL_AXIS = {"features": 1, "pyramid": 1, "masks": 1}
"""Outputs whose vectors stand along another axis than the last."""


def agreements(reference: Outputs, candidate: Outputs) -> dict[str, float]:
    """Measure every output.

    Args:
        reference: what eager fp32 gave for some images.
        candidate: what another engine gave for the same images.

    Returns:
        Dotted name of each tensor -> the lowest over the images of the smaller of two figures: the cosine of the whole
        output of the image, and, where it has many vectors (tokens, feature maps), the mean of their cosines. A missing
        output, another shape or a value that is not finite counts as -1.
    """
    theirs = dict(leaves(candidate))
    return {name: _lowest(name, array, theirs.get(name)) for name, array in leaves(reference)}


def agreement(reference: Outputs, candidate: Outputs) -> float:
    """Return the lowest of `agreements`."""
    return min(agreements(reference, candidate).values(), default=1.0)


def _lowest(name: str, reference: np.ndarray, candidate: Any) -> float:
    if candidate is None or candidate.shape != reference.shape or not np.isfinite(candidate).all():
        return -1.0
    if reference.size == 0:  # e.g. the registers of a model that has none
        return 1.0
    images = len(reference)
    whole = _cosine(reference.reshape(images, -1), candidate.reshape(images, -1))
    if reference.ndim < 3:
        return float(whole.min())
    axis = CHANNEL_AXIS.get(name.partition(".")[0], -1)
    vectors = _cosine(np.moveaxis(reference, axis, -1), np.moveaxis(candidate, axis, -1))
    return float(min(whole.min(), vectors.reshape(images, -1).mean(axis=1).min()))


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine along the last axis; 1 where both vectors are zero, 0 where one is."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    dot = (a * b).sum(-1)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    both_zero = ~a.any(-1) & ~b.any(-1)
    return np.where(norms > 0, dot / np.where(norms > 0, norms, 1), both_zero.astype(np.float64))
