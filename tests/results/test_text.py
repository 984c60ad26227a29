from __future__ import annotations

import pytest

from nexus.results.text import aligned, duration, printable


def test_names_for_people_stay_on_one_line() -> None:
    assert printable("a\nb\udce9.jpg") == "a\\nb\\xe9.jpg"
    assert printable("Übergröße 猫.jpg") == "Übergröße 猫.jpg"


def test_columns_are_aligned() -> None:
    assert aligned([("a", "b"), ("long", "c")]) == ["a     b", "long  c"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (0.042, "0.042 s"),
        (9.4, "9.4 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (150, "2.5 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (26.4 * 3600, "26 h"),
        (300 * 3600, "300 h"),
    ],
)
def test_times_are_told_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert duration(seconds) == said
