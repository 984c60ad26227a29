"""Resize and centre crop in one step: only the pixels that the crop keeps are computed."""

from __future__ import annotations

from math import ceil

from PIL import Image

__all__ = ["fit", "resized_size"]

FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}

FILTER_RADIUS = 3
"""Of the widest filter (Lanczos), in source pixels at no reduction."""

PRECISE_SIDE = 4096
"""Pillow takes the box as 32-bit floats: beyond this side their rounding would begin to show."""


def resized_size(size: tuple[int, int], resize: int | tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) after the resize.

    Args:
        size: (width, height) before.
        resize: an int: length of the shorter side, the other one rounded down as torchvision and the Hugging Face
            processors do; (height, width): exactly that.
    """
    if not isinstance(resize, int):
        height, width = resize
        return width, height
    longer = int(resize * max(size) / min(size))
    return (resize, longer) if size[0] <= size[1] else (longer, resize)


def fit(
    image: Image.Image, resize: int | tuple[int, int], crop: tuple[int, int] | None, interpolation: str
) -> Image.Image:
    """Resize, then cut out (or pad with black to) the centre.

    Equal to resizing the whole picture and cropping it, up to the rounding of single pixels (1/255), for any aspect:
    a picture of 1 x 20000 costs no more than others.

    Args:
        image: 8-bit RGB.
        resize, crop, interpolation: see `PreprocessSpec`.
    """
    width, height = resized_size(image.size, resize)
    crop_height, crop_width = crop or (height, width)
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + crop_width, width), min(top + crop_height, height)
    scale_x, scale_y = image.width / width, image.height / height
    box = (x0 * scale_x, y0 * scale_y, min(x1 * scale_x, image.width), min(y1 * scale_y, image.height))
    if max(image.size) > PRECISE_SIDE:
        image, box = _cut(image, box, ceil(FILTER_RADIUS * max(scale_x, scale_y, 1)))
    kept = image.resize((x1 - x0, y1 - y0), FILTERS[interpolation], box=box)
    if kept.size == (crop_width, crop_height):
        return kept
    canvas = Image.new("RGB", (crop_width, crop_height))
    canvas.paste(kept, (x0 - left, y0 - top))
    return canvas


Box = tuple[float, float, float, float]


def _cut(image: Image.Image, box: Box, margin: int) -> tuple[Image.Image, Box]:
    """Cut out the box with the margin that the filter reads around it; return the box in the new coordinates."""
    left, top = max(int(box[0]) - margin, 0), max(int(box[1]) - margin, 0)
    right, bottom = min(ceil(box[2]) + margin, image.width), min(ceil(box[3]) + margin, image.height)
    part = image.crop((left, top, right, bottom))
    return part, (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
