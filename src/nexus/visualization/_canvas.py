"""What the pictures share: colours, the built-in font, text that fits, pictures that fit."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from nexus.results import printable

__all__ = [
    "DARK",
    "LIGHT",
    "Palette",
    "draw_table",
    "drawable",
    "ellipsize",
    "fit_within",
    "font",
    "placeholder",
    "readable_on",
    "write",
]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of a page, as CSS hex."""

    page: str
    ground: str  # behind a letterboxed picture
    line: str
    text: str
    muted: str
    accent: str  # marks the query
    on_accent: str


LIGHT = Palette("#ffffff", "#f0f0ee", "#dcdcd8", "#1b1b1f", "#6a6a72", "#2458d6", "#ffffff")
DARK = Palette("#17181b", "#24262a", "#3a3d43", "#ececf0", "#a0a2aa", "#7aa2ff", "#10131a")


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's built-in scalable font, so that nothing is fetched and every machine draws the same."""
    loaded = ImageFont.load_default(size=size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return loaded


@cache
def _has_glyph(character: str) -> bool:
    absent = font(16).getmask("\U0010fffe")
    return character == " " or bytes(font(16).getmask(character)) != bytes(absent)


def drawable(text: str) -> str:
    """Return text in the characters that the built-in font has.

    It covers little more than ASCII: accents are dropped (``é`` -> ``e``), what remains is escaped (``\\u65e5``), so
    that two names that differ still look different.
    """

    def one(character: str) -> str:
        if _has_glyph(character):
            return character
        base = unicodedata.normalize("NFKD", character)[0]
        if base != character and _has_glyph(base):
            return base
        if unicodedata.combining(character):
            return ""
        return character.encode("ascii", "backslashreplace").decode()

    return "".join(map(one, text))


def ellipsize(text: str, width: float, size: int) -> str:
    """Shorten text in the middle until it is at most `width` pixels wide; the end (a file's suffix) stays."""
    face = font(size)
    if face.getlength(text) <= width:
        return text
    fits, fails = 0, len(text)  # characters kept
    while fails - fits > 1:
        kept = (fits + fails) // 2
        if face.getlength(_cut_middle(text, kept)) <= width:
            fits = kept
        else:
            fails = kept
    return _cut_middle(text, fits)


def _cut_middle(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return f"{text[:head]}…{text[len(text) - (kept - head) :]}"


def write(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    width: float,
    size: int,
    colour: str,
    anchor: str = "ls",
) -> None:
    """Write one line that is shortened to `width` pixels; `place` is where `anchor` (Pillow's two letters) goes."""
    pen.text(place, ellipsize(drawable(printable(text)), width, size), colour, font(size), anchor=anchor)


def fit_within(image: Image.Image, side: int) -> Image.Image:
    """Return a copy in RGB (RGBA where it has transparency) whose longer side is at most `side` pixels."""
    transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    scale = min(1.0, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGBA" if transparent else "RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def placeholder(width: int, height: int, palette: Palette) -> Image.Image:
    """Return the picture that stands for one that cannot be read: a crossed frame on the neutral ground."""
    image = Image.new("RGB", (width, height), palette.ground)
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = width * 0.3, height * 0.3, width * 0.7, height * 0.7
    stroke = max(1, min(width, height) // 60)
    pen.rectangle((left, top, right, bottom), outline=palette.muted, width=stroke)
    pen.line((left, top, right, bottom), palette.muted, stroke)
    pen.line((left, bottom, right, top), palette.muted, stroke)
    return image


def draw_table(
    rows: Sequence[Sequence[Image.Image]],
    *,
    heads: Sequence[tuple[str, str]],
    captions: Sequence[str],
    palette: Palette,
) -> Image.Image:
    """Draw panels of one size as rows under column heads (title, note); captions go under each row's first panel."""
    margin, gap, head, foot = 24, 12, 52, 26 if captions else 0
    width, height = rows[0][0].size
    columns = len(heads)
    page = Image.new(
        "RGB",
        (
            2 * margin + columns * width + (columns - 1) * gap,
            2 * margin + head + len(rows) * (height + foot + gap) - gap,
        ),
        palette.page,
    )
    pen = ImageDraw.Draw(page)
    for column, (title, note) in enumerate(heads):
        left = margin + column * (width + gap)
        write(pen, (left, margin + 14), title, width, 15, palette.text)
        write(pen, (left, margin + 36), note, width, 13, palette.muted)
    for row, panels in enumerate(rows):
        top = margin + head + row * (height + foot + gap)
        for column, panel in enumerate(panels):
            page.paste(panel, (margin + column * (width + gap), top))
        if captions:
            write(pen, (margin, top + height + 18), captions[row], width, 13, palette.muted)
    return page


def readable_on(colour: str) -> str:
    """Return black or white, whichever stands out on a CSS hex colour (Rec. 601 luma)."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#10131a" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
