"""What people do to a picture before they pass it on. Each edit is fixed, so that recall figures can be compared."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

__all__ = ["EDITS"]

Edit = Callable[[Image.Image], Image.Image]


def crop(image: Image.Image) -> Image.Image:
    """Keep the middle 80 % of each side."""
    width, height = image.size
    return image.crop((width // 10, height // 10, width - width // 10, height - height // 10))


def flip(image: Image.Image) -> Image.Image:
    """Mirror left and right."""
    return ImageOps.mirror(image)


def jpeg(image: Image.Image) -> Image.Image:
    """Save as JPEG of quality 20 and open again."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=20)
    return Image.open(buffer).convert("RGB")


def resize(image: Image.Image) -> Image.Image:
    """Halve both sides."""
    width, height = image.size
    return image.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BICUBIC)


def text(image: Image.Image) -> Image.Image:
    """Write a caption a tenth as high as the picture across its lower third, white on black."""
    edited = image.copy()
    width, height = edited.size
    draw = ImageDraw.Draw(edited)
    font = ImageFont.load_default(max(8, height // 10))
    place = (width // 20, height * 7 // 10)
    draw.rectangle(draw.textbbox(place, "HOLIDAY 2024", font=font), fill="black")
    draw.text(place, "HOLIDAY 2024", fill="white", font=font)
    return edited


def border(image: Image.Image) -> Image.Image:
    """Add a white border of a tenth of the shorter side."""
    return ImageOps.expand(image, max(1, min(image.size) // 10), "white")


def colour(image: Image.Image) -> Image.Image:
    """Half again the saturation, a fifth brighter, a fifth more contrast."""
    for enhance, factor in ((ImageEnhance.Color, 1.5), (ImageEnhance.Brightness, 1.2), (ImageEnhance.Contrast, 1.2)):
        image = enhance(image).enhance(factor)
    return image


def turn(image: Image.Image) -> Image.Image:
    """Turn by 5 degrees; the corners become black."""
    return image.rotate(5, Image.Resampling.BICUBIC)


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "crop 80 %": crop,
        "flip": flip,
        "JPEG 20": jpeg,
        "resize 50 %": resize,
        "text": text,
        "border": border,
        "colour": colour,
        "turn 5°": turn,
    }
)
"""Name -> edit of an upright RGB picture."""
