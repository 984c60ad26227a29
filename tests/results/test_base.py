from __future__ import annotations

import base64
import json
import os

from hypothesis import given
from hypothesis import strategies as st

from nexus.results import Skipped


@given(st.binary(min_size=1).filter(lambda raw: b"\0" not in raw))
def test_any_file_name_survives_json(raw: bytes) -> None:
    said = json.loads(Skipped(source=os.fsdecode(raw), reason="x").to_json())["source"]
    assert (base64.b64decode(said["base64"]) if isinstance(said, dict) else said.encode()) == raw


def test_html_is_escaped() -> None:
    assert "<script>" not in Skipped(source="<script>", reason="&")._repr_html_()
