"""Maps over photographs: colours where the values are, one scale for several maps, a bar that says which is which."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nexus.errors import InputError
from nexus.visualization import draw_heatmap, overlay
from nexus.visualization._colours import colourize

GREY = Image.new("RGB", (80, 80), "#808080")
DARKEST, LIGHTEST = (tuple(colour) for colour in colourize(np.array([0.0, 1.0])).tolist())


def spot(value: float = 1.0) -> np.ndarray:
    heat = np.zeros((4, 4))
    heat[1, 2] = value
    return heat


def places(page: Image.Image, colour: tuple[int, ...] | str) -> np.ndarray:
    """(N, 2) rows and columns of the pixels of a colour."""
    wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
    return np.argwhere((np.asarray(page) == wanted).all(-1))


def test_an_overlay_is_bright_where_the_map_is_high() -> None:
    drawn = np.asarray(overlay(GREY, spot(), strength=1.0).convert("L"))
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert (row // 20, column // 20) == (1, 2)


def test_without_strength_the_photograph_stays() -> None:
    assert overlay(GREY, spot(), strength=0.0).tobytes() == GREY.tobytes()


def test_equal_values_are_one_colour() -> None:
    assert len(np.unique(np.asarray(overlay(GREY, np.ones((2, 2)))).reshape(-1, 3), axis=0)) == 1


def test_ends_make_maps_comparable() -> None:
    def colour(value: float) -> object:
        return overlay(GREY, np.full((2, 2), value), low=0.0, high=2.0, strength=1.0).getpixel((0, 0))

    assert colour(1.0) == tuple(colourize(np.array(0.5)).tolist())
    assert colour(2.0) == colour(9.0) == LIGHTEST
    assert colour(-1.0) == DARKEST


def test_photograph_map_and_bar_stand_side_by_side() -> None:
    page = draw_heatmap(GREY, np.eye(2)[:, ::-1], low=0.0, high=1.0, strength=1.0, side=80)
    assert page.size == (24 + 80 + 12 + 80 + 12 + 16 + 64 + 24, 24 + 80 + 24)
    photo, mapped, bar = (page.crop((left, 24, left + 80, 104)) for left in (24, 116, 208))
    assert photo.tobytes() == GREY.tobytes()
    assert mapped.getpixel((79, 0)) == mapped.getpixel((0, 79)) == bar.getpixel((8, 0)) == LIGHTEST
    assert mapped.getpixel((0, 0)) == mapped.getpixel((79, 79)) == bar.getpixel((8, 79)) == DARKEST
    titled = draw_heatmap(GREY, spot(), title="scratch.png", note="score 3.4", side=80)
    assert titled.height == page.height + 26 + 22 + 12


def test_a_threshold_is_outlined_and_marked_on_the_bar() -> None:
    page = draw_heatmap(GREY, spot(2.0), low=0.0, high=2.0, threshold=1.0, strength=1.0, side=80)
    rows, columns = places(page.crop((116, 24, 196, 104)), "#ffffff").T
    assert 20 <= rows.min() < rows.max() <= 40
    assert 40 <= columns.min() < columns.max() <= 60
    mark = places(page.crop((205, 24, 208, 104)), "#1b1b1f")  # the stroke begins left of the bar, half-way up
    assert abs(mark[:, 0].mean() - 40) <= 1
    plain = draw_heatmap(GREY, spot(2.0), low=0.0, high=2.0, threshold=5.0, strength=1.0, side=80)
    assert len(places(plain.crop((116, 24, 196, 104)), "#ffffff")) == 0


@pytest.mark.parametrize(
    ("heat", "options", "message"),
    [
        (np.full((2, 2), np.nan), {}, "finite"),
        (np.ones((1, 2, 2)), {}, "shape"),
        (np.ones((2, 2)), {"strength": 2}, "strength=2"),
        (np.ones((2, 2)), {"low": 1.0, "high": 1.0}, r"low=1\.0 must be below"),
    ],
)
def test_wrong_input_is_named(heat: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_heatmap(GREY, heat, **options)
