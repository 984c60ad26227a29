from __future__ import annotations

import os
from pathlib import Path

import pytest

from nexus.engines import artefacts


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "MOST_BYTES", 250)
    places = [tmp_path / f"{number:032x}.blob" for number in range(4)]
    mine = tmp_path / "photo.blob"
    mine.write_bytes(b"x" * 1000)
    for age, place in enumerate(places[:3]):
        artefacts.keep(place, b"x" * 80)
        os.utime(place, (age, age))
    assert artefacts.kept(places[0]) == b"x" * 80  # used, so no longer the oldest
    artefacts.keep(places[3], b"x" * 80)
    assert [place.exists() for place in places] == [True, False, True, True]
    assert mine.exists(), "only what engines keep is ever removed"
    artefacts.keep(places[1], b"x" * 1000)
    assert [place.exists() for place in places] == [False, True, False, False]


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert artefacts.kept(None) is None
    assert artefacts.kept(tmp_path / "absent") is None
