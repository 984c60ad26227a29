"""The sheet of mistakes: only mistakes, the worst first, with what a person needs to judge them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nexus.transforms import EncodedImage
from nexus.visualization import ContactSheet, Mistake, mistakes, worst_mistakes

RED = np.full((28, 28, 3), (255, 0, 0), np.uint8)


def mistake(loss: float, source: object = RED, predicted: str = "dog") -> Mistake:
    return Mistake(source, "cat", predicted, 0.87, loss)


def test_the_worst_come_first_and_what_is_right_is_left_out() -> None:
    sheet = worst_mistakes([mistake(1.0), mistake(3.0), mistake(9.0, predicted="cat"), mistake(2.0)], most=2)
    (row,) = sheet.rows
    assert [(tile.name, tile.badge, tile.note) for tile in row.tiles] == [
        ("cat", "dog 87%", "loss 3.00"),
        ("cat", "dog 87%", "loss 2.00"),
    ]
    assert row.title == "3 mistaken, highest loss first"
    assert row.more == 1
    assert "+2 more" in sheet.to_html()  # the count takes a tile


def test_sources_of_every_kind_are_drawn(tmp_path: Path) -> None:
    Image.fromarray(RED).save(tmp_path / "red.png")
    content = io.BytesIO()
    Image.fromarray(RED).save(content, "PNG")
    sources = [tmp_path / "red.png", str(tmp_path / "red.png"), EncodedImage(content.getvalue(), "a/b.png"), RED]
    sheet = worst_mistakes([mistake(5.0 - n, source) for n, source in enumerate(sources)])
    tiles = sheet.rows[0].tiles
    assert [tile.note for tile in tiles] == [
        "loss 5.00: red.png",
        "loss 4.00: red.png",
        "loss 3.00: b.png",
        "loss 2.00",
    ]
    assert tiles[0].link == tiles[1].link == str(tmp_path / "red.png")
    assert red_pixels(sheet) > 4 * 120**2


def test_the_legend_is_not_cut_off() -> None:
    from nexus.visualization._canvas import font

    sheet = worst_mistakes([mistake(1.0)])
    width = sheet.to_image().width  # the narrowest sheet that there is
    assert font(14).getlength(sheet.note) < width - 2 * 28


def test_pictures_of_a_few_pixels_are_enlarged() -> None:
    assert red_pixels(worst_mistakes([mistake(1.0)])) > 150**2


def test_only_what_is_shown_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(mistakes, "open_image", lambda source, **_: opened.append(source) or Image.new("RGB", (9, 9)))
    sheet = worst_mistakes([mistake(n, f"{n}.png") for n in range(1000)], most=3)
    assert not opened
    sheet.to_image()
    assert opened == ["999.png", "998.png"]  # and the count of the others


def test_no_mistakes_make_an_empty_sheet() -> None:
    sheet = worst_mistakes([mistake(1.0, predicted="cat")])
    assert "0 mistaken" in sheet.to_html()
    assert sheet.to_image().height < 200


def red_pixels(sheet: ContactSheet) -> int:
    return int((np.asarray(sheet.to_image()) == (255, 0, 0)).all(-1).sum())
