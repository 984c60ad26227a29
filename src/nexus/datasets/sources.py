"""`find_images`: the pictures that a user's words mean: files, folders, patterns, lists, addresses."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nexus.datasets.fetch import fetch_image, is_address
from nexus.errors import ImageError, InputError
from nexus.results import Skipped
from nexus.transforms.image import EXTENSIONS, EncodedImage, ImageLike, is_in_memory

__all__ = ["OnSkip", "find_folders", "find_images"]

OnSkip = Callable[[Skipped], object]

CHUNK = 2**16


def find_images(
    source: ImageLike | Iterable[ImageLike], *, recursive: bool = True, on_skip: OnSkip | None = None
) -> Iterator[ImageLike]:
    """Give the pictures of a source, in an order that is the same each time, while they are being found.

    A named file is given whatever its name, even if it does not exist: whoever opens it says what is wrong. In folders
    and patterns the extension decides (`EXTENSIONS`, upper or lower case). Folders are walked in the order of their
    entries' names; links are followed, each real folder is visited once; names that start with a dot and collections
    (``*.nexus``) are passed over.

    Args:
        source: a file; a folder; a glob pattern (``**`` included); ``"-"``: names on standard input, one per line, or
            separated by NUL if the first piece read contains one; an http(s) address; a picture in memory; or any
            iterable of these.
        recursive: walk folders inside folders.
        on_skip: called with what cannot be given and why (an unreadable folder, an address that does not answer).
            None: the first such thing raises.

    Yields:
        `Path` for files, `EncodedImage` for addresses, pictures in memory as they are.

    Raises:
        ImageError: something is skipped and `on_skip` is None.
        InputError: ``"-"`` without a standard input.
    """
    finder = _Finder(recursive, on_skip)
    if isinstance(source, str) and source == "-":
        for name in _names_on_stdin():
            yield from finder.find(name)
    elif isinstance(source, str) and not is_address(source) and not os.path.lexists(source) and glob.has_magic(source):
        yield from finder.match(source)
    elif _is_one(source):
        yield from finder.find(source)
    else:
        items: Iterable[Any] = source  # type: ignore[assignment]
        for item in items:
            if isinstance(item, str | os.PathLike):
                yield from find_images(item, recursive=recursive, on_skip=on_skip)
            else:
                yield item


def find_folders(folder: str | os.PathLike[str]) -> list[str]:
    """Return the names of the folders in a folder that `find_images` would walk, in its order.

    Raises:
        ImageError: the folder cannot be listed.
    """
    return [name for name, is_folder in _Finder(True, None).entries(os.fspath(folder), set()) if is_folder]


def _is_one(source: Any) -> bool:
    one = str | os.PathLike | bytes | bytearray | memoryview | EncodedImage | Image.Image | np.ndarray
    return isinstance(source, one) or is_in_memory(source) or not isinstance(source, Iterable)


class _Finder:
    def __init__(self, recursive: bool, on_skip: OnSkip | None) -> None:
        self._recursive, self._on_skip = recursive, on_skip

    def find(self, source: Any) -> Iterator[ImageLike]:
        if isinstance(source, str) and is_address(source):
            try:
                yield fetch_image(source)
            except ImageError as error:
                self._skip(error)
        elif not isinstance(source, str | os.PathLike):
            yield source
        else:
            path = os.fsdecode(source)
            if _is_folder(path):
                yield from self._walk(path)
            else:
                yield Path(path)

    def match(self, pattern: str) -> Iterator[ImageLike]:
        """Give what a glob pattern matches; matched folders are walked, unless ``**`` has been in them already."""
        matches = sorted(glob.iglob(pattern, recursive=True), key=os.fsencode)
        if not matches:
            self._skip(ImageError(pattern, "matches no file"))
        walks = "**" not in re.split(r"[/\\]", pattern)
        for path in matches:
            if _is_folder(path):
                if walks:
                    yield from self._walk(path)
            elif _is_picture(path):
                yield Path(path)

    def _walk(self, root: str) -> Iterator[Path]:
        visited: set[tuple[int, int]] = set()
        waiting = [(root, True)]  # a stack, the next one last: folders may be nested deeper than Python may recurse
        while waiting:
            path, is_folder = waiting.pop()
            if is_folder:
                entries = self.entries(path, visited)
                waiting.extend((os.path.join(path, name), folder) for name, folder in reversed(entries))
            else:
                yield Path(path)

    def entries(self, folder: str, visited: set[tuple[int, int]]) -> list[tuple[str, bool]]:
        """Return (name, is a folder) of the entries to visit, sorted by the bytes of their names."""
        try:
            info = os.stat(folder)
            if (info.st_dev, info.st_ino) in visited:
                return []
            visited.add((info.st_dev, info.st_ino))
            with os.scandir(folder) as entries:
                found = [(entry.name, _leads_to_folder(entry)) for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            self._skip(ImageError(folder, f"cannot be listed ({error.strerror or error})"))
            return []
        wanted = [(name, folder) for name, folder in found if (self._enters(name) if folder else _is_picture(name))]
        return sorted(wanted, key=lambda entry: os.fsencode(entry[0]))

    def _enters(self, name: str) -> bool:
        return self._recursive and not name.endswith(".nexus")

    def _skip(self, error: ImageError) -> None:
        if self._on_skip is None:
            raise error
        self._on_skip(Skipped(source=error.source, reason=error.reason))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_folder(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:  # a null byte in the name
        return False


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def _names_on_stdin() -> Iterator[str]:
    if sys.stdin is None:
        raise InputError("'-' reads names from standard input, which this program does not have")
    stream: Any = sys.stdin.buffer
    separator: bytes | None
    separator, rest = None, b""
    while chunk := stream.read1(CHUNK):
        separator = separator or (b"\0" if b"\0" in chunk else b"\n" if b"\n" in chunk else None)
        *names, rest = (rest + chunk).split(separator) if separator else (rest + chunk,)
        yield from _decode(names, separator)
    yield from _decode([rest], separator)


def _decode(names: Iterable[bytes], separator: bytes | None) -> Iterator[str]:
    for name in names:
        name = name if separator == b"\0" else name.removesuffix(b"\r")
        if name:
            yield os.fsdecode(name)
