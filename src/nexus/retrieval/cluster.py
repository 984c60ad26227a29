"""Groups of like pictures: spherical k-means by FAISS, HDBSCAN by scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus.errors import ConfigError, InputError, did_you_mean, require
from nexus.results import Cluster, ClusterResult
from nexus.retrieval import ann
from nexus.retrieval.collection import Collection

__all__ = ["choose_k", "cluster", "hdbscan", "kmeans", "silhouette"]

METHODS = ("kmeans", "hdbscan")
FIT_ROWS, SILHOUETTE_ROWS, LARGEST_K = 20_000, 1_000, 64


def cluster(
    collection: Collection,
    *,
    k: int | None = None,
    method: str = "kmeans",
    min_size: int = 5,
    seed: int = 0,
) -> ClusterResult:
    """Group the images of a collection by their features.

    Args:
        collection: what is grouped.
        k: number of groups, for k-means; by default chosen, see `choose_k`.
        method: ``"kmeans"``: every image in exactly one of k groups; ``"hdbscan"``: as many groups as are dense, the
            rest unassigned (needs the extra ``cluster``).
        min_size: smallest group, for HDBSCAN.
        seed: of k-means' start; the same seed gives the same groups on the same machine.

    Returns:
        Groups, largest first; in each the images nearest to its centroid first, so the first represents it.

    Raises:
        ConfigError: an argument is out of range.
        InputError: the collection is empty.
        MissingDependencyError: HDBSCAN without scikit-learn.
    """
    if method not in METHODS:
        raise ConfigError(f"method = {method!r}: must be one of {', '.join(METHODS)}{did_you_mean(method, METHODS)}")
    if method == "hdbscan" and k is not None:
        raise ConfigError(f"k = {k}: HDBSCAN finds the number of groups itself; use method='kmeans' or leave k out")
    if not collection.count:
        raise InputError(f"{collection.folder} is empty; there is nothing to group")
    unit = ann.normalised(collection.vectors)
    if method == "hdbscan":
        labels = hdbscan(unit, min_size)
    else:
        labels = kmeans(unit, choose_k(unit, seed) if k is None else k, seed)
    groups = [_group(unit, np.flatnonzero(labels == label)) for label in range(labels.max() + 1)]
    groups.sort(key=lambda group: (-len(group[0]), group[0][0]))
    return ClusterResult(
        method=method,
        count=collection.count,
        silhouette=silhouette(unit, labels, seed),
        clusters=tuple(
            Cluster(
                representative=collection.path(int(members[0])),
                paths=tuple(collection.path(int(member)) for member in members),
                cosine=tuple(cosine.tolist()),
            )
            for members, cosine in groups
        ),
        unassigned=tuple(collection.path(int(position)) for position in np.flatnonzero(labels < 0)),
    )


def kmeans(unit: ann.Vectors, k: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign normalised vectors (N, D) to k groups by cosine (spherical k-means); labels (N,) 0..k-1, none empty.

    Raises:
        ConfigError: k is not 1..N.
    """
    if not 1 <= k <= len(unit):
        raise ConfigError(f"k = {k}: must be 1..{len(unit)}, the number of images")
    return _assign(unit, _centroids(unit, k, seed))


def choose_k(unit: ann.Vectors, seed: int = 0) -> int:
    """Choose a number of groups: the one of 2, 3, 4, 6, 8, 11, ... up to min(64, N / 2) with the best silhouette.

    The silhouette (P. J. Rousseeuw, 1987) is taken on at most 1,000 images, k-means on at most 20,000.
    """
    largest = min(LARGEST_K, len(unit) // 2)
    if largest < 2:
        return 1
    sample = _sample(len(unit), FIT_ROWS, seed)
    rows = unit[sample]
    steps = {round(2 ** (step / 2)) for step in range(2, 13)} | {3}
    scores = {}
    for k in sorted(step for step in steps if step <= largest):
        score = silhouette(rows, kmeans(rows, k, seed), seed)
        scores[k] = -1.0 if score is None else score
    return max(scores, key=lambda k: (scores[k], -k))


def hdbscan(unit: ann.Vectors, min_size: int = 5) -> NDArray[np.int64]:
    """Assign normalised vectors (N, D) to dense groups (R. Campello et al., 2013); labels (N,), -1 for none.

    Raises:
        ConfigError: min_size < 2.
        MissingDependencyError: scikit-learn is not installed.
    """
    if min_size < 2:
        raise ConfigError(f"min_size = {min_size}: must be at least 2")
    if len(unit) < min_size:
        return np.full(len(unit), -1, np.int64)
    # On unit vectors the Euclidean order is the cosine's, and it allows a tree instead of a distance matrix.
    found = require("sklearn.cluster", extra="cluster").HDBSCAN(min_cluster_size=min_size, copy=True).fit(unit)
    return np.asarray(found.labels_, dtype=np.int64)


def silhouette(unit: ann.Vectors, labels: NDArray[np.int64], seed: int = 0) -> float | None:
    """Mean silhouette, -1..1, by cosine distance on at most 1,000 assigned images; None for fewer than two groups."""
    assigned = np.flatnonzero(labels >= 0)
    chosen = assigned[_sample(len(assigned), SILHOUETTE_ROWS, seed)]
    groups, own = np.unique(labels[chosen], return_inverse=True)
    if len(groups) < 2:
        return None
    distance = 1 - unit[chosen] @ unit[chosen].T
    np.fill_diagonal(distance, 0)  # rounding apart, it is
    members = np.eye(len(groups))[own]  # (n, groups), one-hot
    sizes, rows = members.sum(0), np.arange(len(chosen))
    mean = distance @ members / sizes
    inside = mean[rows, own] * sizes[own] / np.maximum(sizes[own] - 1, 1)
    mean[rows, own] = np.inf
    outside = mean.min(1)
    score = np.where(sizes[own] > 1, (outside - inside) / np.maximum(np.maximum(outside, inside), 1e-12), 0)
    return float(score.mean())


def _centroids(unit: ann.Vectors, k: int, seed: int) -> ann.Vectors:
    library = ann.faiss()
    clustering = library.Kmeans(
        unit.shape[1], k, niter=25, nredo=3 if len(unit) <= FIT_ROWS else 1, spherical=True, seed=seed + 1,
        min_points_per_centroid=1, max_points_per_centroid=max(256, math.ceil(FIT_ROWS / k)),
    )  # fmt: skip
    clustering.train(unit)
    return np.asarray(clustering.centroids)


def _assign(unit: ann.Vectors, centroids: ann.Vectors) -> NDArray[np.int64]:
    """Nearest centroid of each vector; groups that nobody is nearest to are left out of the numbering."""
    library = ann.faiss()
    nearest = library.knn(unit, centroids, 1, metric=library.METRIC_INNER_PRODUCT)[1][:, 0]
    return np.asarray(np.unique(nearest, return_inverse=True)[1], dtype=np.int64)


def _group(unit: ann.Vectors, members: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Members nearest to their centroid first, with their cosines to it."""
    centroid = ann.normalised(unit[members].mean(0, keepdims=True))[0]
    cosine = np.clip(unit[members] @ centroid, -1, 1)
    order = np.argsort(-cosine, kind="stable")
    return members[order], cosine[order]


def _sample(count: int, limit: int, seed: int) -> NDArray[Any]:
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))
