"""Pictures for inspection: which are normal, which have a defect, and masks that say where.

The layout is that of MVTec AD (Bergmann et al. 2019) and of what copies it: ``train/good``, ``test/<defect>`` with
``test/good`` among them, and ``ground_truth/<defect>/<name>_mask.png``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nexus.errors import InputError
from nexus.transforms.image import open_image

__all__ = ["GOOD", "Inspection", "find_inspection", "find_mask", "read_mask"]

GOOD = "good"
"""Name of the folder of what has no defect."""


@dataclass(frozen=True)
class Inspection:
    """What there is to be inspected.

    Attributes:
        pictures: what a user's source means: a file, a folder, a list, ....
        normal: the folder of normal pictures; None where the layout has none.
        masks: the folder of masks; None where the layout has none.
        labelled: whether the folder that a picture lies in says what it is.
    """

    pictures: Any
    normal: Path | None = None
    masks: Path | None = None
    labelled: bool = False


def find_inspection(source: Any) -> Inspection:
    """Recognise the layout: `source` may be the folder with ``train`` and ``test``, or its ``test``."""
    if isinstance(source, list | tuple) and len(source) == 1:
        (source,) = source
    if not isinstance(source, str | os.PathLike):
        return Inspection(source)
    folder = Path(os.fsdecode(source))
    root = folder if (folder / "test").is_dir() else folder.parent
    test, normal, masks = root / "test", root / "train" / GOOD, root / "ground_truth"
    if folder not in (root, test) or not (normal.is_dir() or masks.is_dir()):
        return Inspection(source, labelled=(folder / GOOD).is_dir())
    return Inspection(test, normal if normal.is_dir() else None, masks if masks.is_dir() else None, labelled=True)


def find_mask(picture: Path, masks: Path) -> Path | None:
    """Return the mask of a picture; None for one that lies in a folder ``good``.

    It is looked for as ``<defect>/<name>_mask.png`` and ``<name>_mask.png``, then without ``_mask``.

    Raises:
        InputError: there is none.
    """
    if picture.parent.name == GOOD:
        return None
    folders = (masks / picture.parent.name, masks)
    for name in (f"{picture.stem}_mask.png", f"{picture.stem}.png"):
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise InputError(
        f"{picture} has no mask: there is no {picture.stem}_mask.png in {folders[0]} nor in {masks}. A picture without "
        f"a defect needs none if its folder is called {GOOD!r}, else a black one"
    )


def read_mask(path: Path, picture: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read where a picture is odd.

    Args:
        path: a picture that is black where nothing is odd.
        picture: (width, height) of the picture that it belongs to.
        size: (H, W) of the result: of the heat map that it is compared with.

    Returns:
        (H, W), True where it is odd; of each place the nearest pixel.

    Raises:
        InputError: its size is not the picture's.
        ImageError: it cannot be read.
    """
    mask = open_image(path)
    if mask.size != picture:
        raise InputError(
            f"{path} has {mask.width}x{mask.height} pixels, its picture {picture[0]}x{picture[1]}: they must be equal"
        )
    height, width = size
    return np.asarray(mask.convert("L").resize((width, height), Image.Resampling.NEAREST)) > 0
