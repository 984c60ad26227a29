"""More like these and less like those."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nexus.errors import ConfigError, InputError
from nexus.results import Recommendation
from nexus.retrieval import ann
from nexus.retrieval.collection import Collection

__all__ = ["LIKE", "DISLIKE", "profile", "recommend"]

LIKE, DISLIKE = 1.0, 0.5
"""Weights of what is liked and disliked. A dislike says less: there are many ways not to be liked."""


def profile(likes: ann.Vectors, dislikes: ann.Vectors) -> ann.Vectors:
    """Return the direction, (D,), towards what is liked and away from what is not (J. J. Rocchio, 1971).

    Args:
        likes: (n, D), n >= 1; each counts the same, whatever its length.
        dislikes: (m, D), m >= 0.

    Raises:
        InputError: nothing is liked, or likes and dislikes cancel.
    """
    if not len(likes):
        raise InputError("at least one liked picture is needed; a dislike alone says nothing about what is wanted")
    direction = LIKE * ann.normalised(likes).mean(0)
    if len(dislikes):
        direction = direction - DISLIKE * ann.normalised(dislikes).mean(0)
    length = np.linalg.norm(direction)
    if length < 1e-6:
        raise InputError("the liked and disliked pictures cancel each other; leave one of them out")
    return np.asarray(direction / length, dtype=np.float32)


def recommend(
    collection: Collection,
    likes: NDArray[np.float32],
    dislikes: NDArray[np.float32] | None = None,
    *,
    k: int = 10,
    exclude: frozenset[int] | set[int] = frozenset(),
) -> list[Recommendation]:
    """Rank the images of a collection by a few examples.

    Args:
        collection: what is ranked.
        likes: (n, D) vectors of the collection's model.
        dislikes: (m, D), or None.
        k: how many.
        exclude: positions that are not recommended: the examples themselves.

    Returns:
        Up to k images, best first, without the excluded ones and without exact copies of them.

    Raises:
        ConfigError: k < 1.
        InputError: the vectors do not fit, nothing is liked, or the examples cancel.
    """
    if k < 1:
        raise ConfigError(f"k = {k}: must be at least 1")
    liked = collection.project(likes)
    disliked = collection.project(dislikes) if dislikes is not None and len(dislikes) else liked[:0]
    direction = profile(liked, disliked)
    digests = collection.sha256
    known = {digests[position] for position in exclude}
    hidden = sum(digest in known for digest in digests)
    found = collection.nearest(direction[None], k + hidden)
    ranked = [
        Recommendation(path=collection.path(position), score=score)
        for position, score in zip(found.positions[0].tolist(), found.cosine[0].tolist(), strict=True)
        if digests[position] not in known
    ]
    return ranked[:k]
