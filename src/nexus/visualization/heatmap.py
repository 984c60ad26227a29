"""A map over a photograph: where a model looks, or what it finds odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from nexus.errors import InputError
from nexus.visualization._canvas import LIGHT, Palette, write
from nexus.visualization._colours import colourize

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["draw_heatmap", "overlay"]

_MARGIN, _GAP = 24, 12  # pixels: around the page, between the panels
_BAR, _LABELS = 16, 64  # pixels: width of the colour bar, and of the values beside it
_LINE = 15  # pixels: least distance of two values beside the bar


def overlay(
    photo: Image.Image,
    heat: NDArray[np.floating],
    *,
    low: float | None = None,
    high: float | None = None,
    strength: float = 0.6,
) -> Image.Image:
    """Lay a map over a photograph, from dark blue to light yellow in steps of even lightness.

    Args:
        photo: the picture as the model saw it, so that patches and pixels agree.
        heat: (h, w) values; a map of equal values is drawn as 0.
        low, high: values at the two ends of the colours; give both where maps are to be compared. None is the map's
            smallest value, and its 99.5th percentile: with its largest value, a few patches without content that
            collect attention (arXiv 2309.16588) would hide the rest.
        strength: 0 shows the photograph, 1 the map.

    Returns:
        RGB, of the photograph's size.

    Raises:
        InputError: `heat` is not (h, w) of finite values, `low` is not below `high`, or `strength` is not in 0..1.
    """
    heat = _checked(heat)
    if not 0 <= strength <= 1:
        raise InputError(f"strength={strength} must be between 0 and 1")
    low, high = _ends(heat, low, high)
    unit = np.clip((heat - low) / (high - low), 0, 1) if high > low else (heat > low).astype(np.float64)
    colours = Image.fromarray(colourize(_enlarged(unit, photo.size)))
    return Image.blend(photo.convert("RGB"), colours, strength)


def draw_heatmap(
    photo: Image.Image,
    heat: NDArray[np.floating],
    *,
    low: float | None = None,
    high: float | None = None,
    threshold: float | None = None,
    title: str = "",
    note: str = "",
    strength: float = 0.6,
    side: int = 360,
    palette: Palette = LIGHT,
) -> Image.Image:
    """Draw a photograph, the map over it, and a bar that says which colour is which value.

    Args:
        photo: the picture as the model saw it.
        heat: (h, w) values.
        low, high: values at the two ends of the bar, as for `overlay`.
        threshold: outline what reaches this value, and mark it on the bar.
        title, note: above the picture; the note in a quieter colour.
        strength: 0 shows the photograph, 1 the map.
        side: longer side of both panels, in pixels.
        palette: colours of the page.

    Raises:
        InputError: as for `overlay`.
    """
    heat = _checked(heat)
    scale = side / max(photo.size)
    width, height = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    small = photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    mapped = overlay(small, heat, low=low, high=high, strength=strength)
    if threshold is not None:
        _outline(mapped, _enlarged(heat, mapped.size) >= threshold)

    head = 26 * bool(title) + 22 * bool(note)
    top = _MARGIN + head + (_GAP if head else 0)
    right = _MARGIN + 2 * width + 2 * _GAP
    page = Image.new("RGB", (right + _BAR + _LABELS + _MARGIN, top + height + _MARGIN), palette.page)
    pen = ImageDraw.Draw(page)
    inner = page.width - 2 * _MARGIN
    write(pen, (_MARGIN, _MARGIN + 18), title, inner, 20, palette.text)
    write(pen, (_MARGIN, _MARGIN + head - 6), note, inner, 14, palette.muted)
    page.paste(small, (_MARGIN, top))
    page.paste(mapped, (_MARGIN + width + _GAP, top))
    _bar(page, pen, (right, top, height), *_ends(heat, low, high), threshold, palette)
    return page


def _checked(heat: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.asarray(heat, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape or not np.isfinite(values).all():
        raise InputError(f"a map must be (h, w) finite values, got the shape {values.shape}")
    return values


def _ends(heat: NDArray[np.float64], low: float | None, high: float | None) -> tuple[float, float]:
    if low is not None and high is not None and not low < high:
        raise InputError(f"low={low} must be below high={high}")
    return (
        float(heat.min()) if low is None else low,
        float(np.percentile(heat, 99.5)) if high is None else high,
    )


def _enlarged(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return (h, w) values at the (width, height) of a picture, bilinear between the middles of the patches."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def _outline(image: Image.Image, inside: NDArray[np.bool_]) -> None:
    """Draw a line around a region: white within and black outside, so that it stands out on every colour."""
    region = Image.fromarray(inside.astype(np.uint8) * 255)
    image.paste("#000000", mask=ImageChops.difference(region, region.filter(ImageFilter.MaxFilter(3))))
    image.paste("#ffffff", mask=ImageChops.difference(region, region.filter(ImageFilter.MinFilter(5))))


def _bar(
    page: Image.Image,
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int, int],
    low: float,
    high: float,
    threshold: float | None,
    palette: Palette,
) -> None:
    left, top, height = place
    page.paste(Image.fromarray(colourize(np.tile(np.linspace(1, 0, height)[:, None], (1, _BAR)))), (left, top))
    bottom = top + height - 1
    marks = {bottom: low, top: high}
    if threshold is not None and low < threshold < high:
        at = round(bottom - (threshold - low) / (high - low) * (height - 1))
        pen.line((left - 3, at, left + _BAR + 3, at), palette.text, 2)
        # The threshold is the value that matters: where it would cover an end of the bar, that end stays unnamed.
        marks = {at: threshold, **{end: value for end, value in marks.items() if abs(end - at) >= _LINE}}
    for at, value in marks.items():
        middle = min(max(at, top + 6), bottom - 6)
        colour = palette.text if value == threshold else palette.muted
        write(pen, (left + _BAR + 7, middle), f"{value:.3g}", _LABELS - 7, 13, colour, anchor="lm")
