"""ImageNet of 2012 (O. Russakovsky et al., arXiv:1409.0575) as it is published, on Kaggle or by its authors.

Kaggle: ``ILSVRC/Data/CLS-LOC/train/<wnid>/``, all validation pictures in ``val/``, and beside ``ILSVRC`` the files
``LOC_val_solution.csv`` (``ImageId,PredictionString``; the prediction starts with a wnid) and
``LOC_synset_mapping.txt`` (``n01440764 tench, Tinca tinca``). The authors: the same pictures, and in the development
kit's ``data`` the file ``ILSVRC2012_validation_ground_truth.txt``, whose line i is the ILSVRC2012_ID of picture i.
These IDs are not in the order of the wnids; ``meta.mat`` or ``map_clsloc.txt`` beside that file tells which is which.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.readers.folders import read_classes
from nexus.datasets.readers.labels import LabelColumn
from nexus.datasets.readers.packed import PackedPaths
from nexus.datasets.readers.parts import Parts
from nexus.datasets.sources import OnSkip, find_folders
from nexus.errors import InputError, require
from nexus.results import Skipped

__all__ = ["open_imagenet"]

WNID = re.compile(r"n\d{8}")
"""Number of a noun in WordNet."""

PLACES = (".", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
ABOVE = 4
"""How many folders above the pictures the lists of labels are looked for: ``ILSVRC/Data/CLS-LOC/val``."""

VAL = "ILSVRC2012_val_*.JPEG"
SOLUTION = ("LOC_val_solution.csv",)
SYNSETS = ("LOC_synset_mapping.txt",)
TRUTH = tuple(
    f"{folder}ILSVRC2012_validation_ground_truth.txt"
    for folder in ("", "data/", "devkit/data/", "ILSVRC2012_devkit_t12/data/")
)


def open_imagenet(folder: Path, on_skip: OnSkip) -> Parts:
    """Find the parts of ImageNet in its folder, or in one of its parts' folders. Empty: it is not ImageNet.

    Classes are the wnids in alphabetical order, the order of the outputs of published models, called as in
    ``LOC_synset_mapping.txt`` where that is there.
    """
    for root in (folder / place for place in PLACES):
        if _has_wnids(root / "train"):
            parts: Parts = {"train": partial(_read_train, root / "train", on_skip)}
            return parts | _open_val(root / "val", on_skip)
    if _has_wnids(folder):
        return {"train": partial(_read_train, folder, on_skip)}
    return _open_val(folder, on_skip)


def _open_val(folder: Path, on_skip: OnSkip) -> Parts:
    if _has_wnids(folder):
        return {"val": partial(_read_train, folder, on_skip)}
    if next(folder.glob(VAL), None) is not None:
        return {"val": partial(_read_val, folder, on_skip)}
    return {}


def _has_wnids(folder: Path) -> bool:
    names = find_folders(folder) if folder.is_dir() else []
    return bool(names) and all(WNID.fullmatch(name) for name in names)


def _read_train(folder: Path, on_skip: OnSkip) -> LabelledImages:
    data = read_classes(folder, on_skip)
    return replace(data, classes=_called(folder, data.classes))


def _read_val(folder: Path, on_skip: OnSkip) -> LabelledImages:
    """Read validation pictures that lie in one folder; their labels are in a file."""
    wnids = _val_wnids(folder)
    paths, labels = PackedPaths(folder), LabelColumn()
    for path in sorted(folder.glob(VAL)):
        if path.stem in wnids:
            paths.append(path.name)
            labels.append(wnids[path.stem])
        else:
            on_skip(Skipped(source=str(path), reason="is not in the list of labels"))
    targets, classes = labels.finish(sorted(set(wnids.values())))
    return LabelledImages(paths, targets, _called(folder, classes), str(folder))


def _val_wnids(folder: Path) -> Mapping[str, str]:
    """Return picture -> wnid."""
    if (file := _above(folder, SOLUTION)) is not None:
        with file.open(encoding="utf-8", newline="") as stream:
            return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(stream)}
    if (file := _above(folder, TRUTH)) is not None:
        wnids = _wnids_by_id(file.parent)
        numbers = file.read_text(encoding="utf-8").split()
        return {f"ILSVRC2012_val_{n:08}": wnids[int(number)] for n, number in enumerate(numbers, start=1)}
    raise InputError(
        f"{folder} has the validation pictures of ImageNet, but their labels are not near: put {SOLUTION[0]}, or the "
        f"development kit with {TRUTH[0]}, into one of the folders above"
    )


def _wnids_by_id(folder: Path) -> Mapping[int, str]:
    """Return ILSVRC2012_ID -> wnid."""
    mapping = folder / "map_clsloc.txt"
    if mapping.is_file():
        rows = [line.split() for line in mapping.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {int(row[1]): row[0] for row in rows}
    if (folder / "meta.mat").is_file():
        synsets = require("scipy.io", "train").loadmat(folder / "meta.mat", squeeze_me=True)["synsets"]
        return {int(number): str(wnid) for number, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"])}
    raise InputError(f"{folder} has numbers of ImageNet's classes, but not meta.mat, which says what they mean")


def _called(folder: Path, wnids: Sequence[str]) -> tuple[str, ...]:
    """Return names of classes, each one different: two are called "crane"."""
    file = _above(folder, SYNSETS)
    lines = file.read_text(encoding="utf-8").splitlines() if file is not None else []
    names = {wnid: name.strip() for wnid, _, name in (line.partition(" ") for line in lines)}
    times = Counter(names.values())
    return tuple(
        wnid if wnid not in names else names[wnid] if times[names[wnid]] == 1 else f"{names[wnid]} ({wnid})"
        for wnid in wnids
    )


def _above(folder: Path, files: Sequence[str]) -> Path | None:
    """Find a file in a folder or in those above it."""
    path = Path(os.path.abspath(folder))
    places = (path, *path.parents[:ABOVE])
    return next((place / file for place in places for file in files if (place / file).is_file()), None)
