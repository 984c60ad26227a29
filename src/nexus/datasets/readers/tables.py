"""Tables with a row for each picture: CSV, TSV, JSON lines, and the ``metadata`` files of Hugging Face."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.readers.folders import split_folders
from nexus.datasets.readers.labels import LabelColumn
from nexus.datasets.readers.packed import PackedPaths
from nexus.datasets.readers.parts import WORDS, Parts
from nexus.datasets.sources import OnSkip
from nexus.errors import InputError, require
from nexus.results import Skipped

__all__ = ["LABELS", "PATHS", "TABLES", "open_metadata", "open_table", "pick_column"]

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
"""Endings of the files that are read here."""

PATHS = ("path", "file_name", "image", "filename")
LABELS = ("label", "labels", "class")
FLAGS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}
PROBED = 10
"""How many files are looked for, to tell a wrong folder from a few files that are gone."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """Where a table says what.

    Attributes:
        path: column of the file names.
        label: column of the labels, or None where each class has a column of its own.
        classes: these columns.
        split: column of the parts' names, or None.
    """

    path: str
    label: str | None
    classes: tuple[str, ...]
    split: str | None


def open_metadata(folder: Path, on_skip: OnSkip, *, image: str | None = None, label: str | None = None) -> Parts:
    """Find the parts of a folder with ``metadata`` files, in itself or in its parts' folders. Empty: it has none."""
    if (file := _metadata(folder)) is not None:
        return open_table(file, on_skip, image=image, label=label)
    tables = {split: _metadata(path) for split, path in split_folders(folder, lambda _: None).items()}
    return {
        split: parts["train"]
        for split, file in tables.items()
        if file is not None and "train" in (parts := open_table(file, on_skip, image=image, label=label))
    }


def _metadata(folder: Path) -> Path | None:
    return next((path for ending in TABLES if (path := folder / f"metadata{ending}").is_file()), None)


def open_table(file: Path, on_skip: OnSkip, *, image: str | None = None, label: str | None = None) -> Parts:
    """Read a table; its parts are what a column ``split`` says, or in ``metadata`` the first folder of each path.

    The pictures are named relative to the table's folder. An empty label is none.

    Args:
        file: a table with a header.
        on_skip: told of columns that are not read.
        image: column of the file names; None: the first of `PATHS` that is there.
        label: column of the labels; None: the first of `LABELS`, or one column of 0 and 1 for each class.

    Raises:
        InputError: a column is missing, a value is none that the column may have, or the pictures are not there.
    """
    rows = _rows(file)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{file} has no rows: it needs a header, and a row for each picture")
    columns = _columns(file, first, on_skip, image, label)
    parts: dict[str, tuple[PackedPaths, LabelColumn]] = {}
    for number, row in enumerate(chain((first,), rows), start=1):
        path = _path(file, number, row.get(columns.path))
        split = _split(file, number, row, path, columns)
        if split not in parts:
            parts[split] = PackedPaths(file.parent), LabelColumn()
        paths, labels = parts[split]
        paths.append(path)
        labels.append(row.get(columns.label) if columns.label else _shown(file, number, row, columns.classes))
    return {split: partial(_labelled, file, split, *part, columns.classes) for split, part in parts.items()}


def _labelled(
    file: Path, split: str, paths: PackedPaths, labels: LabelColumn, classes: tuple[str, ...]
) -> LabelledImages:
    probed = [Path(str(path)) for path in islice(paths, PROBED)]
    if not any(path.is_file() for path in probed):
        raise InputError(f"{probed[0]}, named by {file}, does not exist; paths are relative to the folder of the table")
    targets, names = labels.finish(classes or None, origin=str(file))
    return LabelledImages(paths, targets, tuple(names), f"{file} ({split})")


