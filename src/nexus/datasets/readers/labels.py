"""From what a table, a file name or a record says about a picture to numbers of classes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus.errors import InputError

__all__ = ["SEPARATOR", "LabelColumn", "in_order", "numbered", "read_names"]

SEPARATOR = "|"
"""Between the classes of a picture that shows several."""


class LabelColumn:
    """The labels of pictures in order, numbered once all of them are known.

    A label is a name or a number. None, an empty text, a NaN and -1 stand for no label. A list, or a text with `|`, has
    several; one such label makes the whole column multi-label.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._numbers = array("q")  # of the labels, in the order in which they were first seen
        self._ends = array("q", [0])
        self._several = False

    def append(self, label: object) -> None:
        """Add what is said about the next picture."""
        names = _names(label)
        self._several |= len(names) > 1 or isinstance(label, list | tuple | np.ndarray)
        self._numbers.extend(self._seen.setdefault(name, len(self._seen)) for name in names)
        self._ends.append(len(self._numbers))

    def finish(
        self, classes: Sequence[str] | None = None, *, origin: str = "the data"
    ) -> tuple[NDArray[Any], list[str]]:
        """Return the targets of `LabelledImages` and the names of the classes.

        Args:
            classes: names in the order of their numbers. None: what occurs, in alphabetical order, numbers by size.
            origin: what to call the data in an error.

        Raises:
            InputError: a label is not among `classes`.
        """
        names = in_order(self._seen) if classes is None else list(classes)
        known = {name: number for number, name in enumerate(names)}
        for name in self._seen:
            if name not in known:
                raise InputError(f"{origin} has the label {name!r}, which is none of its {len(names)} classes")
        table = np.array([known[name] for name in self._seen], dtype=np.int64)
        numbers, ends = np.asarray(self._numbers), np.asarray(self._ends)
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        if self._several:
            targets: NDArray[Any] = np.zeros((len(ends) - 1, len(names)), dtype=bool)
            targets[rows, table[numbers]] = True
        else:
            targets = np.full(len(ends) - 1, -1, dtype=np.int64)
            targets[rows] = table[numbers]
        return targets, names


def numbered(values: Sequence[Any], classes: int) -> NDArray[Any]:
    """Return the targets of `LabelledImages` for labels that are numbers already.

    Args:
        values: of each picture its number, or a list of numbers; None and below 0: no label.
        classes: how many there are.

    Raises:
        InputError: a number is too large.
    """
    several = any(isinstance(value, list) for value in values)
    lists = [value if isinstance(value, list) else [] if value is None or value < 0 else [value] for value in values]
    if (largest := max((number for numbers in lists for number in numbers), default=-1)) >= classes:
        raise InputError(f"there are {classes} classes, but a label is number {largest}; the first is number 0")
    if not several:
        return np.array([numbers[0] if numbers else -1 for numbers in lists], dtype=np.int64)
    targets = np.zeros((len(values), classes), dtype=bool)
    for row, numbers in zip(targets, lists):
        row[numbers] = True
    return targets


def _names(label: object) -> list[str]:
    if label is None or (isinstance(label, float) and label != label):
        return []
    if isinstance(label, list | tuple | np.ndarray):
        return [name for one in label for name in _names(one)]
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # a column of numbers with gaps is read as floats
    names = [part.strip() for part in str(label).split(SEPARATOR)]
    return [name for name in names if name and name != "-1"]


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names of classes: by the alphabet, or by size where all of them are numbers."""
    names = list(names)
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)


def read_names(folder: Path) -> list[str] | None:
    """Return the names of classes 0, 1, ... from the lines of ``classes.txt`` or ``labels.txt``; None: no such file."""
    for file in ("classes.txt", "labels.txt"):
        path = folder / file
        if path.is_file():
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
            return [line for line in lines if line]
    return None
