"""``nexus anomaly`` on small textures: folders, masks, files, and what it says of what it cannot use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import nexus
from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError, ImageError, InputError, WeightsError
from nexus.models.cv import DINOv2

Command = Callable[..., tuple[int, str, str]]

SIDE = 96
SQUARE = (20, 50, 52, 82)


def texture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    stripes = 128 + 60 * np.sin((rows + columns) / 4 + rng.uniform(0, 6.3))
    return Image.fromarray((stripes[..., None] + rng.normal(scale=8, size=(SIDE, SIDE, 3))).clip(0, 255).astype("u1"))


def damaged(seed: int) -> Image.Image:
    picture = texture(seed)
    ImageDraw.Draw(picture).rectangle(SQUARE, "#ff2010")
    return picture


@pytest.fixture(scope="module")
def ready(model: str) -> Iterator[Predictor]:
    """A predictor that sees 8x8 patches of whole pictures; it keeps its decoding process from test to test."""
    spec = {"resize": (112, 112), "crop": None}
    with Predictor(model, engine="eager", workers=1, preprocess=spec) as predictor:
        yield predictor


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A category in the layout of MVTec AD."""
    root = tmp_path / "stripes"
    for number in range(6):
        write(root / f"train/good/{number:03}.png", texture(number))
    for number in range(3):
        write(root / f"test/good/{number:03}.png", texture(20 + number))
        write(root / f"test/spot/{number:03}.png", damaged(30 + number))
        mask = Image.new("L", (SIDE, SIDE))
        ImageDraw.Draw(mask).rectangle(SQUARE, 255)
        write(root / f"ground_truth/spot/{number:03}_mask.png", mask)
    return root


