"""Datasets of Hugging Face's ``datasets`` library: from the hub, saved, in Parquet files, or already opened.

Pictures stay encoded (``Image(decode=False)``) until they are asked for; our own processes decode them. What the
library reads it keeps in its own cache as Arrow files, which are mapped and not loaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.readers.labels import LabelColumn, numbered
from nexus.datasets.readers.parts import WORDS, Parts
from nexus.datasets.readers.tables import LABELS, pick_column
from nexus.datasets.sources import OnSkip
from nexus.errors import InputError, require
from nexus.hub import offline
from nexus.hub.http import within
from nexus.results import Skipped
from nexus.transforms.image import EncodedImage, ImageLike

__all__ = ["HUB", "is_dataset", "open_hub", "open_parquet", "open_saved", "read_dataset"]

HUB = "hf:"
"""Before a repository of the hub: ``hf:owner/name``, or ``hf:owner/name:config``."""

SECONDS = 4.0
"""How long the hub may take to answer the first question; its client alone would try for half a minute."""


def is_dataset(source: object) -> bool:
    """Say whether something is an object of the ``datasets`` library, without importing it."""
    return type(source).__module__.partition(".")[0] == "datasets"


def open_hub(name: str, on_skip: OnSkip, *, image: str | None = None, label: str | None = None) -> Parts:
    """Fetch a dataset from the hub, or take it from the library's cache.

    Args:
        name: ``hf:owner/name`` or ``hf:owner/name:config``.
        on_skip: told of parts that are not read.
        image, label: columns.

    Raises:
        InputError: it is not on the hub, or the hub is out of reach and it is not in the cache.
    """
    library = require("datasets", "datasets")
    repository, _, config = name.removeprefix(HUB).partition(":")
    unreachable = _why_unreachable(repository)
    try:
        # The library reads these at import; and it would count a download for the authors.
        with _set(library.config, HF_HUB_OFFLINE=bool(unreachable), HF_UPDATE_DOWNLOAD_COUNTS=False):
            found = library.load_dataset(repository, config or None)
    except Exception as error:
        reason = f"it is not in the cache of datasets, and {unreachable}" if unreachable else _in_a_line(error)
        raise InputError(f"{name} cannot be had: {reason}") from error
    return _open(found, name, on_skip, image, label)


def _why_unreachable(repository: str) -> str:
    """Ask the hub for a dataset; an empty text where it answers."""
    if offline():
        return "the network is switched off (NEXUS_OFFLINE or HF_HUB_OFFLINE)"
    hub = require("huggingface_hub", "datasets")
    try:
        within(SECONDS, lambda: hub.HfApi().dataset_info(repository, timeout=SECONDS))
    except Exception as error:  # noqa: BLE001 - clients raise anything
        return f"the hub does not give it ({_in_a_line(error)})"
    return ""


def open_saved(folder: Path, on_skip: OnSkip, *, image: str | None = None, label: str | None = None) -> Parts:
    """Open what ``save_to_disk`` wrote. Empty: the folder is nothing of the kind."""
    if not any((folder / file).is_file() for file in ("dataset_dict.json", "state.json")):
        return {}
    return _open(_load("load_from_disk", folder), str(folder), on_skip, image, label)


def open_parquet(source: Path, on_skip: OnSkip, *, image: str | None = None, label: str | None = None) -> Parts:
    """Open a Parquet file, or a folder with such files laid out as on the hub. Empty: there are none in the folder."""
    if source.is_file():
        found = _load("load_dataset", "parquet", data_files=str(source))
    elif any(next((source / name).glob("*.parquet"), None) for name in ("", "data", *WORDS)):
        found = _load("load_dataset", source)
    else:
        return {}
    return _open(found, str(source), on_skip, image, label)


def _load(function: str, source: object, **options: Any) -> Any:
    library = require("datasets", "datasets")
    try:
        return getattr(library, function)(str(source), **options)
    except Exception as error:
        name = options.get("data_files", source)
        raise InputError(f"{name} cannot be read by datasets: {_in_a_line(error)}") from error


def _open(found: Any, origin: str, on_skip: OnSkip, image: str | None, label: str | None) -> Parts:
    splits = found if isinstance(found, Mapping) else {"train": found}
    for name in splits:
        if name not in WORDS:
            on_skip(Skipped(source=f"{origin} ({name})", reason=f"is not read: parts are called {', '.join(WORDS)}"))
    return {
        WORDS[name]: partial(read_dataset, dataset, f"{origin} ({name})", image=image, label=label)
        for name, dataset in splits.items()
        if name in WORDS
    }


def read_dataset(dataset: Any, origin: str, *, image: str | None = None, label: str | None = None) -> LabelledImages:
    """Read a ``datasets.Dataset``.

    Args:
        dataset: with a column of pictures and one of labels.
        origin: what to call it.
        image: column of the pictures; None: the first that can be one.
        label: column of the labels; None: one of the usual names, else the only ``ClassLabel``.

    Raises:
        InputError: a column is missing, or the dataset cannot be indexed.
    """
    library = require("datasets", "datasets")
    if not isinstance(dataset, library.Dataset):
        raise InputError(f"{origin} gives no picture by its number, as a Dataset does; load it without streaming")
    features: Mapping[str, Any] = dataset.features
    pictures = [name for name, feature in features.items() if _may_be_pictures(feature, library)]
    if image not in (None, *pictures) or not pictures:
        raise InputError(f"{origin} has no pictures in {image or 'any column'}; it has {', '.join(features)}")
    labels = _label_column(origin, features, label)
    dataset = dataset.with_format(None)
    targets, classes = _targets(dataset.select_columns([labels])[:][labels], features[labels], origin)
    column = image or pictures[0]
    encoded = dataset.select_columns([column]).cast_column(column, library.Image(decode=False))
    return LabelledImages(DatasetPictures(encoded, column, origin), targets, tuple(classes), origin)


def _may_be_pictures(feature: Any, library: Any) -> bool:
    """Images, or what they are stored as in files that another program wrote."""
    return (
        isinstance(feature, library.Image)
        or (isinstance(feature, dict) and "bytes" in feature)
        or getattr(feature, "dtype", None) == "binary"
    )


def _label_column(origin: str, features: Mapping[str, Any], label: str | None) -> str:
    usual = pick_column(origin, features, "the labels", LABELS, label)
    classes = [name for name, feature in features.items() if getattr(feature, "names", None)]
    if usual is None and len(classes) != 1:
        choice = f"the classes may be in {' or '.join(classes)}" if classes else f"it has {', '.join(features)}"
        raise InputError(f"{origin} has no column {', '.join(LABELS[:-1])} or {LABELS[-1]}; {choice}: say label=")
    return usual or classes[0]


def _targets(values: list[Any], feature: Any, origin: str) -> tuple[Any, Sequence[str]]:
    names = getattr(getattr(feature, "feature", feature), "names", None)
    if names is not None:
        return numbered(values, len(names)), names
    column = LabelColumn()
    for value in values:
        column.append(value)
    return column.finish(origin=origin)


class DatasetPictures(Sequence[ImageLike]):
    """The encoded pictures of a dataset, read when they are asked for."""

    def __init__(self, dataset: Any, column: str, origin: str) -> None:
        self._dataset, self._column, self._origin = dataset, column, origin

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        cell = self._dataset[number][self._column] or {}
        path, data = cell.get("path"), cell.get("bytes")
        if data is None and path:
            return Path(path)
        return EncodedImage(data or b"", f"{self._origin}[{number}]{f' {path}' if path else ''}")


@contextlib.contextmanager
def _set(module: Any, **values: Any) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def _in_a_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:300]
