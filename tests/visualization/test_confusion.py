"""The confusion matrix: the cell of a mistake has its colour and its count, and large matrices keep what matters."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nexus.errors import InputError
from nexus.visualization import Confusion, confusion, draw_confusion, most_confused
from nexus.visualization.confusion import shade

PETS = ("cat", "dog", "rabbit")
MATRIX = np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]])


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is written, in order."""
    texts: list[str] = []
    write = confusion.write

    def keeping(pen: object, place: object, text: str, *rest: object) -> None:
        texts.append(text)
        write(pen, place, text, *rest)

    monkeypatch.setattr(confusion, "write", keeping)
    return texts


def cells(page: Image.Image, count: int) -> list[list[str]]:
    """Colours of the cells beside their middles, found from the grid: its left edge is where the names end."""
    side = int(np.clip(720 // count, 40, 96))
    left, top = 24 + 22 + 68, 24 + 22 + 68  # without title, with short names
    colours = np.asarray(page)
    pick = lambda row, column: colours[top + row * side + 4, left + column * side + 4]  # noqa: E731
    return [["#" + bytes(pick(row, column)).hex() for column in range(count)] for row in range(count)]


def test_a_cell_has_the_colour_of_its_share() -> None:
    assert cells(draw_confusion(MATRIX, PETS), 3) == [
        [shade(0.8, right=True), shade(0.2, right=False), "#ffffff"],
        ["#ffffff", shade(0.5, right=True), shade(0.5, right=False)],
        ["#ffffff", "#ffffff", "#ffffff"],
    ]


def test_colours_run_from_white_to_full_by_the_square_root() -> None:
    assert shade(0, right=True) == shade(0, right=False) == "#ffffff"
    assert (shade(1, right=True), shade(1, right=False)) == ("#0072b2", "#d55e00")
    assert shade(0.25, right=True) == "#80b8d8"  # half-way


def test_counts_names_and_recall_are_written(written: list[str]) -> None:
    draw_confusion(MATRIX, PETS, title="Pets")
    assert [text for text in written if text.isdigit()] == ["8", "2", "5", "5"]  # no zeros
    assert written[0] == "Pets"
    assert written.count("rabbit") == 2
    assert {"80.0% of 10", "50.0% of 10", "no pictures", "true", "predicted"} <= set(written)


def test_of_many_classes_the_most_mistaken_are_drawn(written: list[str]) -> None:
    matrix = np.diag(np.full(100, 30))
    for step in range(9):  # classes 90..98 are taken for the next
        matrix[90 + step, 91 + step] = 20 - step
    matrix[3, 50] = 40
    page = draw_confusion(matrix, [f"c{n}" for n in range(100)])
    assert "20 of 100 classes: those most often mistaken" in written
    names = [text for text in dict.fromkeys(written) if text.startswith("c") and text[1:].isdigit()]
    assert names == [f"c{n}" for n in (*range(9), 50, *range(90, 100))]  # both sides of each mistake, then the first
    sentences = [text for text in written if " taken for " in text]
    assert sentences[:2] == ["c3 taken for c50", "c90 taken for c91"]
    assert max(page.size) < 1800


def test_without_mistakes_there_is_no_list(written: list[str]) -> None:
    draw_confusion(np.eye(30, dtype=int), [str(n) for n in range(30)])
    assert not [text for text in written if "taken for" in text or "frequent" in text]


@pytest.mark.parametrize("count", [1, 2, 20, 1000])
def test_every_number_of_classes_can_be_drawn(count: int) -> None:
    page = draw_confusion(np.eye(count, dtype=int) * 123_456, ["a very long name of a class\n" * 3] * count)
    assert max(page.size) < 1800


def test_the_most_confused_come_first() -> None:
    assert most_confused(MATRIX, PETS) == [
        Confusion("dog", "rabbit", 5, 0.5),
        Confusion("cat", "dog", 2, 0.2),
    ]
    assert most_confused(MATRIX, PETS, 1) == [Confusion("dog", "rabbit", 5, 0.5)]
    equal = np.array([[90, 10, 0], [0, 0, 10], [0, 0, 1]])
    assert most_confused(equal, PETS, 1)[0].true == "dog"  # equally many, but all of them
    assert most_confused(np.eye(3, dtype=int), PETS) == []


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((3, 2), dtype=int), "shape"),
        (np.zeros((2, 2), dtype=int), "for 3 classes"),
        (np.eye(3), "not normalised"),
        (-np.eye(3, dtype=int), "counts"),
    ],
)
def test_what_is_no_confusion_matrix_is_named(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_confusion(matrix, PETS)
