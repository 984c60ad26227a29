"""IDX files, as MNIST (Y. LeCun et al., 1998) and Fashion-MNIST (arXiv:1708.07747) are published."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.readers.labels import read_names
from nexus.datasets.readers.parts import Parts, derived
from nexus.errors import InputError
from nexus.transforms.image import ImageLike

__all__ = ["open_idx"]

IMAGES = re.compile(r"(train|t10k|test|val)-images[-.]idx3-ubyte(\.gz)?")
PARTS = {"train": "train", "t10k": "test", "test": "test", "val": "val"}
UBYTE = 8
"""Code of the type uint8 in the third byte of an IDX file."""


def open_idx(folder: Path) -> Parts:
    """Find the parts of a folder with IDX files; ``t10k`` is the test part. Empty: there are no such files."""
    found = {match[1]: path for path in sorted(folder.iterdir()) if (match := IMAGES.fullmatch(path.name))}
    return {PARTS[name]: partial(_read, path) for name, path in found.items()}


def _read(images: Path) -> LabelledImages:
    pixels = _array(images, 3)
    labels = _array(_labels_of(images), 1).astype(np.int64)
    names = read_names(images.parent) or [str(number) for number in range(int(labels.max(initial=-1)) + 1)]
    return LabelledImages(GreyPictures(pixels), labels, tuple(names), str(images))


def _labels_of(images: Path) -> Path:
    stem = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    for path in (images.with_name(stem), images.with_name(f"{stem}.gz")):
        if path.is_file():
            return path
    raise InputError(f"{images} has no labels: {stem} or {stem}.gz must lie beside it")


def _array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Map the bytes of a file, one compressed by way of our cache: its pixels need not fit into memory."""
    file = path
    if path.suffix == ".gz":
        try:
            file = derived(path, "idx", lambda: gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} cannot be unpacked ({error}); fetch it again") from error
    with file.open("rb") as stream:
        head = stream.read(4 + 4 * dimensions)
    shape = tuple(int(size) for size in np.frombuffer(head[4:], ">u4"))
    size = math.prod(shape)
    if head[:4] != bytes([0, 0, UBYTE, dimensions]) or not size or file.stat().st_size != len(head) + size:
        raise InputError(
            f"{path} is not an IDX file of bytes with {dimensions} dimensions, or it is cut off; fetch it again"
        )
    return np.memmap(file, np.uint8, "r", offset=len(head), shape=shape)


class GreyPictures(Sequence[ImageLike]):
    """Grey pictures (N, H, W), each given as (H, W, 3)."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return GreyPictures(self.pixels[index])
        return np.repeat(np.asarray(self.pixels[index])[..., None], 3, axis=-1)
