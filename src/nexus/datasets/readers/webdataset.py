"""WebDataset shards (github.com/webdataset/webdataset): tar files in which the files of a sample are neighbours.

Each tar is read through once, which finds where the pictures lie in it. From then on any picture is read by (file,
offset, size), so that an epoch is shuffled and divided among processes exactly, as with other datasets.
"""

from __future__ import annotations

import glob
import json
import os
import re
import tarfile
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.readers.folders import split_folders
from nexus.datasets.readers.labels import LabelColumn, numbered, read_names
from nexus.datasets.readers.packed import PackedNames
from nexus.datasets.readers.parts import Parts, derived, split_of
from nexus.datasets.readers.tables import LABELS
from nexus.datasets.sources import OnSkip, find_folders
from nexus.errors import InputError
from nexus.results import Skipped
from nexus.transforms.image import EXTENSIONS, EncodedImage, ImageLike

__all__ = ["is_shards", "open_shards"]

ENDING = ".tar"
INDEX = "shard-1.json"
"""Kind and version of the index of a tar file that is kept in our cache."""

LABEL_FILES = ("cls", "json", "txt")
"""Endings of files that may have a sample's label, the best first."""

BRACES = re.compile(r"\{([^{}]*)\}")
"""``{000..010}`` or ``{a,b}``, as shells expand them."""


def is_shards(source: str) -> bool:
    """Say whether a path or pattern means tar files."""
    return source.endswith(ENDING)


def open_shards(source: Sequence[str] | Path, on_skip: OnSkip, *, label: str | None = None) -> Parts:
    """Find the parts of a set of shards.

    Args:
        source: tar files, or patterns with ``*`` or ``{000..010}``; or a folder of tar files, or one with ``train``,
            ``val`` and ``test`` in it. The name of a shard may say its part: ``imagenet-train-0000.tar``.
        on_skip: told of samples that are not used.
        label: key of the label in JSON files; None: the first of `LABELS`.

    Returns:
        The parts; none where a folder has no tar files, or has other folders beside them.

    Raises:
        InputError: a shard does not exist.
    """
    if not isinstance(source, Path):
        shards = _by_part(path for pattern in source for path in _expand(pattern))
        if len(shards) == 1:  # asked for by name, they are what is meant, whatever they are called
            shards = {"train": next(iter(shards.values()))}
    elif not find_folders(source):
        shards = _by_part(sorted(source.glob(f"*{ENDING}")))
    else:
        folders = split_folders(source, lambda _: None)
        found = {split: sorted(folder.glob(f"*{ENDING}")) for split, folder in folders.items()}
        shards = {split: paths for split, paths in found.items() if paths and not find_folders(folders[split])}
    return {split: partial(_read, paths, label, on_skip) for split, paths in shards.items()}


def _by_part(paths: Iterable[Path]) -> dict[str, list[Path]]:
    shards: dict[str, list[Path]] = {}
    for path in paths:
        shards.setdefault(split_of(path.name) or "train", []).append(path)
    return shards


def _expand(pattern: str) -> list[Path]:
    """Return the files that a pattern means, in order."""
    paths = [
        path
        for name in _expand_braces(pattern)
        for path in (sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else [name])
    ]
    if not paths:
        raise InputError(f"{pattern} matches no file")
    for path in paths:
        if not os.path.isfile(path):
            raise InputError(f"{path} does not exist" + (f", which {pattern} names" if path != pattern else ""))
    return [Path(path) for path in paths]


def _expand_braces(pattern: str) -> list[str]:
    found = BRACES.search(pattern)
    if found is None:
        return [pattern]
    first, dots, last = found[1].partition("..")
    if dots and first.isdecimal() and last.isdecimal():
        choices = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    else:
        choices = found[1].split(",")
    rest = _expand_braces(pattern[found.end() :])
    return [f"{pattern[: found.start()]}{choice}{tail}" for choice in choices for tail in rest]