def _columns(file: Path, first: Row, on_skip: OnSkip, image: str | None, label: str | None) -> Columns:
    path = pick_column(str(file), first, "the file names", PATHS, image)
    if path is None:
        raise InputError(f"{file} has no column {_either(PATHS)}; it has {_listed(first)}: say image=")
    split = next((name for name in first if name.lower() == "split"), None)
    named = pick_column(str(file), first, "the labels", LABELS, label)
    if named is not None:
        return Columns(path, named, (), split)
    others = [name for name in first if name not in (path, split)]
    classes = tuple(name for name in others if _is_flag(first[name]))
    if not classes:
        raise InputError(
            f"{file} has no column {_either(LABELS)}, nor columns of 0 and 1 for the classes; it has "
            f"{_listed(first)}: say label="
        )
    for name in others:
        if name not in classes:
            on_skip(Skipped(source=str(file), reason=f"column {name!r} is not read: it does not start with 0 or 1"))
    return Columns(path, None, classes, split)


def pick_column(
    origin: str, present: Collection[str], what: str, usual: Sequence[str], wanted: str | None
) -> str | None:
    """Return the column that was asked for, or the first usual one whatever its case; None: there is none.

    Raises:
        InputError: the column that was asked for is not there.
    """
    if wanted is not None:
        if wanted not in present:
            raise InputError(f"{origin} has no column {wanted!r} for {what}; it has {_listed(present)}")
        return wanted
    lowered = {name.lower(): name for name in reversed([*present])}
    return next((lowered[name] for name in usual if name in lowered), None)


def _either(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _path(file: Path, number: int, path: object) -> str:
    if not isinstance(path, str) or not path.strip():
        raise InputError(f"{file}, row {number}: no file is named")
    return path.strip()


def _split(file: Path, number: int, row: Row, path: str, columns: Columns) -> str:
    if columns.split is not None:
        said = str(row.get(columns.split)).strip()
        if said.lower() not in WORDS:
            raise InputError(f"{file}, row {number}: {columns.split} = {said!r} is none of {', '.join(WORDS)}")
        return WORDS[said.lower()]
    return WORDS.get(path.partition("/")[0].lower(), "train") if file.stem == "metadata" else "train"


def _is_flag(value: object) -> bool:
    return _flag_text(value) in FLAGS


def _flag_text(value: object) -> str:
    return str(value).strip().lower()


def _shown(file: Path, number: int, row: Row, classes: Sequence[str]) -> list[str]:
    """Return the classes whose columns say 1."""
    for name in classes:
        if not _is_flag(row.get(name)):
            raise InputError(f"{file}, row {number}: {name} = {row.get(name)!r} is neither 0 nor 1, as before")
    return [name for name in classes if FLAGS[_flag_text(row[name])]]


def _rows(file: Path) -> Iterator[Row]:
    """Give the rows of a table one after another."""
    try:
        if file.suffix.lower() == ".parquet":
            yield from _parquet_rows(file)
            return
        with file.open(encoding="utf-8-sig", newline="") as stream:
            yield from _json_rows(file, stream) if file.suffix.lower() == ".jsonl" else _csv_rows(file, stream)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as a table in UTF-8 ({error})") from error


def _csv_rows(file: Path, stream: TextIO) -> Iterator[Row]:
    header = stream.readline()
    stream.seek(0)
    delimiter = max("\t,;", key=header.count)  # spreadsheets write semicolons where the comma is in numbers
    for number, row in enumerate(csv.DictReader(stream, delimiter=delimiter), start=1):
        if None in row or None in row.values():
            raise InputError(f"{file}, row {number}: it has not as many fields as the header")
        yield row


def _json_rows(file: Path, stream: TextIO) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{file}, row {number}: it is not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InputError(f"{file}, row {number}: it is not a JSON object")
            yield row


def _parquet_rows(file: Path) -> Iterator[Row]:
    arrow, parquet = require("pyarrow", "parquet"), require("pyarrow.parquet", "parquet")
    try:
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches():
                yield from batch.to_pylist()
    except arrow.ArrowException as error:
        raise InputError(f"{file} cannot be read as a Parquet file ({error})") from error
