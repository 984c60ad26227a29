"""Resize and centre crop in one step: only the pixels that the crop keeps are computed."""

from __future__ import annotations

from math import ceil

from PIL import Image

from nexus.errors import ConfigError

__all__ = ["crop_start", "fit", "naflex_size", "resized_size"]

FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}

FILTER_RADIUS = 3
"""Of the widest filter (Lanczos), in source pixels at no reduction."""

EXTREME_ASPECT = 16


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


def naflex_size(width: int, height: int, patch_size: int = 16, max_patches: int = 256) -> tuple[int, int]:
    """Return the size that keeps a picture's aspect, as well as whole patches can, in at most so many of them.

    What NaFlex models were trained on (SigLIP 2, Tschannen et al. 2025, arXiv:2502.14786): the picture at the largest
    scale, up to 100, at which its sides, rounded up to whole patches, hold no more than `max_patches`. The scale is
    bisected to 1e-5, as the authors and transformers' `Siglip2ImageProcessor` do it, so that the sizes are theirs.

    Args:
        width, height: of the upright picture, in pixels.
        patch_size: side of a patch, in pixels.
        max_patches: the most patches that the result may have; also how many tokens the model computes.

    Returns:
        (height, width) in pixels, multiples of `patch_size`: what `PreprocessSpec.resize` takes.

    Raises:
        ConfigError: a number is less than 1.
    """
    for name, value in {"width": width, "height": height, "patch_size": patch_size, "max_patches": max_patches}.items():
        if value < 1:
            raise ConfigError(f"{name} = {value}: it must be at least 1")

    def patches(scale: float) -> tuple[int, int]:
        return max(1, ceil(height * scale / patch_size)), max(1, ceil(width * scale / patch_size))

    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        middle = (low + high) / 2
        rows, columns = patches(middle)
        low, high = (middle, high) if rows * columns <= max_patches else (low, middle)
    rows, columns = patches(low)
    return rows * patch_size, columns * patch_size


def crop_start(length: int, window: int, rounding: str) -> int:
    """Return where a centred window begins; negative where it is longer than what it is cut from, which is padded then.

    Args:
        length: of what is cut, in pixels.
        window: length of the window.
        rounding: see `PreprocessSpec.crop_rounding`.
    """
    spare = length - window
    if rounding == "down":
        return spare // 2
    return round(spare / 2) if spare > 0 else -(-spare // 2)  # torchvision pads with the smaller half first


def fit(
    image: Image.Image,
    resize: int | tuple[int, int],
    crop: tuple[int, int] | None,
    crop_rounding: str,
    interpolation: str,
) -> Image.Image:
    """Resize, then cut out (or pad with black to) the centre.

    Equal to resizing the whole picture with Pillow and cropping it, up to the rounding of single pixels (1/255, and 2
    where both passes round the other way), and for any aspect: a picture of 1 x 20000 costs no more than others.

    Args:
        image: 8-bit RGB.
        resize, crop, crop_rounding, interpolation: see `PreprocessSpec`.
    """
    width, height = resized_size(image.size, resize)
    crop_height, crop_width = crop or (height, width)
    left, top = crop_start(width, crop_width, crop_rounding), crop_start(height, crop_height, crop_rounding)
    window = (max(left, 0), max(top, 0), min(left + crop_width, width), min(top + crop_height, height))
    if _by_window(image.size, resize, interpolation):
        kept = _resize_window(image, (width, height), window, FILTERS[interpolation])
    else:
        kept = image.resize((width, height), FILTERS[interpolation]).crop(window)
    if kept.size == (crop_width, crop_height):
        return kept
    canvas = Image.new("RGB", (crop_width, crop_height))
    canvas.paste(kept, (window[0] - left, window[1] - top))
    return canvas


def _by_window(size: tuple[int, int], resize: int | tuple[int, int], interpolation: str) -> bool:
    """Say whether to compute the window alone: where it saves work and gives the pixels of a whole resize.

    A whole resize is a horizontal pass, rounded to 8 bits, and a vertical one. Pillow 13 turns these round for tall
    pictures (its pull request 9549), which changes pixels by a few steps: they are resized whole, but for extreme ones,
    of which only the window can be afforded. Nearest has no passes.
    """
    width, height = size
    if not isinstance(resize, int):
        return False
    if max(size) > EXTREME_ASPECT * min(size):
        return True
    return min(size) >= resize and height <= 2 * width and interpolation != "nearest"


def _resize_window(
    image: Image.Image, size: tuple[int, int], window: tuple[int, int, int, int], resample: Image.Resampling
) -> Image.Image:
    """Return the `window` (left, top, right, bottom) of the picture resized to `size`, computing nothing else."""
    x0, y0, x1, y1 = window
    scale_x, scale_y = image.width / size[0], image.height / size[1]
    # Pillow takes boxes as 32-bit floats; their rounding does not show once the box is near the origin.
    margin_x, margin_y = (ceil(FILTER_RADIUS * max(scale, 1)) for scale in (scale_x, scale_y))
    left, top = max(int(x0 * scale_x) - margin_x, 0), max(int(y0 * scale_y) - margin_y, 0)
    right, bottom = min(ceil(x1 * scale_x) + margin_x, image.width), min(ceil(y1 * scale_y) + margin_y, image.height)
    part = image.crop((left, top, right, bottom))
    columns = (x0 * scale_x - left, min(x1 * scale_x - left, part.width))
    rows = (y0 * scale_y - top, min(y1 * scale_y - top, part.height))
    strip = part.resize((x1 - x0, part.height), resample, box=(columns[0], 0, columns[1], part.height))
    return strip.resize((x1 - x0, y1 - y0), resample, box=(0, rows[0], x1 - x0, rows[1]))
