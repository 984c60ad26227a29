from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import nexus
from nexus.assets import PHOTOS

Command = Callable[..., tuple[int, str, str]]

TRUTH = json.loads((PHOTOS / "labels.json").read_text())
TWINS = json.loads((PHOTOS / "duplicates.json").read_text())


@pytest.mark.registry
def test_the_demo_on_real_weights(tmp_path: Path, command: Command) -> None:
    code, said, error = command("demo", "--out", tmp_path / "demo", "--mirror")
    assert code == 0
    assert said.splitlines()[-1] == f"look at {tmp_path / 'demo' / 'contact-sheet.png'}"
    steps = ("model", "index", "search", "dedupe", "cluster", "classify", "visualize", "contact sheet")
    assert all(any(line.startswith(f"{step}:") for line in error.splitlines()) for step in steps)
    assert "28 pictures" in error
    assert "2 exact and 2 near groups" in error
    assert "10 of 10 pictures labelled right" in error
    for name in ("contact-sheet.png", "pca.png"):
        with Image.open(tmp_path / "demo" / name) as image:
            assert min(image.size) > 500

    found = nexus.dedupe(str(tmp_path / "demo" / "photos.nexus"))
    assert {frozenset(Path(p).name for p in g.paths) for g in found.exact} == {
        frozenset(pair) for pair in TWINS["exact"]
    }
    assert {frozenset(Path(p).name for p in g.paths) for g in found.near} == {frozenset(pair) for pair in TWINS["near"]}


@pytest.mark.registry
def test_the_nearest_other_photograph_is_of_the_same_class(tmp_path: Path) -> None:
    copies = {pair[1] for pair in (*TWINS["exact"], *TWINS["near"])}
    originals = [name for name in TRUTH if name not in copies]
    out = str(tmp_path / "photos.nexus")
    predictor = nexus.load("dinov2_vits14", mirror=True)
    nexus.index([str(PHOTOS / name) for name in originals], out=out, model=predictor)
    report = nexus.search(out, [str(PHOTOS / name) for name in originals], k=2, model=predictor)
    right = [TRUTH[Path(r.query).name] == TRUTH[Path(r.hits[1].path).name] for r in report.results]
    assert sum(right) >= 19
    assert len(right) == 20
