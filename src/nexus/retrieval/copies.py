"""Near-copies of protected pictures: a score, a threshold, and what that threshold is worth on pictures like yours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus.errors import ConfigError, InputError
from nexus.metrics.classification import wilson_interval
from nexus.results import CopyCalibration, CopyMatch
from nexus.retrieval import ann
from nexus.retrieval.collection import Collection
from nexus.retrieval.pairs import hamming, hash_neighbours

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["THRESHOLD", "Describe", "calibrate", "copy_scores", "find_copies"]

THRESHOLD = 0.75
"""Scores from here on are reported as copies."""

HASH_SPAN = 32
"""Differing bits at which the hash says nothing: half of 64, as for unrelated pictures."""

Describe = Callable[[Sequence["Image"]], tuple[NDArray[np.float32], NDArray[np.uint64]]]
"""Pictures -> (N, D) vectors of the model and (N,) perceptual hashes."""


def copy_scores(cosine: NDArray[np.floating[Any]], bits: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Return how much two pictures look like copies, elementwise, at most 1.

    The larger of the features' cosine and ``1 - bits / 32``: both are 1 for the same picture and near 0 for unrelated
    ones, and they fail on different edits.
    """
    return np.asarray(np.maximum(cosine, 1 - bits / HASH_SPAN), dtype=np.float32)


def find_copies(
    collection: Collection,
    vectors: ArrayLike,
    hashes: NDArray[np.uint64],
    *,
    threshold: float = THRESHOLD,
    k: int = 5,
) -> list[tuple[CopyMatch, ...]]:
    """Find the protected pictures that suspects are near-copies of.

    Args:
        collection: the protected pictures.
        vectors: (Q, D) of the suspects, from the collection's model.
        hashes: (Q,) uint64 perceptual hashes of the suspects.
        threshold: lowest score that is reported.
        k: at most so many per suspect.

    Returns:
        For each suspect its matches, best first; empty for an innocent one.

    Raises:
        ConfigError: threshold or k out of range.
        InputError: the vectors do not fit.
    """
    if not 0 < threshold <= 1 or k < 1:
        raise ConfigError(f"threshold = {threshold} must be above 0 and at most 1, and k = {k} at least 1")
    projected = collection.project(vectors)
    queries = ann.normalised(projected)
    if not collection.count:
        return [() for _ in queries]
    wanted = max(k, 10)
    by_features = collection.nearest(projected, wanted).positions
    hashed = np.flatnonzero(collection.has_phash)
    nearest = (
        hash_neighbours(hashes, collection.phashes[hashed], wanted) if len(hashed) else np.empty((len(queries), 0), int)
    )
    return [
        _matches(collection, queries[q], hashes[q], np.union1d(by_features[q], hashed[nearest[q]]), threshold)[:k]
        for q in range(len(queries))
    ]


def _matches(
    collection: Collection, query: ann.Vectors, own_hash: np.uint64, positions: NDArray[np.int64], threshold: float
) -> tuple[CopyMatch, ...]:
    cosine = np.clip(ann.normalised(collection.take(positions)) @ query, -1, 1)
    bits = hamming(collection.phashes[positions], np.full(len(positions), own_hash, np.uint64))
    bits[~collection.has_phash[positions]] = 64
    scores = copy_scores(cosine, bits)
    order = [int(n) for n in np.argsort(-scores, kind="stable") if scores[n] >= threshold]
    return tuple(
        CopyMatch(
            path=collection.path(int(positions[n])), score=float(scores[n]), cosine=float(cosine[n]), bits=int(bits[n])
        )
        for n in order
    )


def calibrate(
    pictures: Sequence[Image],
    describe: Describe,
    edits: Mapping[str, Callable[[Image], Image]],
    *,
    threshold: float = THRESHOLD,
    groups: Sequence[Any] | None = None,
) -> CopyCalibration:
    """Measure what a threshold is worth: false alarms on unrelated pairs, recall per edit.

    Each picture is edited in every way. An edited picture and its original should be called copies; an edited or
    original picture and another one's original should not.

    Args:
        pictures: like those to be protected, upright RGB; unrelated but for `groups`.
        describe: the model and the hash.
        edits: name -> edit; `nexus.transforms.edits.EDITS` has the usual ones.
        threshold: to be measured.
        groups: one label per picture; pictures of one label show the same thing and are not counted as unrelated.

    Raises:
        InputError: fewer than two unrelated pictures.
    """
    labels = list(groups) if groups is not None else list(range(len(pictures)))
    if len(set(labels)) < 2 or len(labels) != len(pictures):
        raise InputError(f"{len(pictures)} pictures in {len(set(labels))} groups: at least 2 unrelated ones are needed")
    unrelated = np.array([[a != b for b in labels] for a in labels])
    vectors, hashes = describe(pictures)
    originals = ann.normalised(vectors), hashes
    alarms = pairs = 0
    recall = {}
    upper = np.triu(unrelated)
    for name, edit in {"": None, **edits}.items():
        if edit is None:
            scores = _all_scores(originals, originals)
            counted = scores[upper]  # each unordered pair of originals once
        else:
            vectors, hashes = describe([edit(picture) for picture in pictures])
            scores = _all_scores((ann.normalised(vectors), hashes), originals)
            counted = scores[unrelated]
            recall[name] = float((scores.diagonal() >= threshold).mean())
        alarms, pairs = alarms + int((counted >= threshold).sum()), pairs + len(counted)
    return CopyCalibration(
        threshold=threshold,
        pictures=len(pictures),
        pairs=pairs,
        false_alarms=alarms,
        false_alarm_rate=alarms / pairs,
        false_alarm_upper=wilson_interval(alarms, pairs)[1],
        recall=recall,
    )


Description = tuple[ann.Vectors, NDArray[np.uint64]]


def _all_scores(some: Description, others: Description) -> NDArray[np.float32]:
    """(A, B) scores; calibration sets are small, so the matrix is."""
    bits = np.stack([hamming(others[1], np.full(len(others[1]), own, np.uint64)) for own in some[1]])
    return copy_scores(np.clip(some[0] @ others[0].T, -1, 1), bits)
