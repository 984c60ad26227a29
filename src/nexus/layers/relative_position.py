"""Biases by relative position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["relative_bias"]


def relative_bias(offsets: Float[Tensor, "offsets heads"], grid: tuple[int, int]) -> Float[Tensor, "1 heads n n"]:
    """Spread the biases of offsets over pairs of patches (Swin Transformer, Liu et al. 2021, equation 4).

    Args:
        offsets: ((2 R - 1) (2 C - 1), heads), row-major; the row of (R - 1 + i - k, C - 1 + j - l) is for the query at
            (i, j) and the key at (k, l).
        grid: rows R and columns C.

    Returns:
        (1, heads, R C, R C).
    """
    rows, columns = grid
    table = offsets.T.reshape(-1, 2 * rows - 1, 2 * columns - 1)
    pairs = table.unfold(1, rows, 1).unfold(2, columns, 1)  # (heads, i, j, R - 1 - k, C - 1 - l)
    return pairs.flip(3, 4).reshape(1, -1, rows * columns, rows * columns)
