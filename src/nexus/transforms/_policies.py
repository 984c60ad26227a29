"""RandAugment and TrivialAugment on PIL images. The decoding processes run them: neither torch nor pydantic here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageEnhance, ImageOps

if TYPE_CHECKING:
    import numpy as np

__all__ = ["OPERATIONS", "Operation", "rand_augment", "trivial_augment"]

MAX_MAGNITUDE = 30
"""Magnitudes are 0, 1, ..., 30, as in torchvision."""

TRANSLATION = 150 / 331
"""Of the side: AutoAugment moves by up to 150 pixels pictures of 331."""


class Operation(NamedTuple):
    """One thing to do to a picture, at a strength.

    Attributes:
        apply: (picture, value) -> picture.
        zero: value at the magnitude 0.
        rand: value at the largest magnitude of RandAugment.
        trivial: value at the largest magnitude of TrivialAugment (wide).
        signed: whether the value is negated half the time.
        axis: 0, 1: `rand` is a share of the picture's width, height.
    """

    apply: Callable[[Image.Image, float], Image.Image]
    zero: float
    rand: float
    trivial: float
    signed: bool
    axis: int | None = None


def shear_x(image: Image.Image, value: float) -> Image.Image:
    return _move(image, (1, value, 0, 0, 1, 0))


def shear_y(image: Image.Image, value: float) -> Image.Image:
    return _move(image, (1, 0, 0, value, 1, 0))


def translate_x(image: Image.Image, value: float) -> Image.Image:
    return _move(image, (1, 0, -int(value), 0, 1, 0))


def translate_y(image: Image.Image, value: float) -> Image.Image:
    return _move(image, (1, 0, 0, 0, 1, -int(value)))


def _move(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """Take each pixel from where the matrix says (nearest, black outside)."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def rotate(image: Image.Image, value: float) -> Image.Image:
    return image.rotate(value)


def brightness(image: Image.Image, value: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1 + value)


def color(image: Image.Image, value: float) -> Image.Image:
    return ImageEnhance.Color(image).enhance(1 + value)


def contrast(image: Image.Image, value: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(1 + value)


def sharpness(image: Image.Image, value: float) -> Image.Image:
    return ImageEnhance.Sharpness(image).enhance(1 + value)


def posterize(image: Image.Image, value: float) -> Image.Image:
    return ImageOps.posterize(image, 8 - round(value))


def solarize(image: Image.Image, value: float) -> Image.Image:
    return ImageOps.solarize(image, value)  # type: ignore[arg-type]  # it only compares pixels with the threshold


def identity(image: Image.Image, _: float) -> Image.Image:
    return image


def auto_contrast(image: Image.Image, _: float) -> Image.Image:
    return ImageOps.autocontrast(image)


def equalize(image: Image.Image, _: float) -> Image.Image:
    return ImageOps.equalize(image)


OPERATIONS = {
    "Identity": Operation(identity, 0, 0, 0, signed=False),
    "ShearX": Operation(shear_x, 0, 0.3, 0.99, signed=True),
    "ShearY": Operation(shear_y, 0, 0.3, 0.99, signed=True),
    "TranslateX": Operation(translate_x, 0, TRANSLATION, 32, signed=True, axis=0),
    "TranslateY": Operation(translate_y, 0, TRANSLATION, 32, signed=True, axis=1),
    "Rotate": Operation(rotate, 0, 30, 135, signed=True),
    "Brightness": Operation(brightness, 0, 0.9, 0.99, signed=True),
    "Color": Operation(color, 0, 0.9, 0.99, signed=True),
    "Contrast": Operation(contrast, 0, 0.9, 0.99, signed=True),
    "Sharpness": Operation(sharpness, 0, 0.9, 0.99, signed=True),
    "Posterize": Operation(posterize, 0, 4, 6, signed=False),  # bits that are dropped
    "Solarize": Operation(solarize, 255, 0, 0, signed=False),
    "AutoContrast": Operation(auto_contrast, 0, 0, 0, signed=False),
    "Equalize": Operation(equalize, 0, 0, 0, signed=False),
}
"""What RandAugment (Cubuk et al. 2019) and TrivialAugment (Müller & Hutter 2021, the wide ranges) draw from; names and
ranges as in torchvision's RandAugment and TrivialAugmentWide."""

_TABLE = tuple(OPERATIONS.values())


def rand_augment(
    image: Image.Image, rng: np.random.Generator, num_ops: int, magnitude: float, magnitude_std: float
) -> Image.Image:
    """Do `num_ops` operations, each drawn anew, at one magnitude.

    Args:
        image: 8-bit RGB.
        rng: where all chance comes from.
        num_ops, magnitude, magnitude_std: see `AugmentConfig`.
    """
    for _ in range(num_ops):
        operation = _TABLE[rng.integers(len(_TABLE))]
        strength = magnitude + magnitude_std * rng.standard_normal() if magnitude_std else magnitude
        unit = 1 if operation.axis is None else image.size[operation.axis]
        level = min(max(strength, 0), MAX_MAGNITUDE) / MAX_MAGNITUDE
        image = _at(operation, level, operation.rand * unit, image, rng)
    return image


def trivial_augment(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Do one operation at a magnitude that is drawn as well.

    Args:
        image: 8-bit RGB.
        rng: where all chance comes from.
    """
    operation = _TABLE[rng.integers(len(_TABLE))]
    level = rng.integers(MAX_MAGNITUDE + 1) / MAX_MAGNITUDE
    return _at(operation, level, operation.trivial, image, rng)


def _at(
    operation: Operation, level: float, largest: float, image: Image.Image, rng: np.random.Generator
) -> Image.Image:
    value = operation.zero + level * (largest - operation.zero)
    return operation.apply(image, -value if operation.signed and rng.random() < 0.5 else value)
