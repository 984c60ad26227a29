"""The heat map: colours in order, pictures along the axes, bounded size, clear errors."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nexus.errors import InputError
from nexus.visualization import draw_similarity
from nexus.visualization._colours import colourize

RED = Image.new("RGB", (60, 40), "#ff0000")


def count_of(page: Image.Image, colour: tuple[int, ...]) -> int:
    return int((np.asarray(page) == colour).all(-1).sum())


def test_colours_rise_evenly_in_brightness() -> None:
    luma = colourize(np.linspace(0, 1, 200)).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(luma) > -1).all()
    assert luma[-1] - luma[0] > 180
    np.testing.assert_array_equal(colourize(np.array([-3.0, 5.0])), colourize(np.array([0.0, 1.0])))


def test_equal_pictures_are_bright_and_the_rest_is_dark() -> None:
    page = draw_similarity(np.eye(20), [RED] * 20)
    dark, bright = map(tuple, colourize(np.array([0.0, 1.0])).tolist())
    cells = 720 // 20
    assert count_of(page, bright) > 0.6 * 20 * cells**2
    assert 15 < count_of(page, dark) / count_of(page, bright) < 23


def test_pictures_stand_along_both_axes() -> None:
    blue = Image.new("RGB", (40, 60), "#0000ff")
    page = draw_similarity(np.zeros((2, 3)), [RED] * 2, [blue] * 3, names=["a.jpg", "b\n.jpg"], title="Similarity")
    assert count_of(page, (255, 0, 0)) == 2 * 60 * 40
    assert count_of(page, (0, 0, 255)) == 3 * 60 * 40


def test_an_unreadable_picture_is_a_placeholder() -> None:
    assert draw_similarity(np.eye(2), [RED, None]).size == draw_similarity(np.eye(2), [RED, RED]).size


@pytest.mark.parametrize("count", [1, 8, 50, 256])
def test_the_size_is_bounded(count: int) -> None:
    page = draw_similarity(np.eye(count), [RED] * count, names=["n"] * count, dark=True)
    assert max(page.size) <= 1400


@pytest.mark.parametrize(
    ("matrix", "pictures", "message"),
    [
        (np.zeros((2, 2)), 3, "as many pictures"),
        (np.zeros((0, 0)), 0, "rows, columns"),
        (np.zeros(4), 4, "rows, columns"),
        (np.zeros((300, 300)), 300, "too large"),
        (np.array([[np.nan]]), 1, "NaN"),
        (np.full((1, 1), 3.0), 1, ""),
    ],
)
def test_matrices_that_cannot_be_drawn_are_named(matrix: np.ndarray, pictures: int, message: str) -> None:
    if not message:
        draw_similarity(matrix, [RED] * pictures)
        return
    with pytest.raises(InputError, match=message):
        draw_similarity(matrix, [RED] * pictures)


def test_the_ends_of_the_colours_can_be_given() -> None:
    with pytest.raises(InputError, match=r"low=2\.0"):
        draw_similarity(np.eye(2), [RED] * 2, low=2.0)
