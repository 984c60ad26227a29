"""Duplicates: exact by content hash; near by perceptual hash and features together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nexus.errors import ConfigError
from nexus.results import DedupeResult, ExactGroup, NearGroup, NearPair
from nexus.retrieval import ann
from nexus.retrieval.collection import Collection
from nexus.retrieval.pairs import Pairs, groups_of, similar_pairs

__all__ = ["dedupe"]


def dedupe(
    collection: Collection,
    *,
    near: bool = True,
    cosine: float = 0.95,
    bits: int = 8,
    bits_cosine: float = 0.6,
) -> DedupeResult:
    """Find files with the same bytes, and pictures that look the same.

    The perceptual hash sees through resizing, recompression and small changes of colour, and is blind to crops,
    flips, borders and turns; features see through most of these, but call two shots of one scene the same. So a pair
    is near if either says so, the hash only where the features do not contradict, and each pair says which of
    them found it. Exact copies are reported once, by their first path, among the near ones.

    Args:
        collection: what is searched; each image is compared with all others, in bounded memory.
        near: whether to look for near duplicates at all.
        cosine: features at least this near make a pair.
        bits: perceptual hashes with at most so many differing bits, of 64, make a pair,
        bits_cosine: if the features are at least this near.

    Raises:
        ConfigError: a threshold is out of range.
    """
    if not (-1 <= cosine <= 1 and -1 <= bits_cosine <= 1 and 0 <= bits <= 64):
        raise ConfigError(
            f"cosine = {cosine} and bits_cosine = {bits_cosine} must be -1..1, and bits = {bits} must be 0..64"
        )
    copies: dict[str, list[int]] = {}
    for position, digest in enumerate(collection.sha256):
        copies.setdefault(digest, []).append(position)
    exact = tuple(
        ExactGroup(sha256=digest, paths=tuple(map(collection.path, positions)))
        for digest, positions in copies.items()
        if len(positions) > 1
    )
    firsts = np.array([positions[0] for positions in copies.values()], dtype=np.int64)
    groups = _near(collection, firsts, cosine, bits, bits_cosine) if near and len(firsts) > 1 else ()
    return DedupeResult(count=collection.count, exact=exact, near=groups)


def _near(
    collection: Collection, positions: np.ndarray, cosine: float, bits: int, bits_cosine: float
) -> tuple[NearGroup, ...]:
    vectors = ann.normalised(collection.take(positions))
    hashes, has_hash = collection.phashes[positions], collection.has_phash[positions]
    pairs = similar_pairs(vectors, hashes, has_hash, cosine=cosine, bits=bits, bits_cosine=bits_cosine)
    paths = [collection.path(int(position)) for position in positions]
    groups = groups_of(len(positions), pairs.first, pairs.second)
    group_of = {member: number for number, members in enumerate(groups) for member in members}
    evidence: list[list[NearPair]] = [[] for _ in groups]
    by_hash = (pairs.bits <= bits) & (pairs.cosine >= bits_cosine)
    for first, pair in _described(pairs, paths, phash=by_hash, features=pairs.cosine >= cosine):
        evidence[group_of[first]].append(pair)
    return tuple(
        NearGroup(paths=tuple(paths[member] for member in members), pairs=tuple(found))
        for members, found in zip(groups, evidence, strict=True)
    )


def _described(pairs: Pairs, paths: list[str], **finders: np.ndarray) -> Iterator[tuple[int, NearPair]]:
    """Each pair, after the number of its first picture; `finders` say for each pair, (P,), whether they found it."""
    for number, (first, second, cosine, bits) in enumerate(zip(*(part.tolist() for part in pairs), strict=True)):
        found_by = tuple(name for name, found in finders.items() if found[number])
        yield first, NearPair(first=paths[first], second=paths[second], cosine=cosine, bits=bits, found_by=found_by)
