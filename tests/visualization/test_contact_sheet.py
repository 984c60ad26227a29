"""The sheet as a picture and as a page: geometry, limits, odd names, unreadable pictures, escaping."""

from __future__ import annotations

import base64
import io
import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from nexus.errors import InputError
from nexus.visualization import ContactSheet, Row, Tile
from nexus.visualization._canvas import drawable, ellipsize, fit_within, font

RED = Image.new("RGB", (400, 200), "#ff0000")
UNDECODABLE = os.fsdecode(b"\xff\xfe.jpg")
ODD_NAMES = [
    "new\nline.jpg",
    UNDECODABLE,
    "<img src=x onerror=alert(1)>.jpg",
    '"quoted" & co.jpg',
    "日本の写真.jpg",
    "x" * 300,
]


class Page(HTMLParser):
    """Collects tags and text, and fails on a tag that is not closed in order."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def gone() -> Image.Image:
    raise FileNotFoundError("it was there a moment ago")


def count_of(page: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(page) == colour).all(-1).sum())


def test_pictures_keep_their_aspect_and_are_centred() -> None:
    page = np.asarray(ContactSheet([Row("one", [Tile(RED)])], tile=100).to_image())
    found = np.argwhere((page == (255, 0, 0)).all(-1))
    (top, left), (bottom, right) = found.min(0), found.max(0)
    assert (bottom - top + 1, right - left + 1) == (50, 100)
    ground = np.argwhere((page == (240, 240, 238)).all(-1))
    assert abs((top + bottom) - (ground.min(0) + ground.max(0))[0]) <= 1


def test_small_pictures_are_not_enlarged() -> None:
    assert (
        count_of(ContactSheet([Row("", [Tile(Image.new("RGB", (10, 10), "#ff0000"))])]).to_image(), (255, 0, 0)) == 100
    )


def test_rows_wrap_at_the_number_of_columns() -> None:
    def height(count: int) -> int:
        return ContactSheet([Row("", [Tile(RED)] * count)], columns=4).to_image().height

    assert height(1) == height(4)
    assert height(5) - height(4) == height(9) - height(8) > 184


def test_a_badge_marks_its_tile() -> None:
    plain = ContactSheet([Row("", [Tile(RED, "a.jpg")])]).to_image()
    marked = ContactSheet([Row("", [Tile(RED, "a.jpg", badge="query")])]).to_image()
    accent = (0x24, 0x58, 0xD6)
    assert count_of(plain, accent) == 0
    assert count_of(marked, accent) > 1000
    assert marked.size == plain.size
    own = ContactSheet([Row("", [Tile(RED, colour="#00aa55")])]).to_image()
    assert count_of(own, (0, 0xAA, 0x55)) > 1000


def test_dark_and_light_have_one_layout() -> None:
    sheet = ContactSheet([Row("title", [Tile(RED, "a.jpg")])], title="Sheet")
    light, dark = sheet.to_image(), sheet.to_image(dark=True)
    assert light.size == dark.size
    assert light.getpixel((0, 0)) == (255, 255, 255)
    assert max(dark.getpixel((0, 0))) < 40


def test_the_same_sheet_gives_the_same_bytes() -> None:
    def draw() -> ContactSheet:
        return ContactSheet([Row("r", [Tile(RED, name) for name in ODD_NAMES])], title="t", note="n")

    assert draw().to_image().tobytes() == draw().to_image().tobytes()
    assert draw().to_html() == draw().to_html()


def test_each_picture_is_opened_once_and_hidden_ones_never() -> None:
    opened: list[int] = []

    def opener(index: int) -> Image.Image:
        opened.append(index)
        return RED

    tiles = [Tile(lambda index=index: opener(index)) for index in range(20)]
    sheet = ContactSheet([Row("a", tiles), Row("b", tiles)], max_tiles=5, max_rows=1)
    sheet.to_image()
    sheet.to_html()
    assert opened == [0, 1, 2, 3]


def test_many_rows_and_tiles_stay_bounded_and_are_counted() -> None:
    sheet = ContactSheet(
        [Row(f"cluster {n}", [Tile(RED)] * 50, more=1000) for n in range(100)], max_rows=10, max_tiles=6
    )
    text = "".join(Page(sheet.to_html()).text)
    assert text.count("+1045 more") == 10
    assert "+90 more rows" in text
    page = sheet.to_image()
    assert page.height < 10 * 300
    assert page.width < 1400


def test_all_tiles_are_shown_when_they_just_fit() -> None:
    text = Page(ContactSheet([Row("", [Tile(RED)] * 6)], max_tiles=6).to_html())
    assert len(text.all("img")) == 6
    text = Page(ContactSheet([Row("", [Tile(RED)] * 6, more=1)], max_tiles=6).to_html())
    assert len(text.all("img")) == 5
    assert "+2 more" in text.text


@pytest.mark.parametrize("image", [None, gone])
def test_an_unreadable_picture_is_a_placeholder(image: object) -> None:
    sheet = ContactSheet([Row("", [Tile(image, "a.jpg"), Tile(RED)])])  # type: ignore[arg-type]
    assert count_of(sheet.to_image(), (255, 0, 0)) > 0
    page = Page(sheet.to_html())
    assert "cannot be read" in page.text
    assert len(page.all("img")) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_of_picture_is_drawn(mode: str) -> None:
    sheet = ContactSheet([Row("", [Tile(Image.new(mode, (30, 20)))])])
    sheet.to_image()
    assert len(Page(sheet.to_html()).all("img")) == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_extreme_shapes_keep_at_least_a_pixel(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size)
    assert max(fit_within(image, 100).size) <= 100
    (shown,) = Page(ContactSheet([Row("", [Tile(image)])]).to_html()).all("img")
    assert int(shown["width"] or 0) >= 1
    assert int(shown["height"] or 0) >= 1


def test_an_empty_sheet_and_an_empty_row_are_pages() -> None:
    for sheet in (ContactSheet([]), ContactSheet([Row("nothing found", [])])):
        assert sheet.to_image().width > 0
        Page(sheet.to_html())


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_escaped_in_both(name: str) -> None:
    sheet = ContactSheet([Row(name, [Tile(RED, name, name, badge=name, link=name)])], title=name, note=name)
    page_width = ContactSheet([Row("", [Tile(RED, "a", "b")])]).to_image().width
    assert sheet.to_image().width == page_width
    text = sheet.to_html()
    text.encode("utf-8")
    page = Page(text)
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "small", "section"),
        *("ul", "li", "a", "div", "span", "img"),
    }
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert "\nline.jpg" not in "".join(page.text)


def test_the_page_fetches_nothing_and_holds_its_thumbnails() -> None:
    text = ContactSheet([Row("", [Tile(Image.new("RGB", (4000, 3000)), "a.jpg")])]).to_html()
    page = Page(text)
    assert page.all("script") == page.all("link") == []
    (picture,) = page.all("img")
    kind, data = (picture["src"] or "").split(",")
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (320, 240)
    assert picture["alt"] == "a.jpg"
    rest = text.replace(data, "")
    assert "http" not in rest
    assert "url(" not in rest
    assert "@import" not in rest


def test_light_and_dark_follow_the_reader() -> None:
    assert "@media (prefers-color-scheme: dark)" in ContactSheet([]).to_html()


@pytest.mark.parametrize("name", ["a b#c?.jpg", UNDECODABLE, "javascript:alert(1).jpg", "new\nline.jpg", "100%.jpg"])
def test_links_reach_the_very_file(name: str, tmp_path: Path) -> None:
    link = os.path.join(tmp_path, "photos", name)
    sheet = ContactSheet([Row("", [Tile(RED, name, link=link)])])
    (absolute,) = Page(sheet.to_html()).all("a")
    href = absolute["href"] or ""
    assert href.startswith("file:///")
    assert unquote_to_bytes(href.removeprefix("file://")) == os.fsencode(link)
    (relative,) = Page(sheet.to_html(relative_to=tmp_path / "out")).all("a")
    assert unquote_to_bytes(relative["href"] or "") == b"../photos/" + os.fsencode(name)
    assert ":" not in (relative["href"] or "")


def test_only_web_addresses_pass_as_they_are() -> None:
    def href(link: str) -> str:
        return Page(ContactSheet([Row("", [Tile(RED, link=link)])]).to_html()).all("a")[0]["href"] or ""

    assert href("https://example.org/a.jpg?x=1&y=2") == "https://example.org/a.jpg?x=1&y=2"
    assert href("javascript:alert(1)").startswith("file:///")
    assert href("data:text/html,x").startswith("file:///")


def test_a_notebook_shows_the_page_in_a_frame() -> None:
    shown = Page(ContactSheet([Row("a", [Tile(RED)])])._repr_html_())
    assert Page(shown.all("iframe")[0]["srcdoc"] or "").all("img")


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"max_rows": 0}, {"max_tiles": 0}, {"tile": 10}, {"tile": 1000}])
def test_limits_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        ContactSheet([], **wrong)


@pytest.mark.parametrize("colour", ["red", "#fff", "#12345g", '#000000"><script>'])
def test_colours_are_checked(colour: str) -> None:
    with pytest.raises(InputError, match="CSS hex"):
        Tile(RED, colour=colour)


@pytest.mark.parametrize("width", [20, 60, 200])
def test_long_names_lose_their_middle(width: int) -> None:
    name = "a-holiday-by-the-sea-with-friends-2024.jpg"
    short = ellipsize(name, width, 13)
    assert font(13).getlength(short) <= width
    head, tail = short.split("…")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert ellipsize(name, 1000, 13) == name


def test_letters_that_the_font_lacks_are_replaced_by_what_it_has() -> None:
    assert drawable("Café déjà.jpg") == "Cafe deja.jpg"
    assert drawable("cafe\u0301") == "cafe"
    assert drawable("日") == "\\u65e5"
    assert drawable("a…b") == "a…b"
