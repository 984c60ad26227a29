from __future__ import annotations

import base64
import json
import os

from hypothesis import given
from hypothesis import strategies as st

from nexus.results import Skipped, aligned, printable


@given(st.binary(min_size=1).filter(lambda raw: b"\0" not in raw))
def test_any_file_name_survives_json(raw: bytes) -> None:
    said = json.loads(Skipped(source=os.fsdecode(raw), reason="x").to_json())["source"]
    assert (base64.b64decode(said["base64"]) if isinstance(said, dict) else said.encode()) == raw


def test_names_for_people_stay_on_one_line() -> None:
    assert printable("a\nb\udce9.jpg") == "a\\nb\\xe9.jpg"
    assert printable("Übergröße 猫.jpg") == "Übergröße 猫.jpg"


def test_html_is_escaped() -> None:
    assert "<script>" not in Skipped(source="<script>", reason="&")._repr_html_()


def test_columns_are_aligned() -> None:
    assert aligned([("a", "b"), ("long", "c")]) == ["a     b", "long  c"]
