"""Names of very many pictures in two blocks of memory.

A list of a million paths takes a quarter of a gigabyte, and a process forked from its owner soon has a copy, because
reading a string writes its reference count.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nexus.transforms.image import ImageLike

__all__ = ["PackedNames", "PackedPaths"]


class PackedNames(Sequence[str]):
    """A list of strings that only grows."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._text = bytearray()
        self._ends = array("q", [0])
        for name in names:
            self.append(name)

    def append(self, name: str) -> None:
        """Add a name at the end."""
        self._text += os.fsencode(name)
        self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        return os.fsdecode(bytes(self._text[self._ends[position] : self._ends[position + 1]]))


class PackedPaths(Sequence[ImageLike]):
    """Files by their paths, relative to a folder or absolute."""

    def __init__(self, folder: Path, names: Iterable[str] = ()) -> None:
        self.folder, self.paths = folder, PackedNames(names)
        self._real: dict[str, str] = {}

    def append(self, path: str) -> None:
        """Add a file at the end."""
        self.paths.append(path)

    def identity(self, index: int) -> str:
        """Return what tells a file from others: its path, with links among its folders followed."""
        folder, name = os.path.split(os.path.join(self.folder, self.paths[index]))
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return os.path.join(self._real[folder], name)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return Path(self.folder, self.paths[index])
