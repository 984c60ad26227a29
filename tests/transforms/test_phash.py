from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from nexus.assets import PHOTOS
from nexus.transforms.image import open_image
from nexus.transforms.phash import hamming_distance, perceptual_hash

PATHS = sorted(PHOTOS.glob("*.jpg"))[3:9]


def naive_hash(image: Image.Image) -> int:
    """The same definition, with the DCT written as its sum."""
    small = np.asarray(image.resize((32, 32), Image.Resampling.BOX, reducing_gap=1.0).convert("L"), np.float64)
    bits, n = [], np.arange(32)
    for u in range(8):
        for v in range(8):
            wave = np.outer(np.cos(np.pi * u * (2 * n + 1) / 64), np.cos(np.pi * v * (2 * n + 1) / 64))
            norm = (1 / 16) * (0.5**0.5 if u == 0 else 1) * (0.5**0.5 if v == 0 else 1)
            bits.append(round(float((small * wave).sum() * norm), 6))
    return int("".join("1" if bit > np.median(bits) else "0" for bit in bits), 2)


def test_equals_the_definition() -> None:
    for path in PATHS:
        image = open_image(path)
        assert perceptual_hash(image) == naive_hash(image)


def edits(image: Image.Image) -> dict[str, Image.Image]:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=20)
    return {
        "smaller": image.resize((200, 150)),
        "jpeg 20": open_image(buffer.getvalue()),
        "brighter": ImageEnhance.Brightness(image).enhance(1.2),
        "paler": ImageEnhance.Color(image).enhance(0.5),
    }


def test_edits_stay_near_and_other_pictures_far() -> None:
    images = [open_image(path) for path in PATHS]
    hashes = np.array([perceptual_hash(image) for image in images], np.uint64)
    for image, own in zip(images, hashes, strict=True):
        for name, edited in edits(image).items():
            assert hamming_distance(perceptual_hash(edited), own) <= 8, name
    between = hamming_distance(hashes[:, None], hashes[None, :])
    assert between.shape == (len(PATHS), len(PATHS))
    assert between[~np.eye(len(PATHS), dtype=bool)].min() >= 14


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (7, 5), (3000, 2)])
def test_any_size(size: tuple[int, int]) -> None:
    assert 0 <= perceptual_hash(Image.new("RGB", size, "red")) < 2**64


def test_hamming_distance() -> None:
    assert hamming_distance(0, 2**64 - 1) == 64
    assert hamming_distance(np.array([0b1010, 0b1111], np.uint64), 0b0110).tolist() == [2, 2]
