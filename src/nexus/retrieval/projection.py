"""Fewer dimensions by principal components, such that cosines keep their meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nexus.errors import ConfigError

__all__ = ["Projection", "fit_projection"]


@dataclass(frozen=True)
class Projection:
    """A linear map to fewer dimensions.

    Attributes:
        components: (dims, D) float32 with orthonormal rows.
        explained: share, 0..1, of the vectors' variance about their mean that the map keeps.
    """

    components: NDArray[np.float32]
    explained: float

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (N, D) to (N, dims)."""
        return np.ascontiguousarray(vectors @ self.components.T, dtype=np.float32)


def fit_projection(blocks: Iterable[NDArray[np.float32]], dims: int) -> Projection:
    """Find the `dims` directions that hold most of the vectors' length.

    The directions are eigenvectors of the second moment about the origin, not about the mean: nothing is subtracted
    from a vector before it is mapped, so inner products, and with them cosines, are kept as well as any linear
    map of that size can (Eckart and Young, 1936).

    Args:
        blocks: arrays (n, D) that together hold all vectors; one at a time is in memory.
        dims: 1..D-1.

    Raises:
        ConfigError: `dims` is out of range, or there are fewer vectors than `dims`.
    """
    count, total, moment = 0, np.zeros(0), np.zeros((0, 0))
    for block in blocks:
        if not count:
            total, moment = np.zeros(block.shape[1]), np.zeros((block.shape[1],) * 2)
        count += len(block)
        wide = block.astype(np.float64)
        total += wide.sum(0)
        moment += wide.T @ wide
    width = len(total)
    if not count:
        raise ConfigError(f"dims = {dims}: there is no image yet to learn the directions from; index some first")
    if not 0 < dims < width:
        raise ConfigError(f"dims = {dims}: must be 1..{width - 1} for vectors of {width}")
    if count < dims:
        raise ConfigError(f"dims = {dims}: needs at least as many images, there are {count}")
    mean, moment = total / count, moment / count
    components = np.linalg.eigh(moment)[1][:, ::-1][:, :dims].T
    covariance = moment - np.outer(mean, mean)
    kept = np.einsum("kd,de,ke->", components, covariance, components, optimize=True)
    return Projection(components.astype(np.float32), float(min(1.0, kept / max(np.trace(covariance), 1e-30))))
