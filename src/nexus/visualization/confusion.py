"""The confusion matrix: what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from nexus.errors import InputError
from nexus.results import printable
from nexus.visualization._canvas import LIGHT, drawable, font, readable_on, write

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Confusion", "draw_confusion", "most_confused"]

MOST = 20
"""Classes that are drawn; of more, those that are most often mistaken."""

RIGHT, WRONG = "#0072b2", "#d55e00"  # blue and vermilion of Okabe and Ito: told apart by colour-blind readers

_MARGIN, _HEAD, _LINE, _NAME, _RECALL, _LIST, _LEGEND, _GAP = 24, 34, 22, 190, 118, 380, 150, 40  # pixels


@dataclass(frozen=True, slots=True)
class Confusion:
    """One mistake that is made again and again.

    Attributes:
        true, predicted: names of the classes.
        count: pictures of `true` that were taken for `predicted`.
        share: of all pictures of `true`, 0..1.
    """

    true: str
    predicted: str
    count: int
    share: float


def most_confused(matrix: NDArray[np.integer], classes: Sequence[str], n: int = 10) -> list[Confusion]:
    """Return the most frequent mistakes, most frequent first; of equally many, that of the larger share.

    Args:
        matrix: (K, K) counts, rows true and columns predicted.
        classes: K names.
        n: how many at most; mistakes that nobody made are no mistakes.

    Raises:
        InputError: the matrix is not (K, K) counts of the K classes.
    """
    counts = _checked(matrix, classes)
    shares = _shares(counts)
    return [
        Confusion(classes[row], classes[column], int(counts[row, column]), float(shares[row, column]))
        for row, column in _mistakes(counts, shares)[:n].tolist()
    ]


def draw_confusion(matrix: NDArray[np.integer], classes: Sequence[str], *, title: str = "") -> Image.Image:
    """Draw a confusion matrix: what is right on the diagonal in blue, mistakes in vermilion, each with its count.

    The colour is the share of all pictures of the true class, on a square-root scale, which shows single mistakes too.
    Beside each row stand the share that is right (recall) and the number of pictures. Of more than 20 classes those
    that are mistaken most often are drawn, with a list of the most frequent mistakes.

    Args:
        matrix: (K, K) counts, rows true and columns predicted.
        classes: K names.
        title: above the picture.

    Returns:
        RGB; its size depends on K alone, up to the length of the names.

    Raises:
        InputError: the matrix is not (K, K) counts of the K classes.
    """
    counts = _checked(matrix, classes)
    return _Drawing(counts, classes, title).page


def _checked(matrix: NDArray[np.integer], classes: Sequence[str]) -> NDArray[np.int64]:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] != len(classes) or not len(classes):
        raise InputError(
            f"a confusion matrix is (classes, classes), got the shape {counts.shape} for {len(classes)} classes"
        )
    if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any():
        raise InputError("a confusion matrix holds counts of pictures: integers of at least 0, not normalised")
    return counts.astype(np.int64)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide each row by its sum; a class without pictures has zeros."""
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


