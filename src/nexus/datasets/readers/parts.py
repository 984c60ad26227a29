"""What all readers share: the parts of a dataset by name, and what is remembered of large files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from nexus._files import write_file
from nexus.datasets.labelled import LabelledImages
from nexus.hub import cache_dir

__all__ = ["WORDS", "Parts", "dataset_name", "derived", "split_of"]

Parts = dict[str, Callable[[], LabelledImages]]
"""``"train"``, ``"val"``, ``"test"`` -> what reads that part. A dataset that is not divided is ``"train"``."""

WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""What the parts are called in names of folders and files, as Hugging Face's ``datasets`` has it, -> part."""

_WORDS = "|".join(WORDS)
_ONLY_A_PART = re.compile(rf"(?:{_WORDS})|(?:{_WORDS}|t10k)(?:[-._\d].*)?\.\w+")  # a folder; a file, MNIST's too


def split_of(name: str) -> str | None:
    """Return the part that a name speaks of: ``train-00000-of-00002.parquet`` of ``"train"``; None: of none."""
    words = (WORDS.get(word) for word in re.split(r"[-._\s\d]+", name.lower()))
    return next((split for split in words if split), None)


def dataset_name(origin: str) -> str:
    """Return what to call a dataset in a heading, which names no folder above it.

    Of a path it is the last name, but of a folder or a file that is only a part (``zoo/train``, ``zoo/train.csv``) the
    name above. A dataset of the hub keeps its own (``hf:owner/name``).
    """
    whole = re.sub(rf" \((?:{_WORDS})\)$", "", origin)
    if whole.startswith("hf:"):
        return whole
    windows = PureWindowsPath(whole)
    path = windows if windows.drive else Path(os.path.abspath(os.path.expanduser(whole)))
    return (path.parent.name if _ONLY_A_PART.fullmatch(path.name.lower()) else "") or path.name or whole


def derived(file: Path, kind: str, make: Callable[[], bytes], *, asked: str = "") -> Path:
    """Return a file in our cache that was made from another file; it is made again once that has changed.

    Args:
        file: what it is made from; its path, size and time of change are the key.
        kind: ending of the name.
        make: gives the content; called where it is not there yet.
        asked: what else the content depends on.
    """
    status = file.stat()
    key = f"{os.path.realpath(file)}\0{status.st_size}\0{status.st_mtime_ns}\0{asked}"
    path = cache_dir() / "datasets" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()}.{kind}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, make())
    return path