def write(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def kinds(result: object) -> dict[str, bool]:
    return {f"{Path(one.source).parent.name}/{Path(one.source).name}": one.odd for one in result.pictures}  # type: ignore[attr-defined]


def test_a_category_of_mvtec_is_recognised(root: Path, model: str, ready: Predictor, command: Command) -> None:
    found = nexus.anomaly(str(root), model=ready)
    assert kinds(found) == {f"{kind}/{n:03}.png": kind == "spot" for kind in ("good", "spot") for n in range(3)}
    scores = [one.score for one in found.pictures]
    assert scores == sorted(scores, reverse=True)
    assert (found.normals, found.patches, found.calibrated) == (6, 38, 6)
    assert found.metrics is not None
    assert (found.metrics.pictures, found.metrics.odd, found.metrics.image_auroc) == (6, 3, 1)
    assert found.metrics.pixel_auroc > 0.9
    assert found.metrics.aupro > 0.7
    assert nexus.anomaly(str(root / "test"), model=ready) == found
    code, said, _ = command("anomaly", str(root), "--model", model, "--size", "112")
    assert code == 0
    assert "3 of 6 pictures are odd at threshold" in said
    assert "3 of 6 are known to be odd: AUROC 1.0000" in said
    assert "AUPRO" in said


def test_folders_without_masks(root: Path, ready: Predictor, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    for number, picture in enumerate((texture(40), damaged(41))):
        picture.save(tmp_path / f"new/{number}.png")
    (tmp_path / "new/bad.png").write_bytes(b"nothing")
    result = nexus.anomaly(str(tmp_path / "new"), normal=str(root / "train/good"), model=ready)
    found = json.loads(result.to_json())
    assert [(Path(one["source"]).name, one["odd"], one["kind"]) for one in found["pictures"]] == [
        ("1.png", True, None),
        ("0.png", False, None),
    ]
    assert found["metrics"] is None
    assert [Path(one["source"]).name for one in found["skipped"]] == ["bad.png"]
    high = nexus.anomaly(str(tmp_path / "new"), normal=root / "train/good", threshold=1e6, model=ready)
    assert not any(one.odd for one in high.pictures)
    assert high.calibrated == 0
    with pytest.raises(ImageError, match=r"bad\.png"):
        nexus.anomaly(str(tmp_path / "new"), normal=root / "train/good", strict=True, model=ready)


def test_maps_and_sheets_are_drawn(root: Path, ready: Predictor, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        damaged(41).save(tmp_path / name)
    pictures = [*map(str, sorted((root / "test").rglob("*.png"))), str(tmp_path / "a.jpg"), str(tmp_path / "a.png")]
    out = {name: str(tmp_path / name) for name in ("sheet.png", "page.html")}
    found = nexus.anomaly(
        pictures, normal=str(root / "train/good"), model=ready, heatmaps=str(tmp_path / "maps"),
        sheet=out["sheet.png"], page=out["page.html"],
    )  # fmt: skip
    drawn = {Path(one.heatmap).relative_to(tmp_path / "maps").as_posix() for one in found.pictures}  # type: ignore[arg-type]
    expected = {f"stripes/test/{kind}/{n:03}.png" for kind in ("good", "spot") for n in range(3)}
    assert drawn == expected | {"a.jpg.png", "a.png.png"}
    for one in found.pictures:
        with Image.open(one.heatmap) as image:  # type: ignore[arg-type]
            assert image.width > 700
    with Image.open(out["sheet.png"]) as image:
        assert image.width > 300
    page = Path(out["page.html"]).read_text()
    assert "score" in page
    assert "not odd" in page


def test_a_bank_is_used_again(root: Path, model: str, tmp_path: Path) -> None:
    bank = str(tmp_path / "bank.safetensors")
    how = {"engine": "eager", "workers": 1}
    first = nexus.anomaly(str(root), model=model, size=112, layers="features.1,features.2", save=bank, **how)
    assert first.bank == bank
    again = nexus.anomaly(str(root / "test"), bank=bank, **how)
    assert again.pictures == first.pictures
    assert (again.threshold, again.model) == (first.threshold, model)
    with pytest.raises(ConfigError, match=r"size = 56: .*bank\.safetensors was made with 112"):
        nexus.anomaly(str(root / "test"), bank=bank, size=56)
    with pytest.raises(
        ConfigError, match=r"coreset = 0.5: .* was made with 0.1; leave coreset out, or make a new bank"
    ):
        nexus.anomaly(str(root / "test"), bank=bank, coreset=0.5)
    torch.manual_seed(9)
    other = DINOv2({"image_size": 56, "patch_size": 14, "embed_dim": 32, "num_layers": 3, "num_heads": 2})
    with pytest.raises(WeightsError, match="distances between the two mean nothing"):
        nexus.anomaly(str(root / "test"), bank=bank, model=other)
    with pytest.raises(WeightsError, match="cannot be read as a memory bank"):
        nexus.anomaly(str(root / "test"), bank=str(tmp_path / "none"))


def test_normal_pictures_are_not_compared_with_themselves(root: Path, ready: Predictor) -> None:
    train = root / "train"
    write(train / "odd/1.png", damaged(3))
    found = nexus.anomaly(str(train), normal=str(train / "good"), model=ready)
    assert [Path(one.source).name for one in found.pictures] == ["1.png"]
    assert found.notes == ("6 of the pictures are among the normal ones and were not judged",)


def test_pictures_of_another_shape_are_mentioned(root: Path, ready: Predictor) -> None:
    write(root / "test/good/wide.png", texture(7).resize((SIDE * 2, SIDE)))
    found = nexus.anomaly(str(root), model=ready)
    assert found.notes[0].startswith("1 pictures are not 1.00 times as wide as high")


def test_masks_from_elsewhere(root: Path, ready: Predictor, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    for number in range(2):
        write(flat / f"{number}.png", texture(60 + number) if number else damaged(60))
        mask = Image.new("L", (SIDE, SIDE))
        if not number:
            ImageDraw.Draw(mask).rectangle(SQUARE, 1)
        write(tmp_path / f"masks/{number}_mask.png", mask)
    found = nexus.anomaly(str(flat), normal=str(root / "train/good"), masks=str(tmp_path / "masks"), model=ready)
    assert found.metrics is not None
    assert (found.metrics.odd, found.metrics.image_auroc) == (1, 1)
    Image.new("L", (20, 20)).save(tmp_path / "masks/1_mask.png")
    with pytest.raises(InputError, match=r"1_mask\.png has 20x20 pixels, its picture 96x96: they must be equal"):
        nexus.anomaly(str(flat), normal=str(root / "train/good"), masks=str(tmp_path / "masks"), model=ready)
    (tmp_path / "masks/1_mask.png").unlink()
    with pytest.raises(
        InputError, match=r"1\.png has no mask: there is no 1_mask\.png in .* called 'good', else a black"
    ):
        nexus.anomaly(str(flat), normal=str(root / "train/good"), masks=str(tmp_path / "masks"), model=ready)


def test_what_it_needs(root: Path, ready: Predictor, tmp_path: Path) -> None:
    pictures = str(root / "test/spot")
    with pytest.raises(ConfigError, match=r"say normal= .* or bank="):
        nexus.anomaly(pictures, model=ready)
    with pytest.raises(ConfigError, match="one of them"):
        nexus.anomaly(pictures, normal=pictures, bank="x", model=ready)
    with pytest.raises(InputError, match="two normal pictures or more are needed"):
        nexus.anomaly(pictures, normal=str(root / "train/good/000.png"), model=ready)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no normal picture could be read from"):
        nexus.anomaly(pictures, normal=str(tmp_path / "empty"), model=ready)
    with pytest.raises(InputError, match="no picture could be read from"):
        nexus.anomaly(str(tmp_path / "empty"), normal=str(root / "train/good"), model=ready)
