"""Contact sheets of what a verb found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nexus.results import printable

if TYPE_CHECKING:
    from nexus.visualization.contact_sheet import Row, Tile

__all__ = ["counted", "draw", "row", "tile"]


def tile(path: str, note: str = "", badge: str = "") -> Tile:
    """One picture of a sheet, opened when the sheet is drawn, and then no larger than its thumbnail needs."""
    from nexus.transforms.image import open_image
    from nexus.visualization.contact_sheet import THUMBNAIL, Tile

    opened = partial(open_image, path, min_side=THUMBNAIL)
    return Tile(image=opened, name=os.path.basename(path), note=note, badge=badge, link=path)


def row(title: str, tiles: Sequence[Tile], note: str = "") -> Row:
    """Tiles that belong together."""
    from nexus.visualization.contact_sheet import Row

    return Row(title=title, tiles=tiles, note=note)


def counted(pictures: int) -> str:
    """How many pictures a row has, as its note."""
    return "1 picture" if pictures == 1 else f"{pictures:,} pictures"


def draw(rows: Sequence[Row], sheet: str | None, page: str | None, *, title: str, note: str = "") -> None:
    """Write a contact sheet.

    Args:
        rows: what is on it.
        sheet: PNG to write, or None.
        page: HTML page to write, or None.
        title, note: head of the sheet.
    """
    if not sheet and not page:
        return
    from nexus.visualization.contact_sheet import ContactSheet

    drawn = ContactSheet(rows, title=printable(title), note=note)
    if sheet:
        drawn.to_image().save(sheet, format="PNG")
    if page:
        folder = Path(page).absolute().parent
        Path(page).write_text(drawn.to_html(relative_to=folder), encoding="utf-8")
