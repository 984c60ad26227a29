"""What the README says about speed is what the benchmarks measured: after a new run, this test prints the new text."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

MEASURED = """
Measured on {cores} cores of an {cpu} with {has}; [the tables](benchmarks/README.md) say how, and `make bench` measures
your machine.
"""
AGAINST_RIVALS = """
- {images} photographs of 1920x1280 to an index, DINOv2 ViT-S/14: {script:.2f} times as many images per second as the
usual script with transformers, {timm:.2f} times as many as timm with two loading workers. Cosine with full decoding and
eager fp32: at least {lowest:.4f}.
"""
AGAINST_ENGINE = "- The whole way from files to index runs at {share:.2f} of the bare engine's speed."
MEMORY = "- {many:,} pictures take {growth:.2f} times the memory of {few:,}{elsewhere}."


def results(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))


def rows(name: str, title: str) -> list[dict[str, Any]]:
    """The rows of the table whose title begins so."""
    (table,) = (table for table in results(name)["tables"] if table["title"].startswith(title))
    return table["rows"]


def stated() -> str:
    """The README's section, out of the result files."""
    machine, agreement = results("index")["machine"], rows("index", "Cosine")[0]
    units = {"avx512_bf16": "bf16 instructions", "amx_bf16": "AMX"}
    has = " and ".join(name for flag, name in units.items() if flag in machine["flags"])
    has += "" if "amx_bf16" in machine["flags"] else " but no AMX"
    _, few, many = rows("startup", "Memory")
    other = results("startup")["machine"]["cpu"]
    elsewhere = "" if other == machine["cpu"] else f" (on an {other})"
    parts = [
        MEASURED.format(cores={2: "two"}.get(machine["cores"], machine["cores"]), cpu=machine["cpu"], has=has),
        AGAINST_RIVALS.format(
            images=f"{agreement['images']:,}",
            script=rows("index", "Beside the usual script (transformers); engine remembered")[1]["times as fast"],
            timm=rows("index", "Beside timm, DataLoader of two workers; engine remembered")[1]["times as fast"],
            lowest=agreement["lowest"] - 5e-5,  # rounded down: "at least"
        ),
        AGAINST_ENGINE.format(share=rows("index", "Beside the bare engine")[1]["times as fast"]),
        MEMORY.format(
            many=many["images"], few=few["images"], growth=many["peak MB"] / few["peak MB"], elsewhere=elsewhere
        ),
    ]
    first, *points = (
        textwrap.fill(" ".join(part.split()), 120, subsequent_indent="  " * part.strip().startswith("-"))
        for part in parts
    )
    return "\n\n".join([first, "\n".join(points)])


def test_the_readme_states_what_was_measured() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"^## How fast\n\n(.*?)\n\n## ", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert found[1] == stated(), f"README.md, How fast: put this there\n\n{stated()}"
