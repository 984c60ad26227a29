"""One random view of a picture. The decoding processes draw and render it: neither torch nor pydantic here."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, exp, log, sqrt
from typing import TYPE_CHECKING, Any

from PIL import Image

from nexus.transforms._policies import brightness, color, contrast, rand_augment, trivial_augment
from nexus.transforms.image import Picture
from nexus.transforms.resize import FILTERS, fit

if TYPE_CHECKING:
    import numpy as np

__all__ = ["View", "crop_box"]

ATTEMPTS = 10

Box = tuple[int, int, int, int]


class View:
    """What becomes of one picture under augmentation.

    Args:
        recipe: values of an `AugmentConfig`.
        rng: where all chance comes from.
        resize, crop, crop_rounding, interpolation, min_side: of the evaluation transform; see `PreprocessSpec` and
            `decode_floor`.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        rng: np.random.Generator,
        *,
        resize: int | tuple[int, int],
        crop: tuple[int, int] | None,
        crop_rounding: str,
        interpolation: str,
        min_side: int | None,
    ) -> None:
        self.recipe, self.rng = recipe, rng
        self.resize, self.crop, self.crop_rounding, self.interpolation = resize, crop, crop_rounding, interpolation
        self._min_side = min_side
        # Drawn before the picture's size is known, so that the box follows from the size alone.
        self._draws = rng.random((ATTEMPTS, 4)) if recipe["scale"] else None

    def min_side(self, size: tuple[int, int]) -> int | None:
        """Return the shortest side to which a JPEG may be decoded for this view; None: decode all of it.

        Args:
            size: (width, height) of the upright original.
        """
        if self._min_side is None or self._draws is None:
            return self._min_side
        left, top, right, bottom = self._box(size)
        width, height = self._target()
        return ceil(min(size) / max(1, min((right - left) / width, (bottom - top) / height)))

    def render(self, picture: Picture) -> Image.Image:
        """Return the view, of the size that the transform says."""
        image = self._place(picture)
        recipe, rng = self.recipe, self.rng
        if recipe["flip"] and rng.random() < recipe["flip"]:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if recipe["policy"] == "randaugment":
            image = rand_augment(image, rng, recipe["num_ops"], recipe["magnitude"], recipe["magnitude_std"])
        elif recipe["policy"] == "trivialaugment":
            image = trivial_augment(image, rng)
        return _jitter(image, recipe, rng)

    def _place(self, picture: Picture) -> Image.Image:
        if self._draws is None:
            return fit(picture.image, self.resize, self.crop, self.crop_rounding, self.interpolation)
        shrunk = picture.image.width / picture.size[0], picture.image.height / picture.size[1]
        box = tuple(value * shrunk[axis % 2] for axis, value in enumerate(self._box(picture.size)))
        return picture.image.resize(self._target(), FILTERS[self.interpolation], box=box)  # type: ignore[arg-type]

    def _box(self, size: tuple[int, int]) -> Box:
        assert self._draws is not None
        return crop_box(size, self.recipe["scale"], self.recipe["ratio"], self._draws)

    def _target(self) -> tuple[int, int]:
        """(width, height) of the view."""
        size = self.crop or self.resize
        assert not isinstance(size, int)
        return size[1], size[0]


def crop_box(size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float], draws: np.ndarray) -> Box:
    """Return (left, top, right, bottom) of the random crop of Inception (Szegedy et al. 2014, section 6).

    Its area is uniform within `scale`, its aspect log-uniform within `ratio`. The first attempt that fits the picture
    counts; if none does, the largest crop at the centre whose aspect is allowed. As torchvision's RandomResizedCrop.

    Args:
        size: (width, height) of the picture.
        scale: share of the picture's area, from and to.
        ratio: width over height, from and to.
        draws: (attempts, 4), uniform in 0..1.
    """
    width, height = size
    low, high = log(ratio[0]), log(ratio[1])
    for share, shape, across, down in draws.tolist():
        area = width * height * (scale[0] + share * (scale[1] - scale[0]))
        aspect = exp(low + shape * (high - low))
        w, h = round(sqrt(area * aspect)), round(sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
            return left, top, left + w, top + h
    aspect = min(max(width / height, ratio[0]), ratio[1])
    w, h = min(width, max(1, round(height * aspect))), min(height, max(1, round(width / aspect)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _jitter(image: Image.Image, recipe: Mapping[str, Any], rng: np.random.Generator) -> Image.Image:
    """Change brightness, contrast, saturation and hue, in random order. As torchvision's ColorJitter."""
    wanted = [name for name in JITTERS if recipe[name]]
    for place in rng.permutation(len(wanted)) if wanted else ():
        name = wanted[place]
        most = recipe[name]
        image = JITTERS[name](image, rng.uniform(-most if name == "hue" else max(-1, -most), most))
    return image


def turn_hue(image: Image.Image, turns: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    shift = int(turns * 255)
    hue = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


JITTERS = {"brightness": brightness, "contrast": contrast, "saturation": color, "hue": turn_hue}
"""Name -> what changes it by an amount; 0 changes nothing."""
