"""Photographs in number: made from the shipped ones, each file different, written once and kept."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import repeat
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from nexus._system import usable_cores
from nexus.assets import PHOTOS
from nexus.datasets.sources import find_images
from nexus.transforms.image import open_image

__all__ = ["jpegs"]

QUALITY = 88

GRAIN = 3.0
"""Standard deviation of the added noise, of 255. The shipped photographs are small; enlarged they are smoother than a
camera's, and their files smaller and faster to decode than real ones."""


def jpegs(data: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Return `count` JPEG files of one size; those that an earlier run made are used again.

    Each is a random crop of a shipped photograph, perhaps flipped, brighter or darker, with a camera's grain.

    Args:
        data: where they are kept.
        count: how many.
        size: (width, height).
    """
    folder = data / f"jpeg-{size[0]}x{size[1]}-q{QUALITY}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06}.jpg" for number in range(count)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if missing:
        with ProcessPoolExecutor(usable_cores()) as pool:
            list(pool.map(_write, missing, [paths[number] for number in missing], repeat(size), chunksize=16))
    return paths


@cache
def _originals() -> list[Image.Image]:
    return [open_image(path) for path in sorted(map(os.fspath, find_images(PHOTOS)))]


def _write(number: int, path: Path, size: tuple[int, int]) -> None:
    random = np.random.default_rng(number)
    originals = _originals()
    image = _crop(originals[number % len(originals)], size, random)
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(random.uniform(0.8, 1.2))
    noise = random.normal(0, GRAIN, (size[1], size[0], 1))
    pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    aside = path.with_suffix(".aside")
    Image.fromarray(pixels).save(aside, "JPEG", quality=QUALITY)
    aside.replace(path)  # a run that is stopped leaves no half file


def _crop(image: Image.Image, size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Cut out the largest part with the wanted aspect, shrunk by up to a third, at a random place, and resize it."""
    scale = min(image.width / size[0], image.height / size[1]) * random.uniform(2 / 3, 1)
    width, height = scale * size[0], scale * size[1]
    left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
    box = (left, top, left + width, top + height)
    return image.resize(size, Image.Resampling.BICUBIC, box=box)
