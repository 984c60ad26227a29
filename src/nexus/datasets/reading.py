"""`read_labelled`: pictures with labels, from whatever a user keeps them in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.readers.folders import open_folders
from nexus.datasets.readers.huggingface import HUB, is_dataset, open_hub, open_parquet, open_saved, read_dataset
from nexus.datasets.readers.idx import open_idx
from nexus.datasets.readers.imagenet import open_imagenet
from nexus.datasets.readers.labels import LabelColumn
from nexus.datasets.readers.parts import WORDS, Parts
from nexus.datasets.readers.tables import TABLES, open_metadata, open_table
from nexus.datasets.readers.webdataset import is_shards, open_shards
from nexus.datasets.sources import OnSkip, find_images
from nexus.errors import InputError
from nexus.results import Skipped
from nexus.transforms.image import ImageLike

__all__ = ["LabelledSource", "described", "open_parts", "read_labelled", "read_unlabelled"]

LabelledSource: TypeAlias = Any
"""A path, a name, `LabelledImages`, a tuple ``(pictures, labels[, classes])``, a ``Dataset``, or a mapping of these."""


def read_labelled(
    source: LabelledSource,
    *,
    split: str | None = None,
    image: str | None = None,
    label: str | None = None,
    on_skip: OnSkip | None = None,
) -> LabelledImages:
    """Read one part of a dataset. Pictures are found and numbered, but not opened.

    Args:
        source: one of

            - a folder with one folder of pictures for each class, or with ``train``, ``val`` and ``test`` in it;
            - a CSV or TSV file with the columns ``path`` and ``label``, or with a column of 0 and 1 for each class;
              JSON lines likewise; a label ``cat|dog`` has two classes;
            - ImageNet's folder as it is published;
            - a folder with the IDX files of MNIST or Fashion-MNIST;
            - WebDataset shards: a tar file, a folder of them, ``shards-{000..010}.tar`` or ``shards-*.tar``;
            - for Hugging Face's ``datasets``: a folder with ``metadata`` or Parquet files, or one that was saved;
              ``hf:owner/name`` or ``hf:owner/name:config`` of the hub; a ``Dataset`` or a ``DatasetDict``;
            - `LabelledImages`; a tuple ``(pictures, labels)`` or ``(pictures, labels, classes)``; or a mapping of
              ``"train"``, ``"val"`` and ``"test"`` to any of these.
        split: ``"train"``, ``"val"`` or ``"test"``; None: the only one that there is.
        image: column of the pictures; None: the usual names.
        label: column of the labels; None: the usual names.
        on_skip: told of what is passed over and why; None: nobody is.

    Raises:
        InputError: it is nothing of the kind, or its parts are not what was asked for; folders or files cannot be read.
    """
    parts = open_parts(source, image=image, label=label, on_skip=on_skip)
    if split is not None and WORDS.get(split, split) in parts:
        return parts[WORDS.get(split, split)]()
    if split is None and len(parts) == 1:
        return next(iter(parts.values()))()
    wanted = "it has several parts" if split is None else f"it has no part {split!r}"
    raise InputError(f"{described(source)}: {wanted}; say split= one of {', '.join(parts)}")


def read_unlabelled(
    source: ImageLike | Sequence[ImageLike], *, classes: Sequence[str] = (), on_skip: OnSkip | None = None
) -> LabelledImages:
    """List pictures whose labels nobody knows: all targets are -1.

    Args:
        source: what `find_images` takes.
        classes: names that labels which are found later will have.
        on_skip: told of what cannot be listed and why; None: that raises.

    Raises:
        InputError: there is no picture.
    """
    paths = list(find_images(source, on_skip=on_skip))
    if not paths:
        raise InputError(f"{described(source)} has no pictures")
    return LabelledImages(paths, np.full(len(paths), -1), tuple(classes), described(source))


def open_parts(
    source: LabelledSource, *, image: str | None = None, label: str | None = None, on_skip: OnSkip | None = None
) -> Parts:
    """Find the parts of a dataset, without reading them where that is possible. See `read_labelled`."""
    skip = on_skip or (lambda _: None)
    if isinstance(source, LabelledImages):
        return {"train": lambda: source}
    if isinstance(source, Mapping):
        return _named_parts(source, image, label, skip)
    if isinstance(source, tuple):
        return {"train": partial(_from_arrays, source)}
    if isinstance(source, list) and source and all(is_shards(str(one)) for one in source):
        return open_shards([str(one) for one in source], skip, label=label)  # as a shell expands shards-*.tar
    if is_dataset(source):
        return {"train": partial(read_dataset, source, type(source).__name__, image=image, label=label)}
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"{described(source)} is no dataset: give a path, LabelledImages, or (pictures, labels)")
    if isinstance(source, str) and source.startswith(HUB):
        return open_hub(source, skip, image=image, label=label)
    try:
        return _open_path(os.fspath(source), image, label, skip)
    except PermissionError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); give yourself the right to") from error


def _open_path(name: str, image: str | None, label: str | None, skip: OnSkip) -> Parts:
    path = Path(name)
    if path.is_dir():
        return (
            open_saved(path, skip, image=image, label=label)
            or open_idx(path)
            or open_imagenet(path, skip)
            or open_metadata(path, skip, image=image, label=label)
            or open_parquet(path, skip, image=image, label=label)
            or open_shards(path, skip, label=label)
            or open_folders(path, skip)
        )
    if is_shards(name):
        return open_shards([name], skip, label=label)
    if not path.exists():
        raise InputError(f"{name} does not exist")
    if path.suffix.lower() == ".parquet":
        return open_parquet(path, skip, image=image, label=label)
    if path.suffix.lower() in TABLES:
        return open_table(path, skip, image=image, label=label)
    raise InputError(f"{name} is no dataset: give a folder, or a file that ends in {', '.join(TABLES)} or .tar")


def _named_parts(source: Mapping[str, Any], image: str | None, label: str | None, skip: OnSkip) -> Parts:
    parts: Parts = {}
    for name, part in source.items():
        if name.lower() in WORDS:
            parts[WORDS[name.lower()]] = partial(read_labelled, part, image=image, label=label, on_skip=skip)
        else:
            skip(Skipped(source=name, reason=f"is not read: parts are called {', '.join(WORDS)}"))
    if not parts:
        raise InputError(f"the parts are called {', '.join(source)}; name one of them train, val or test")
    return parts


def _from_arrays(source: tuple[Any, ...]) -> LabelledImages:
    if len(source) not in (2, 3):
        raise InputError(f"a tuple is (pictures, labels) or (pictures, labels, classes), not of {len(source)} items")
    pictures, labels = source[0], np.asarray(source[1])
    classes = tuple(source[2]) if len(source) == 3 else None
    if labels.ndim == 2 or labels.dtype.kind in "iu":
        known = labels.shape[1] if labels.ndim == 2 else max(labels.tolist(), default=-1) + 1
        return LabelledImages(pictures, labels, classes or tuple(str(number) for number in range(known)), "arrays")
    column = LabelColumn()
    for one in labels.tolist():
        column.append(one)
    targets, names = column.finish(classes, origin="labels")
    return LabelledImages(pictures, targets, tuple(names), "arrays")


def described(source: object) -> str:
    """Return what to call a dataset in an error: its path or name, else what kind of object it is."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else type(source).__name__