def _mistakes(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return (M, 2) rows and columns of all mistakes that were made, most frequent first."""
    places = np.argwhere((counts > 0) & ~np.eye(len(counts), dtype=bool))
    rows, columns = places.T
    return places[np.lexsort((-shares[rows, columns], -counts[rows, columns]))]


def _shown(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> list[int]:
    """Return the classes to draw, in their order: both sides of the most frequent mistakes, as far as there is room."""
    ranked = [*_mistakes(counts, shares).ravel().tolist(), *range(len(counts))]
    return sorted(list(dict.fromkeys(ranked))[:MOST])


class _Drawing:
    """The matrix as pixels: measured first, drawn second."""

    def __init__(self, counts: NDArray[np.int64], classes: Sequence[str], title: str) -> None:
        shares = _shares(counts)
        shown = _shown(counts, shares)
        self.names = [classes[index] for index in shown]
        self.counts, self.shares = counts[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
        self.sums = counts.sum(1)[shown]
        listed = most_confused(counts, classes, len(shown)) if len(shown) < len(classes) else []
        note = f"{len(shown)} of {len(classes)} classes: those most often mistaken" if len(shown) < len(classes) else ""

        widths = [font(13).getlength(drawable(printable(name))) for name in self.names]
        names = int(min(_NAME, max(*widths, 60))) + 8
        self.cell = int(np.clip(720 // len(shown), 40, 96))
        self.side = self.cell * len(shown)
        self.left = _MARGIN + _LINE + names
        self.top = _MARGIN + _HEAD * bool(title) + _LINE * bool(note) + _LINE + names
        right = self.left + self.side + _RECALL
        width = max(right + (_LIST if listed else 0), self.left + 2 * _LEGEND + _GAP) + _MARGIN
        self.page = Image.new("RGB", (width, self.top + self.side + 66 + _MARGIN), LIGHT.page)
        self.pen = ImageDraw.Draw(self.page)

        write(self.pen, (_MARGIN, _MARGIN + 18), title, width - 2 * _MARGIN, 20, LIGHT.text)
        note_at = (_MARGIN, _MARGIN + _HEAD * bool(title) + 12)
        write(self.pen, note_at, note, width - 2 * _MARGIN, 14, LIGHT.muted)
        self._cells()
        self._names(names)
        self._recalls()
        self._legend()
        self._list(listed, right + 10)

    def _cells(self) -> None:
        for (row, column), count in np.ndenumerate(self.counts):
            x, y = self.left + column * self.cell, self.top + row * self.cell
            colour = shade(float(self.shares[row, column]), right=row == column)
            self.pen.rectangle((x, y, x + self.cell - 1, y + self.cell - 1), colour, LIGHT.line)
            if count:
                middle = (x + self.cell / 2, y + self.cell / 2)
                write(
                    self.pen, middle, _brief(int(count)), self.cell, min(17, self.cell // 3), readable_on(colour), "mm"
                )

    def _names(self, width: int) -> None:
        """Write the classes' names, and what the axes are: rows from the left, columns from below."""
        rows = Image.new("RGB", (width - 8, self.side), LIGHT.page)
        for number, name in enumerate(self.names):
            at = (rows.width, (number + 0.5) * self.cell)
            write(ImageDraw.Draw(rows), at, name, rows.width, 13, LIGHT.text, "rm")
        self.page.paste(rows, (self.left - width, self.top))
        columns = Image.new("RGB", (width - 8, self.side), LIGHT.page)
        for number, name in enumerate(self.names):
            at = (0, (number + 0.5) * self.cell)
            write(ImageDraw.Draw(columns), at, name, columns.width, 13, LIGHT.text, "lm")
        self.page.paste(columns.transpose(Image.Transpose.ROTATE_90), (self.left, self.top - width))
        axis = (self.left, self.top - width - 6)
        write(self.pen, axis, "predicted", self.side, 13, LIGHT.muted)
        write(self.pen, (self.left - 8, self.top - 6), "true", width, 13, LIGHT.muted, "rs")

    def _recalls(self) -> None:
        left = self.left + self.side + 10
        write(self.pen, (left, self.top - 6), "right", _RECALL, 13, LIGHT.muted)
        for row, total in enumerate(self.sums.tolist()):
            said = f"{self.shares[row, row]:.1%} of {_brief(total)}" if total else "no pictures"
            at = (left, self.top + (row + 0.5) * self.cell)
            write(self.pen, at, said, _RECALL - 10, 13, LIGHT.text if total else LIGHT.muted, "lm")

    def _legend(self) -> None:
        top, width = self.top + self.side + 18, _LEGEND
        for number, (right, word) in enumerate(((True, "right"), (False, "mistaken"))):
            left = self.left + number * (width + _GAP)
            for x in range(width):
                self.pen.line((left + x, top, left + x, top + 9), shade((x / (width - 1)) ** 2, right=right))
            self.pen.rectangle((left, top, left + width - 1, top + 9), outline=LIGHT.line)
            for share, anchor in ((0.0, "la"), (0.25, "ma"), (1.0, "ra")):
                place = (left + share**0.5 * width, top + 14)
                write(self.pen, place, f"{share:.0%}", 60, 12, LIGHT.muted, anchor)
            write(self.pen, (left, top + 32), word, width, 12, LIGHT.muted, "la")

    def _list(self, listed: Sequence[Confusion], left: int) -> None:
        if not listed:
            return
        write(self.pen, (left, self.top - 6), "most frequent mistakes", _LIST, 13, LIGHT.muted)
        for number, one in enumerate(listed):
            middle = self.top + (number + 0.5) * self.cell
            said = f"{one.true} taken for {one.predicted}"
            write(self.pen, (left, middle), _brief(one.count), 40, 13, LIGHT.text, "lm")
            write(self.pen, (left + 42, middle), f"{one.share:.0%}", 44, 13, LIGHT.muted, "lm")
            write(self.pen, (left + 86, middle), said, _LIST - 86, 13, LIGHT.text, "lm")


def shade(share: float, *, right: bool) -> str:
    """Return the CSS colour of a cell: white at 0, full colour at 1, in proportion to the square root."""
    full = np.array([int((RIGHT if right else WRONG)[start : start + 2], 16) for start in (1, 3, 5)])
    mixed = 255 + (full - 255) * np.sqrt(share)
    return "#" + "".join(f"{round(value):02x}" for value in mixed)


def _brief(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"
