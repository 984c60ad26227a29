"""A cosine matrix as a heat map, with the pictures along both axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from nexus.errors import InputError
from nexus.visualization._canvas import DARK, LIGHT, Palette, fit_within, placeholder, write
from nexus.visualization._colours import colourize

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["draw_similarity"]

MOST = 256
"""Longest axis that is drawn; beyond it a cell would be too small to see."""

_MARGIN, _GAP = 24, 2  # pixels


def draw_similarity(
    matrix: NDArray[np.floating],
    rows: Sequence[Image.Image | None],
    columns: Sequence[Image.Image | None] | None = None,
    *,
    names: Sequence[str] = (),
    title: str = "",
    low: float | None = None,
    high: float = 1.0,
    dark: bool = False,
) -> Image.Image:
    """Draw a matrix of similarities; cells of 34 pixels and more carry their value.

    Args:
        matrix: (N, M) similarities, e.g. cosines in -1..1; N and M at most 256.
        rows: N upright pictures, or None where one cannot be read.
        columns: M pictures; None takes those of the rows, for a square matrix.
        names: N names of the rows, written beside them, or none.
        title: above the picture.
        low, high: values at the two ends of the colours; `low` None is the smallest value, or 0 where that is larger.
        dark: light letters on a dark page.

    Raises:
        InputError: the sizes do not agree, the matrix is empty, too large or not finite, or `low` is not below `high`.
    """
    matrix = np.asarray(matrix)
    columns = rows if columns is None else columns
    _check(matrix, rows, columns, names)
    low = min(0.0, float(matrix.min())) if low is None else low
    if not low < high:
        raise InputError(f"low={low} must be below high={high}")
    palette = DARK if dark else LIGHT

    cell = int(np.clip(720 // max(matrix.shape), 4, 88))
    picture = max(cell, 24) if cell >= 12 else 0  # too many cells: pictures would be unrecognisable
    beside = 160 if names and cell >= 12 else 0
    left, top = _MARGIN + beside + picture + 2 * _GAP, _MARGIN + 34 * bool(title) + picture + 2 * _GAP
    width, height = matrix.shape[1] * cell, matrix.shape[0] * cell
    page = Image.new("RGB", (left + max(width, 200) + _MARGIN, top + height + 62 + _MARGIN), palette.page)
    pen = ImageDraw.Draw(page)
    write(pen, (_MARGIN, _MARGIN + 16), title, page.width - 2 * _MARGIN, 20, palette.text)

    shares = (matrix - low) / (high - low)
    heat = Image.fromarray(colourize(shares)).resize((width, height), Image.Resampling.NEAREST)
    page.paste(heat, (left, top))
    if cell >= 34:
        _write_values(pen, matrix, shares, left, top, cell)
    if picture:
        for row, image in enumerate(rows):
            page.paste(_square(image, cell - _GAP, palette), (left - picture - _GAP, top + row * cell))
        for column, image in enumerate(columns):
            page.paste(_square(image, cell - _GAP, palette), (left + column * cell, top - picture - _GAP))
    if beside:
        for row, name in enumerate(names):
            place = (left - picture - 2 * _GAP - 6, top + row * cell + cell / 2)
            write(pen, place, name, beside - 8, min(13, cell), palette.muted, anchor="rm")
    _legend(page, pen, left, top + height + 18, low, high, palette)
    return page


def _check(
    matrix: NDArray[np.floating],
    rows: Sequence[Image.Image | None],
    columns: Sequence[Image.Image | None],
    names: Sequence[str],
) -> None:
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(f"a similarity matrix is (rows, columns), got the shape {matrix.shape}")
    if matrix.shape != (len(rows), len(columns)) or len(names) not in (0, len(rows)):
        raise InputError(
            f"a matrix of {matrix.shape} needs as many pictures: got {len(rows)} for rows, {len(columns)} for columns"
            f" and {len(names)} names"
        )
    if max(matrix.shape) > MOST:
        raise InputError(f"a matrix of {matrix.shape} is too large to see; draw at most {MOST} pictures")
    if not np.isfinite(matrix).all():
        raise InputError("the similarity matrix holds NaN or infinite values")


def _write_values(
    pen: ImageDraw.ImageDraw, matrix: NDArray[np.floating], shares: NDArray[np.floating], left: int, top: int, cell: int
) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        middle = (left + column * cell + cell / 2, top + row * cell + cell / 2)
        ink = "#10131a" if shares[row, column] > 0.6 else "#ffffff"
        write(pen, middle, f"{value:.2f}", cell, min(15, cell // 3), ink, anchor="mm")


def _square(image: Image.Image | None, side: int, palette: Palette) -> Image.Image:
    """Return the picture letterboxed on a square of the ground colour."""
    if image is None:
        return placeholder(side, side, palette)
    square = Image.new("RGB", (side, side), palette.ground)
    small = fit_within(image, side)
    corner = ((side - small.width) // 2, (side - small.height) // 2)
    square.paste(small, corner, small if small.mode == "RGBA" else None)
    return square


def _legend(
    page: Image.Image, pen: ImageDraw.ImageDraw, left: int, top: int, low: float, high: float, palette: Palette
) -> None:
    bar = Image.fromarray(colourize(np.tile(np.linspace(0, 1, 200), (10, 1))))
    page.paste(bar, (left, top))
    for share, anchor in ((0.0, "la"), (0.5, "ma"), (1.0, "ra")):
        value = low + share * (high - low)
        write(pen, (left + share * bar.width, top + 16), f"{value:.2f}", 80, 13, palette.muted, anchor=anchor)
