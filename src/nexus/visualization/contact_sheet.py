"""A page of thumbnails in titled rows: the picture that search, dedupe, cluster and the demo end with."""

from __future__ import annotations

import base64
import html
import io
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw

from nexus.errors import InputError
from nexus.results import printable
from nexus.visualization._canvas import (
    DARK,
    LIGHT,
    Palette,
    drawable,
    fit_within,
    font,
    placeholder,
    readable_on,
    write,
)

__all__ = ["ContactSheet", "Row", "Tile"]

THUMBNAIL = 320
"""Longer side in pixels of the thumbnails kept; tiles are drawn at or below it, so HTML is sharp on dense screens."""

_PAGE_MARGIN, _GAP, _PAD = 28, 14, 8  # pixels: around the page, between tiles, inside a tile
_UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class Tile:
    """One thumbnail.

    Attributes:
        image: the upright picture, or a function that opens it (called once); None, or a function that raises, draws
            a placeholder.
        name: file name under the picture, shortened in the middle where it is long.
        note: second line, e.g. a score.
        badge: word in the corner, e.g. ``"query"``; a tile with a badge has a coloured border.
        colour: CSS hex of the border and badge (``"#2458d6"``); None is no border, or the accent with a badge.
        link: the file (a path as Python holds it, undecodable bytes included) or http(s) address that the HTML opens.

    Raises:
        InputError: `colour` is not six hex digits after a ``#``.
    """

    image: Image.Image | Callable[[], Image.Image] | None
    name: str = ""
    note: str = ""
    badge: str = ""
    colour: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        if self.colour is not None and not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise InputError(f"colour={self.colour!r} is not a CSS hex colour such as '#2458d6'")


@dataclass(frozen=True, slots=True)
class Row:
    """Tiles that belong together: a query and its hits, a group of duplicates, a cluster.

    Attributes:
        title: written above the tiles.
        tiles: in order; those beyond the sheet's limit are counted, not opened.
        note: beside the title, in a quieter colour.
        more: how many further pictures the row stands for that are not in `tiles`.
    """

    title: str
    tiles: Sequence[Tile]
    note: str = ""
    more: int = 0


