"""One folder of pictures for each class, as torchvision and Hugging Face's ``imagefolder`` have it."""

from __future__ import annotations

import os
from array import array
from functools import partial
from pathlib import Path

import numpy as np

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.readers.packed import PackedPaths
from nexus.datasets.readers.parts import WORDS, Parts
from nexus.datasets.sources import OnSkip, find_folders, find_images
from nexus.errors import InputError
from nexus.results import Skipped

__all__ = ["open_folders", "read_classes", "split_folders"]

SHOWN = 5
"""How many names an error lists."""


def open_folders(folder: Path, on_skip: OnSkip) -> Parts:
    """Find the parts of a folder: ``train``, ``val``, ``test`` inside it, or else itself."""
    parts: Parts = {}
    for split, path in split_folders(folder, on_skip).items():
        if split == "train" or find_folders(path):
            parts[split] = partial(read_classes, path, on_skip)
        else:
            on_skip(Skipped(source=str(path), reason="has no folders of classes, so its pictures have no labels"))
    return parts


def split_folders(folder: Path, on_skip: OnSkip) -> dict[str, Path]:
    """Return the folders of the parts; the folder itself is ``"train"`` where it is not divided.

    It is divided if all folders in it are called like parts, or two of them with ``train`` among them: a class of
    railway pictures may be called ``train`` too.
    """
    names = find_folders(folder)
    found = {WORDS[name.lower()]: folder / name for name in names if name.lower() in WORDS}
    if not found or (len(found) < len(names) and not ("train" in found and len(found) > 1)):
        return {"train": folder}
    for name in names:
        if folder / name not in found.values():
            on_skip(
                Skipped(source=str(folder / name), reason="lies beside the folders of the parts, and is none of them")
            )
    return found


def read_classes(folder: Path, on_skip: OnSkip) -> LabelledImages:
    """Read a folder with one folder for each class; pictures at any depth below it belong to the class.

    Classes are numbered in the order of their names.

    Raises:
        InputError: there are no folders of classes, or a folder cannot be listed.
    """
    classes = find_folders(folder)
    numbers = {name: number for number, name in enumerate(classes)}
    paths, targets = PackedPaths(folder), array("q")
    unreadable: list[Skipped] = []
    beside = 0
    for path in find_images(folder, on_skip=unreadable.append):
        assert isinstance(path, Path)
        below = path.parts[len(folder.parts) :]
        if len(below) > 1:
            paths.append(os.path.join(*below))
            targets.append(numbers[below[0]])
        else:
            beside += 1
            on_skip(Skipped(source=str(path), reason="lies beside the folders of the classes, not in one"))
    _refuse_unreadable(folder, unreadable)
    if not classes:
        raise InputError(
            f"{folder} has no folders of classes ({beside} pictures lie in it): put the pictures of each class into a "
            "folder of their own, or write a CSV file with the columns path and label"
        )
    return LabelledImages(paths, np.asarray(targets), tuple(classes), str(folder))


def _refuse_unreadable(folder: Path, unreadable: list[Skipped]) -> None:
    if unreadable:
        listed = "; ".join(f"{one.source} {one.reason}" for one in unreadable[:SHOWN])
        more = f"; and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        raise InputError(f"{folder}: {listed}{more}. Give yourself the right to read them, or move them away")
