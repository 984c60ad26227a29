"""Patches as a grid."""

from __future__ import annotations

import math

from nexus.errors import InputError

__all__ = ["grid_of"]


def grid_of(patches: int, grid: tuple[int, int] | None) -> tuple[int, int]:
    """Return (h, w) of the patches: `grid` where given, else the square that holds them.

    Raises:
        InputError: the patches do not fill it.
    """
    if grid is None:
        side = math.isqrt(patches)
        grid = (side, side)
    if grid[0] * grid[1] != patches:
        raise InputError(f"{patches} patches do not fill a grid of {grid[0]} x {grid[1]}; give grid=(height, width)")
    return grid