@dataclass(frozen=True)
class ContactSheet:
    """Rows of thumbnails, as a picture and as a web page of one file.

    Attributes:
        rows: what to show; rows beyond `max_rows` are counted at the end ("+37 more rows").
        title, note: head of the page.
        columns: tiles side by side; a row with more wraps.
        max_rows, max_tiles: limits of the page and of each row, so that its size is bounded.
        tile: side of a tile's picture in pixels, at most 320.

    Raises:
        InputError: a limit is not positive, or `tile` is out of range.
    """

    rows: Sequence[Row]
    title: str = ""
    note: str = ""
    columns: int = 6
    max_rows: int = 24
    max_tiles: int = 12
    tile: int = 184

    def __post_init__(self) -> None:
        for name in ("columns", "max_rows", "max_tiles"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if not 48 <= self.tile <= THUMBNAIL:
            raise InputError(f"tile={self.tile} must be between 48 and {THUMBNAIL} pixels")

    def to_image(self, *, dark: bool = False) -> Image.Image:
        """Draw the sheet. File names are written in the built-in font, which escapes what it has no letters for."""
        return _Drawing(self, DARK if dark else LIGHT).page

    def to_html(self, *, relative_to: str | Path | None = None) -> str:
        """Return one HTML page with the thumbnails inside; it fetches nothing and runs no script.

        Args:
            relative_to: folder that the page will be saved in: links to files become relative to it, so that page and
                pictures can move together. None makes absolute ``file:`` links.
        """
        return _page(self, None if relative_to is None else os.path.abspath(relative_to))

    def _repr_html_(self) -> str:
        """Show in notebooks, inside a frame of its own so that the styles do not leak."""
        return f'<iframe srcdoc="{html.escape(self.to_html())}" style="width:100%;height:640px;border:0"></iframe>'

    @cached_property
    def _shown(self) -> list[_ShownRow]:
        """Return the rows within the limits, their pictures opened: once for both the image and the page."""
        return [self._show(row) for row in self.rows[: self.max_rows]]

    @property
    def _hidden(self) -> int:
        return max(0, len(self.rows) - self.max_rows)

    def _show(self, row: Row) -> _ShownRow:
        tiles, more = row.tiles, row.more
        if len(tiles) + (more > 0) > self.max_tiles:  # the count takes the place of a tile
            tiles = tiles[: self.max_tiles - 1]
            more += len(row.tiles) - len(tiles)
        return _ShownRow(row, [(tile, _open(tile.image)) for tile in tiles], more)


@dataclass(frozen=True, slots=True)
class _ShownRow:
    row: Row
    tiles: list[tuple[Tile, Image.Image | None]]  # None: cannot be read
    more: int

    @property
    def slots(self) -> int:
        return len(self.tiles) + (self.more > 0)

    @property
    def caption_lines(self) -> int:
        if any(tile.note or picture is None for tile, picture in self.tiles):
            return 2
        return int(any(tile.name for tile, _ in self.tiles))


def _open(image: Image.Image | Callable[[], Image.Image] | None) -> Image.Image | None:
    try:
        opened = image() if callable(image) else image
        return None if opened is None else fit_within(opened, THUMBNAIL)
    except Exception:  # noqa: BLE001  a sheet shows what it can: decoders raise anything, and files vanish
        return None


class _Drawing:
    """The sheet as pixels: measured first, drawn second."""

    title_height, note_height, head_height, caption_height = 30, 22, 34, 18

    def __init__(self, sheet: ContactSheet, palette: Palette) -> None:
        self.sheet, self.palette = sheet, palette
        self.cell = sheet.tile + 2 * _PAD
        self.columns = min(sheet.columns, max([3, *(shown.slots for shown in sheet._shown)]))
        self.inner = self.columns * self.cell + (self.columns - 1) * _GAP
        head = self.title_height * bool(sheet.title) + self.note_height * bool(sheet.note)
        height = 2 * _PAGE_MARGIN + head + (_GAP if head else 0) + self.note_height * bool(sheet._hidden)
        height += sum(self.head_height + self._lines(shown) * self._line_height(shown) for shown in sheet._shown)
        self.page = Image.new("RGB", (self.inner + 2 * _PAGE_MARGIN, height), palette.page)
        self.pen = ImageDraw.Draw(self.page)

        top = self._head()
        for shown in sheet._shown:
            top = self._row(shown, top)
        if sheet._hidden:
            self._text((_PAGE_MARGIN, top + 16), f"+{sheet._hidden} more rows", self.inner, 15, palette.muted)

    def _lines(self, shown: _ShownRow) -> int:
        return math.ceil(shown.slots / self.columns)

    def _line_height(self, shown: _ShownRow) -> int:
        return self.cell + self.caption_height * shown.caption_lines + _GAP

    def _text(self, place: tuple[float, float], text: str, width: float, size: int, colour: str) -> None:
        write(self.pen, place, text, width, size, colour)

    def _head(self) -> int:
        top, sheet = _PAGE_MARGIN, self.sheet
        if sheet.title:
            self._text((_PAGE_MARGIN, top + 20), sheet.title, self.inner, 24, self.palette.text)
            top += self.title_height
        if sheet.note:
            self._text((_PAGE_MARGIN, top + 14), sheet.note, self.inner, 14, self.palette.muted)
            top += self.note_height
        return top + (_GAP if top > _PAGE_MARGIN else 0)

    def _row(self, shown: _ShownRow, top: int) -> int:
        row, palette = shown.row, self.palette
        self.pen.line((_PAGE_MARGIN, top, _PAGE_MARGIN + self.inner, top), palette.line)
        share = self.inner * (0.62 if row.note else 1.0)
        self._text((_PAGE_MARGIN, top + 22), row.title, share, 16, palette.text)
        if row.note:
            left = min(font(16).getlength(drawable(printable(row.title))), share) + 12
            self._text((_PAGE_MARGIN + left, top + 22), row.note, self.inner - left, 14, palette.muted)
        top += self.head_height
        for slot in range(shown.slots):
            line, column = divmod(slot, self.columns)
            corner = (_PAGE_MARGIN + column * (self.cell + _GAP), top + line * self._line_height(shown))
            if slot < len(shown.tiles):
                self._tile(*shown.tiles[slot], *corner)
            else:
                self._more(shown.more, *corner)
        return top + self._lines(shown) * self._line_height(shown)

    def _tile(self, tile: Tile, thumbnail: Image.Image | None, left: int, top: int) -> None:
        side, palette = self.sheet.tile, self.palette
        colour = tile.colour or (palette.accent if tile.badge else None)
        box = (left, top, left + self.cell - 1, top + self.cell - 1)
        self.pen.rounded_rectangle(box, 8, fill=palette.ground, outline=colour, width=3 if colour else 0)
        picture = placeholder(side, side, palette) if thumbnail is None else fit_within(thumbnail, side)
        corner = (left + _PAD + (side - picture.width) // 2, top + _PAD + (side - picture.height) // 2)
        self.page.paste(picture, corner, picture if picture.mode == "RGBA" else None)
        if tile.badge and colour:
            self._badge(tile.badge, left, top, colour)
        middle, width = left + self.cell / 2, self.cell - 4
        write(self.pen, (middle, top + self.cell + 16), tile.name, width, 13, palette.text, anchor="ms")
        note = tile.note or (_UNREADABLE if thumbnail is None else "")
        write(self.pen, (middle, top + self.cell + 33), note, width, 13, palette.muted, anchor="ms")

    def _badge(self, text: str, left: int, top: int, colour: str) -> None:
        width = min(font(13).getlength(drawable(printable(text))) + 16, self.cell)
        self.pen.rounded_rectangle((left, top, left + width, top + 22), 8, fill=colour)
        write(self.pen, (left + width / 2, top + 11), text, width - 8, 13, readable_on(colour), anchor="mm")

    def _more(self, count: int, left: int, top: int) -> None:
        box = (left, top, left + self.cell - 1, top + self.cell - 1)
        self.pen.rounded_rectangle(box, 8, outline=self.palette.line, width=1)
        middle = (left + self.cell / 2, top + self.cell / 2)
        write(self.pen, middle, f"+{count} more", self.cell - 16, 18, self.palette.muted, anchor="mm")


_STYLE = """
:root {{ color-scheme: light dark; {light} --tile: {tile}px; }}
@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}
body {{ margin: 28px; background: var(--page); color: var(--text); font: 14px/1.4 system-ui, sans-serif; }}
h1 {{ font-size: 24px; font-weight: 600; margin: 0; }}
h2 {{ font-size: 16px; font-weight: 600; margin: 0 0 10px; overflow-wrap: anywhere; }}
.note {{ margin-top: 4px; margin-bottom: 0; }}
h2 small, .note {{ color: var(--muted); font-size: 14px; font-weight: 400; }}
section {{ border-top: 1px solid var(--line); margin-top: 14px; padding-top: 10px; }}
ul {{ display: flex; flex-wrap: wrap; gap: 14px; list-style: none; margin: 0; padding: 0; }}
li {{ position: relative; width: calc(var(--tile) + 16px); }}
.frame {{ box-sizing: border-box; display: flex; align-items: center; justify-content: center; color: var(--muted);
  width: calc(var(--tile) + 16px); height: calc(var(--tile) + 16px); border-radius: 8px; background: var(--ground); }}
.frame.marked {{ box-shadow: inset 0 0 0 3px var(--mark, var(--accent)); }}
.frame img {{ display: block; max-width: var(--tile); max-height: var(--tile); }}
.frame.more {{ background: none; border: 1px solid var(--line); font-size: 18px; }}
.badge {{ position: absolute; left: 0; top: 0; padding: 1px 8px; border-radius: 8px; font-size: 13px;
  background: var(--mark, var(--accent)); color: var(--on-mark, var(--on-accent)); }}
.caption {{ text-align: center; font-size: 13px; margin: 4px 2px 0; }}
.name {{ display: flex; justify-content: center; white-space: pre; }}
.name span:first-child {{ overflow: hidden; text-overflow: ellipsis; }}
a {{ color: inherit; text-decoration: none; }} a:hover .name {{ text-decoration: underline; }}
"""


def _page(sheet: ContactSheet, base: str | None) -> str:
    style = _STYLE.format(light=_variables(LIGHT), dark=_variables(DARK), tile=sheet.tile)
    title = _text(sheet.title)
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{title or "Contact sheet"}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{style}</style></head><body>",
        f"<h1>{title}</h1>" if title else "",
        f'<p class="note">{_text(sheet.note)}</p>' if sheet.note else "",
        *(_section(shown, sheet.tile, base) for shown in sheet._shown),
        f'<section class="note">+{sheet._hidden} more rows</section>' if sheet._hidden else "",
        "</body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _section(shown: _ShownRow, side: int, base: str | None) -> str:
    items = [_item(tile, thumbnail, side, base) for tile, thumbnail in shown.tiles]
    if shown.more:
        items.append(f'<li><div class="frame more">+{shown.more} more</div></li>')
    note = f" <small>{_text(shown.row.note)}</small>" if shown.row.note else ""
    return f"<section><h2>{_text(shown.row.title)}{note}</h2><ul>\n" + "\n".join(items) + "\n</ul></section>"


def _item(tile: Tile, thumbnail: Image.Image | None, side: int, base: str | None) -> str:
    marked = " marked" if tile.badge or tile.colour else ""
    mark = f' style="--mark:{tile.colour};--on-mark:{readable_on(tile.colour)}"' if tile.colour else ""
    body = f'<div class="frame{marked}">{_img(thumbnail, tile.name, side)}</div>'
    body += f'<div class="badge">{_text(tile.badge)}</div>' if tile.badge else ""
    body += _caption(tile.name) if tile.name else ""
    if tile.link:
        body = f'<a href="{html.escape(_href(tile.link, base))}">{body}</a>'
    body += f'<div class="caption note">{_text(tile.note)}</div>' if tile.note else ""
    return f"<li{mark}>{body}</li>"


def _img(thumbnail: Image.Image | None, name: str, side: int) -> str:
    if thumbnail is None:
        return _UNREADABLE
    scale = min(1.0, side / max(thumbnail.size))
    width, height = (max(1, round(length * scale)) for length in thumbnail.size)
    buffer = io.BytesIO()
    thumbnail.save(buffer, "WEBP", quality=80, method=4)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{data}" alt="{_text(name)}" width="{width}" height="{height}">'


def _caption(name: str, keep: int = 9) -> str:
    """Return a name whose middle gives way: the browser cuts the first part, the last `keep` letters stay."""
    name = printable(name)
    cut = len(name) - keep if len(name) > 2 * keep else len(name)
    head, tail = html.escape(name[:cut]), html.escape(name[cut:])
    return f'<div class="caption name" title="{html.escape(name)}"><span>{head}</span><span>{tail}</span></div>'


def _href(link: str, base: str | None) -> str:
    """Return an address for a link. Only http(s) passes as it is: any other text is a path, and is quoted as one."""
    if link.startswith(("http://", "https://")):
        return link
    path = os.path.abspath(link)
    same_drive = base is not None and os.path.splitdrive(base)[0] == os.path.splitdrive(path)[0]
    if base is None or not same_drive:
        return Path(path).as_uri()
    return quote(os.fsencode(Path(os.path.relpath(path, base)).as_posix()))


def _variables(palette: Palette) -> str:
    names = ("page", "ground", "line", "text", "muted", "accent", "on_accent")
    return " ".join(f"--{name.replace('_', '-')}: {getattr(palette, name)};" for name in names)


def _text(text: str) -> str:
    return html.escape(printable(text))
