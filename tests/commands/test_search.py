from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nexus
from nexus.errors import ConfigError, ImageError, InputError

Command = Callable[..., tuple[int, str, str]]


def test_a_picture_finds_itself_and_its_twin_first(folder: Path, collection: str, model: str) -> None:
    report = nexus.search(collection, str(folder / "chambord.jpg"), k=3, model=model)
    (result,) = report.results
    assert {Path(hit.path).name for hit in result.hits[:2]} == {"chambord.jpg", "DSC_1187.jpg"}
    assert result.hits[0].cosine == pytest.approx(1, abs=1e-4)
    assert [hit.cosine for hit in result.hits] == sorted((hit.cosine for hit in result.hits), reverse=True)


def test_cosine_and_distance_are_those_of_the_features(folder: Path, collection: str, model: str) -> None:
    predictor = nexus.load(model)
    query, *hits = predictor.embed([str(folder / "gibbon.jpg"), str(folder / "giraffe.jpg")]).vectors
    found = nexus.search(collection, str(folder / "gibbon.jpg"), k=7, model=predictor).results[0].hits
    hit = next(hit for hit in found if hit.path.endswith("giraffe.jpg"))
    cosine = query @ hits[0] / np.linalg.norm(query) / np.linalg.norm(hits[0])
    assert hit.cosine == pytest.approx(cosine, abs=1e-4)
    assert hit.l2 == pytest.approx(np.linalg.norm(query - hits[0]), abs=1e-3)


def test_the_stored_model_is_the_default(folder: Path, collection: str) -> None:
    assert nexus.search(collection, str(folder / "gibbon.jpg"), k=1).results[0].hits[0].path.endswith("gibbon.jpg")


def test_several_queries_arrays_and_bad_ones(folder: Path, collection: str) -> None:
    (folder / "bad.png").write_bytes(b"?")
    with Image.open(folder / "giraffe.jpg") as image:
        array = np.asarray(image)
    report = nexus.search(collection, [str(folder / "gibbon.jpg"), str(folder / "bad.png"), array], k=1)
    assert [Path(result.hits[0].path).name for result in report.results] == ["gibbon.jpg", "giraffe.jpg"]
    assert [Path(skipped.source).name for skipped in report.skipped] == ["bad.png"]
    with pytest.raises(InputError, match="no query could be read"):
        nexus.search(collection, str(folder / "bad.png"))


def test_a_region_of_a_picture(folder: Path, collection: str, tmp_path: Path) -> None:
    canvas = Image.new("RGB", (400, 300))
    with Image.open(folder / "giraffe.jpg") as image:
        canvas.paste(image, (40, 60))
    canvas.save(tmp_path / "canvas.png")
    whole = nexus.search(collection, str(tmp_path / "canvas.png"), k=1).results[0].hits[0]
    part = nexus.search(collection, str(tmp_path / "canvas.png"), k=1, region=(40, 60, 160, 120)).results[0].hits[0]
    assert part.path.endswith("giraffe.jpg")
    assert part.cosine > max(0.999, whole.cosine)
    with pytest.raises(InputError, match=r"is not inside .*canvas\.png, which is 400x300"):
        nexus.search(collection, str(tmp_path / "canvas.png"), region=(300, 0, 160, 120))


def test_a_region_of_a_picture_that_cannot_be_read(folder: Path, collection: str) -> None:
    (bad := folder / "bad.png").write_bytes(b"?")
    report = nexus.search(collection, [str(bad), str(folder / "gibbon.jpg")], k=1, region=(0, 0, 80, 60))
    assert [Path(result.query).name for result in report.results] == ["gibbon.jpg"]
    assert [Path(skipped.source).name for skipped in report.skipped] == ["bad.png"]
    with pytest.raises(ImageError, match=r"bad\.png"):
        nexus.search(collection, str(bad), region=(0, 0, 80, 60), strict=True)


def test_what_is_wrong_is_said_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match="k"):
        nexus.search("nowhere.nexus", "x.jpg", k=0)
    with pytest.raises(InputError, match="text number 2 is empty"):
        nexus.search("nowhere.nexus", text=["a bus", " "])


def test_only_within_a_folder(folder: Path, collection: str) -> None:
    report = nexus.search(collection, str(folder / "gibbon.jpg"), within="gi*.jpg", k=9)
    assert {Path(hit.path).name for hit in report.results[0].hits} == {
        "gibbon.jpg",
        "gibbon-cropped.jpg",
        "giraffe.jpg",
    }


def test_a_plain_folder_is_indexed_on_the_fly(folder: Path, model: str) -> None:
    first = nexus.search(str(folder), str(folder / "gibbon.jpg"), k=2, model=model)
    assert first.results[0].hits[0].path == str(folder / "gibbon.jpg")
    (folder / "gibbon.jpg").rename(folder / "renamed.jpg")
    second = nexus.search(str(folder), str(folder / "renamed.jpg"), k=1, model=model)
    assert second.results[0].hits[0].path == str(folder / "renamed.jpg")


def test_the_command_prints_what_the_function_returns(folder: Path, collection: str, command: Command) -> None:
    query = str(folder / "gibbon.jpg")
    code, said, error = command("search", collection, query, "-k", "2")
    assert code == 0
    assert "skipped" not in error
    hits = nexus.search(collection, query, k=2).results[0].hits
    assert said.splitlines()[1] == f"1. {query} (similarity: {hits[0].cosine:.4f}, distance: {hits[0].l2:.4f})"
    code, said, _ = command("search", collection, query, "-k", "2", "--json")
    assert json.loads(said)["results"][0]["hits"][1]["path"] == hits[1].path


def test_sheets_are_drawn(folder: Path, collection: str, tmp_path: Path) -> None:
    sheet, page = tmp_path / "sheet.png", tmp_path / "page.html"
    report = nexus.search(collection, str(folder / "gibbon.jpg"), sheet=str(sheet), page=str(page))
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert image.width > 300
    assert "gibbon-cropped.jpg" in page.read_text()
    assert report.sheet == str(sheet)


def test_what_is_no_collection_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.nexus is neither a collection nor a folder of pictures"):
        nexus.search(str(tmp_path / "nowhere.nexus"), "x.jpg")
