"""A few vectors that stand for many: greedy k-centre selection."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nexus._seeds import generator
from nexus.errors import InputError

__all__ = ["coreset", "k_center_greedy", "random_projection"]

LOOK_AHEAD = 256
"""How many of the farthest vectors are looked at together: enough that most rounds find many centres at once."""

ROWS_AT_ONCE = 16_384
"""Vectors whose distances to the new centres are in memory at the same time: 16 MiB with all of `LOOK_AHEAD`."""


def coreset(vectors: NDArray[np.float32], count: int, *, dims: int = 128, seed: int = 0) -> NDArray[np.int64]:
    """Choose vectors such that none of the others is far from all of them.

    PatchCore's reduction of its memory bank (Roth et al. 2022, arXiv:2106.08265, section 3.2 and algorithm 1): greedy
    k-centre selection on random projections of the vectors. The first vector is drawn at random.

    Args:
        vectors: (N, D).
        count: how many, 1..N.
        dims: dimensions of the projection; not projected where D is no larger.
        seed: of the projection and the first vector.

    Returns:
        (count,) their rows, in the order in which they were chosen.

    Raises:
        InputError: `count` is not in 1..N.
    """
    rng = generator(seed)
    start = int(rng.integers(max(1, len(vectors))))
    return k_center_greedy(random_projection(vectors, dims, rng), count, start)


def random_projection(vectors: NDArray[np.float32], dims: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Map (N, D) to (N, dims) such that distances stay about the same (Johnson and Lindenstrauss 1984).

    The map's entries are independent and normal, of variance 1 / dims. Vectors of `dims` or fewer stay as they are.
    """
    if vectors.shape[1] <= dims:
        return vectors
    projection = rng.standard_normal((vectors.shape[1], dims), np.float32) / np.float32(dims**0.5)
    return np.asarray(vectors @ projection, dtype=np.float32)


def k_center_greedy(points: NDArray[np.float32], count: int, start: int = 0) -> NDArray[np.int64]:
    """Choose points one by one, each the farthest (L2) from those chosen before it.

    The largest distance of a point to its centre is then at most twice the smallest possible (Gonzalez 1985). The
    distances between all pairs are never held: memory is that of the points, plus a bounded part.

    As stated, each step reads all points for one new centre. Here several follow from one pass: as distances only
    shrink, the farthest point is among the candidates (the points that were farthest before) as long as one of them is
    farther than all others were.

    Args:
        points: (N, D).
        count: how many, 1..N.
        start: row of the first.

    Returns:
        (count,) rows, in the order in which they were chosen.

    Raises:
        InputError: `count` is not in 1..N.
    """
    if not 1 <= count <= len(points):
        raise InputError(f"count = {count}: must be 1..{len(points)}, the number of vectors")
    centred = torch.from_numpy(points - points.mean(0))  # squared distances lose fewer digits near the origin
    lengths = centred.square().sum(1)
    nearest = torch.full((len(points),), torch.inf)  # squared distance to the nearest centre; -inf of a centre
    chosen = [start]
    new = torch.tensor(chosen)
    while len(chosen) < count:
        _approach(nearest, centred, lengths, new)
        nearest[new] = -torch.inf
        new = _farthest(nearest, centred, lengths, count - len(chosen))
        chosen += new.tolist()
    return np.array(chosen, dtype=np.int64)


def _approach(nearest: Tensor, points: Tensor, lengths: Tensor, centres: Tensor) -> None:
    """Lower the distances to what the new centres leave of them."""
    there, sizes = points[centres].T.contiguous(), lengths[centres]
    for first in range(0, len(points), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        squares = torch.addmm(sizes.expand(len(points[rows]), -1), points[rows], there, alpha=-2)
        torch.minimum(nearest[rows], squares.amin(1) + lengths[rows], out=nearest[rows])


def _farthest(nearest: Tensor, points: Tensor, lengths: Tensor, most: int) -> Tensor:
    """Return the next centres, as many as follow from the distances at hand."""
    distances, rows = nearest.topk(min(LOOK_AHEAD + 1, len(nearest)))
    bound = float(distances[LOOK_AHEAD]) if len(distances) > LOOK_AHEAD else -np.inf
    rows = rows[:LOOK_AHEAD]
    near = points[rows]
    between = (lengths[rows, None] + lengths[rows] - 2 * near @ near.T).numpy()
    remaining = distances[:LOOK_AHEAD].numpy().copy()
    found: list[int] = []
    while len(found) < min(most, len(rows)):
        best = int(remaining.argmax())
        if found and remaining[best] <= bound:  # one that is no candidate may be as far
            break
        found.append(best)
        np.minimum(remaining, between[best], out=remaining)
        remaining[best] = -np.inf
    return rows[torch.tensor(found)]
