from __future__ import annotations

from nexus.results.text import aligned, printable


def test_names_for_people_stay_on_one_line() -> None:
    assert printable("a\nb\udce9.jpg") == "a\\nb\\xe9.jpg"
    assert printable("Übergröße 猫.jpg") == "Übergröße 猫.jpg"


def test_columns_are_aligned() -> None:
    assert aligned([("a", "b"), ("long", "c")]) == ["a     b", "long  c"]
