"""Learned position embeddings, resampled to the grid of the image at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["resample_positions"]


def resample_positions(
    positions: Float[Tensor, "1 m d"],
    grid: tuple[int, int],
    *,
    mode: Literal["bicubic", "bilinear"] = "bicubic",
    antialias: bool = False,
    scale_offset: float = 0.0,
) -> Float[Tensor, "1 n d"]:
    """Resample the position embeddings of a square grid to another grid, in float32.

    Args:
        positions: (1, M * M, D), row-major.
        grid: rows and columns of the wanted grid.
        mode: how values between the stored ones are found.
        antialias: low-pass before making the grid smaller.
        scale_offset: added to the wanted rows and columns when the scale is computed, but not to the size of the
            result. DINO and DINOv2 were trained with 0.1, so their features change without it
            (facebookresearch/dinov2, `interpolate_pos_encoding`).

    Returns:
        (1, rows * columns, D) in the type of `positions`; `positions` itself where the grid is the same.
    """
    side = math.isqrt(positions.shape[1])
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        grid = (int(grid[0]), int(grid[1]))  # a trace gives sizes as tensors; resampling takes numbers
    if grid == (side, side):
        return positions
    # Channels last, as it is: PyTorch 2.13 low-passes contiguous planes wrongly to a single column.
    square = positions.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, D, M, M)
    if scale_offset:
        scale = tuple((cells + scale_offset) / side for cells in grid)
        resampled = F.interpolate(square, scale_factor=scale, mode=mode, antialias=antialias)
    else:
        resampled = F.interpolate(square, size=grid, mode=mode, antialias=antialias)
    return resampled.flatten(2).transpose(1, 2).to(positions.dtype)