def _read(shards: Sequence[Path], label: str | None, on_skip: OnSkip) -> LabelledImages:
    pictures = ShardPictures(shards)
    labels: list[Any] = []
    for number, shard in enumerate(shards):
        for name, offset, size, said in _index(shard, label):
            if size:
                pictures.append(number, name, offset, size)
                labels.append(said)
            else:
                on_skip(Skipped(source=f"{shard}:{name}", reason="has no picture"))
    origin = str(shards[0]) if len(shards) == 1 else f"{shards[0]} and {len(shards) - 1} more"
    if not labels:
        raise InputError(f"{origin}: no samples; they are files like 0001.jpg and 0001.cls, one after the other")
    return LabelledImages(pictures, *_targets(labels, read_names(shards[0].parent), origin), origin)


def _targets(labels: list[Any], names: list[str] | None, origin: str) -> tuple[Any, tuple[str, ...]]:
    if names is not None and not any(isinstance(label, str) for label in labels):
        return numbered(labels, len(names)), tuple(names)
    column = LabelColumn()
    for label in labels:
        column.append(label)
    targets, classes = column.finish(names, origin=origin)
    return targets, tuple(classes)


Row = tuple[str, int, int, Any]
"""Of a sample: name of the picture in the tar, offset and size in bytes (0: there is no picture), and label."""


def _index(shard: Path, label: str | None) -> list[Row]:
    """Return the samples of a tar file, from our cache where it has been read before."""
    try:
        file = derived(shard, INDEX, lambda: json.dumps(_scan(shard, label)).encode(), asked=label or "")
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{shard} is no plain tar file, or it is cut off ({error}); fetch it again") from error
    rows: list[Row] = json.loads(file.read_bytes())
    return rows


def _scan(shard: Path, label: str | None) -> list[Row]:
    with tarfile.open(shard, "r:") as archive:
        return [_sample(archive, files, label) for key, files in groupby(_files(archive), _key) if key]


def _files(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # it would keep the header of each file
        if member.isfile():
            yield member


def _key(member: tarfile.TarInfo) -> str:
    """What the files of a sample share: folder and name up to the first dot; empty: it belongs to none."""
    folder, _, name = member.name.rpartition("/")
    stem, dot, _ = name.partition(".")
    return f"{folder}/{stem}" if stem and dot else ""


def _sample(archive: tarfile.TarFile, members: Iterator[tarfile.TarInfo], label: str | None) -> Row:
    picture: tarfile.TarInfo | None = None
    texts: dict[str, bytes] = {}
    for member in members:
        name = member.name
        ending = os.path.splitext(name)[1].lower()
        if ending in EXTENSIONS and picture is None:
            picture = member
        elif ending[1:] in LABEL_FILES and (content := archive.extractfile(member)) is not None:
            texts[ending[1:]] = content.read()
    said = _label(f"{os.fsdecode(archive.name or '')}:{name}", texts, label)
    return (picture.name, picture.offset_data, picture.size, said) if picture else (name, 0, 0, None)


def _label(name: str, texts: Mapping[str, bytes], label: str | None) -> Any:
    try:
        if label is None and "cls" in texts:
            return int(texts["cls"])
        if "json" in texts:
            about = json.loads(texts["json"])
            said = next((about[key] for key in ((label,) if label else LABELS) if key in about), None)
            if said is not None or label:
                return said
        return texts["txt"].decode().strip() if "txt" in texts and label is None else None
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: its label cannot be read ({error})") from error


class ShardPictures(Sequence[ImageLike]):
    """Pictures inside tar files, read when they are asked for."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self._shards = tuple(shards)
        self._names, self._places = PackedNames(), array("q")  # shard, offset, size of each

    def append(self, shard: int, name: str, offset: int, size: int) -> None:
        """Add a picture at the end."""
        self._names.append(name)
        self._places.extend((shard, offset, size))

    def identity(self, index: int) -> str:
        """Return what tells a picture from others."""
        return f"{os.path.realpath(self._shards[self._places[3 * index]])}:{self._names[index]}"

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        shard, offset, size = self._places[3 * number : 3 * number + 3]
        with self._shards[shard].open("rb") as file:
            file.seek(offset)
            return EncodedImage(file.read(size), f"{self._shards[shard]}:{self._names[number]}")
