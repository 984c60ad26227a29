"""Pairs of images that may be one picture, by two finders that fail on different edits. Never an N x N matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nexus.retrieval import ann

__all__ = ["Pairs", "feature_neighbours", "groups_of", "hamming", "hash_neighbours", "similar_pairs"]

QUERY_BLOCK = 4_096


class Pairs(NamedTuple):
    """Pairs of positions, first < second, without repetition, with both measures of each."""

    first: NDArray[np.int64]  # (P,)
    second: NDArray[np.int64]  # (P,)
    cosine: NDArray[np.float32]  # (P,) of the features
    bits: NDArray[np.int64]  # (P,) differing bits of the perceptual hashes; 64 where one is missing

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Pairs:
        """Return some of the pairs, by mask or numbers."""
        return Pairs(self.first[chosen], self.second[chosen], self.cosine[chosen], self.bits[chosen])


def hamming(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the number of differing bits, 0..64, elementwise: (P,), (P,) -> (P,)."""
    differing = np.ascontiguousarray(first ^ second).view(np.uint8).reshape(-1, 8)
    return np.asarray(np.unpackbits(differing, axis=1).sum(1), dtype=np.int64)


def feature_neighbours(queries: ann.Vectors, vectors: ann.Vectors, k: int) -> NDArray[np.int64]:
    """Return (Q, k) rows of the nearest normalised vectors by cosine."""
    library = ann.faiss()
    k = min(k, len(vectors))
    return np.asarray(library.knn(queries, vectors, k, metric=library.METRIC_INNER_PRODUCT)[1], dtype=np.int64)


def hash_neighbours(queries: NDArray[np.uint64], hashes: NDArray[np.uint64], k: int) -> NDArray[np.int64]:
    """Return (Q, k) rows of the nearest 64-bit hashes by differing bits."""
    index = ann.faiss().IndexBinaryFlat(64)
    index.add(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 8))
    _, rows = index.search(np.ascontiguousarray(queries).view(np.uint8).reshape(-1, 8), min(k, len(hashes)))
    return np.asarray(rows, dtype=np.int64)


def similar_pairs(
    vectors: ann.Vectors,
    hashes: NDArray[np.uint64],
    has_hash: NDArray[np.bool_],
    *,
    cosine: float,
    bits: int,
    bits_cosine: float,
    neighbours: int = 32,
) -> Pairs:
    """Find pairs whose features are near, or whose hashes are near and whose features do not contradict.

    Each image is compared with all others, a block at a time, and its nearest `neighbours` by either measure are kept
    as candidates: memory grows with N, not with N^2. Of more than `neighbours` equal images, FAISS returns the same
    first ones to each, so that they still hang together as one group.

    Args:
        vectors: (N, D), normalised.
        hashes: (N,) perceptual hashes.
        has_hash: (N,) which of them are there.
        cosine: features at least this near make a pair.
        bits: hashes at most this far apart make a pair,
        bits_cosine: if the features are at least this near.
        neighbours: candidates kept per image and measure.
    """
    hashed = np.flatnonzero(has_hash)
    found = []
    for start in range(0, len(vectors), QUERY_BLOCK):
        rows = np.arange(start, min(start + QUERY_BLOCK, len(vectors)))
        candidates = [(rows, feature_neighbours(vectors[rows], vectors, neighbours))]
        own = rows[has_hash[rows]]
        if len(own):
            candidates.append((own, hashed[hash_neighbours(hashes[own], hashes[hashed], neighbours)]))
        for mine, theirs in candidates:
            first, second = np.repeat(mine, theirs.shape[1]), theirs.ravel()
            pairs = _measured(first[first != second], second[first != second], vectors, hashes, has_hash)
            near = (pairs.cosine >= cosine) | ((pairs.bits <= bits) & (pairs.cosine >= bits_cosine))
            found.append(pairs.where(near))
    return _unique(Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True))), len(vectors))


def groups_of(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> list[list[int]]:
    """Return the connected groups of two or more among 0..count-1, each in order, by union-find."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for item in sorted({*first.tolist(), *second.tolist()}):
        groups.setdefault(root(item), []).append(item)
    return list(groups.values())


def _measured(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    vectors: ann.Vectors,
    hashes: NDArray[np.uint64],
    has_hash: NDArray[np.bool_],
) -> Pairs:
    cosine = np.empty(len(first), np.float32)
    for start in range(0, len(first), ann.BLOCK):
        part = slice(start, start + ann.BLOCK)
        cosine[part] = np.einsum("pd,pd->p", vectors[first[part]], vectors[second[part]])
    bits = np.where(has_hash[first] & has_hash[second], hamming(hashes[first], hashes[second]), 64)
    return Pairs(np.minimum(first, second), np.maximum(first, second), np.clip(cosine, -1, 1), bits)


def _unique(pairs: Pairs, count: int) -> Pairs:
    _, once = np.unique(pairs.first * count + pairs.second, return_index=True)
    return pairs.where(once)
