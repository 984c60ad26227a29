"""The verbs over a collection, end to end on small photographs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import nexus
from nexus.errors import InputError

Command = Callable[..., tuple[int, str, str]]


def base(paths: object) -> set[str]:
    return {os.path.basename(path) for path in paths}  # type: ignore[attr-defined]


def test_dedupe_tells_exact_from_near(folder: Path, collection: str, tmp_path: Path) -> None:
    sheet = tmp_path / "d.png"
    found = nexus.dedupe(collection, cosine=1.0, bits=16, sheet=str(sheet))  # random features are all alike
    assert [base(group.paths) for group in found.exact] == [{"chambord.jpg", "DSC_1187.jpg"}]
    assert {"gibbon.jpg", "gibbon-cropped.jpg"} in [base(group.paths) for group in found.near]
    assert sheet.is_file()
    assert not nexus.dedupe(collection, near=False).near


def test_cluster_organizes_without_deleting(folder: Path, collection: str, tmp_path: Path, command: Command) -> None:
    target = tmp_path / "groups"
    dry = nexus.cluster(collection, k=3, organize=str(target), dry_run=True)
    assert not target.exists()
    assert dry.organized is not None
    assert len(dry.organized.placements) == 7
    nexus.cluster(collection, k=3, organize=str(target))
    assert base(target.rglob("*.jpg")) == base(folder.iterdir())
    code, said, _ = command("cluster", collection, "-k", "2", "--json")
    assert code == 0
    assert sum(len(group["paths"]) for group in json.loads(said)["clusters"]) == 7


def test_recommend_leaves_the_examples_and_their_copies_out(folder: Path, collection: str) -> None:
    found = nexus.recommend(collection, like=[str(folder / "chambord.jpg")], dislike=[str(folder / "giraffe.jpg")])
    assert base(one.path for one in found.recommendations) == {
        "alpaca.jpg",
        "gibbon.jpg",
        "gibbon-cropped.jpg",
        "kingfisher.jpg",
    }
    with pytest.raises(InputError, match="none of the liked pictures could be read"):
        nexus.recommend(collection, like=[str(folder / "missing.jpg")])


def test_copies_names_the_original(folder: Path, collection: str, tmp_path: Path) -> None:
    with Image.open(folder / "kingfisher.jpg") as image:
        image.resize((120, 90)).save(tmp_path / "small.jpg", quality=40)
    Image.effect_noise((160, 120), 80).convert("RGB").save(tmp_path / "innocent.png")
    found = nexus.copies(collection, [str(tmp_path / "small.jpg"), str(tmp_path / "innocent.png")], threshold=0.8)
    guilty, innocent = found.suspects
    assert guilty.matches[0].path.endswith("kingfisher.jpg")
    assert guilty.matches[0].bits <= 6
    assert all(match.bits > 6 for match in innocent.matches)


def test_calibration_says_what_a_threshold_is_worth(folder: Path, collection: str) -> None:
    strict = nexus.copies(collection, str(folder / "gibbon.jpg"), threshold=0.99, calibrate=True).calibration
    loose = nexus.copies(collection, str(folder / "gibbon.jpg"), threshold=0.01, calibrate=True).calibration
    assert strict is not None
    assert loose is not None
    assert strict.false_alarm_rate < loose.false_alarm_rate
    assert all(loose.recall[edit] >= share for edit, share in strict.recall.items())
    assert len(strict.recall) == 8


def test_a_page_escapes_names(folder: Path, model: str, tmp_path: Path) -> None:
    (folder / "giraffe.jpg").rename(folder / "<b>&.jpg")
    page = tmp_path / "page.html"
    nexus.cluster(str(folder), k=2, model=model, page=str(page))
    assert "<b>&.jpg" not in page.read_text()
    assert "&lt;b&gt;&amp;.jpg" in page.read_text()
