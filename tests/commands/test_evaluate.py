"""``nexus evaluate`` on folders of photographs, in Python and on the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

import nexus
from nexus.errors import ConfigError, ImageError, InputError, MissingDependencyError
from nexus.models.base import NexusModule
from nexus.models.loading import load_model

Command = Callable[..., tuple[int, str, str]]

SIZES = ("--sizes", "56", "--sizes", "28")

CLASSES = {
    "castles": ("chambord.jpg", "DSC_1187.jpg"),
    "hoofed": ("giraffe.jpg", "alpaca.jpg"),
    "primates": ("gibbon.jpg", "gibbon-cropped.jpg"),
}


@pytest.fixture
def data(folder: Path, tmp_path: Path) -> Path:
    """A folder with `train` and `val`; each has one small photograph of each class, and `train` one more of castles."""
    root = tmp_path / "data"
    for name, (first, second) in CLASSES.items():
        for part, photo in (("train", first), ("val", second)):
            (root / part / name).mkdir(parents=True)
            shutil.copy(folder / photo, root / part / name / photo)
    return root


@pytest.fixture
def classifier(model: str, tmp_path: Path) -> str:
    """The folder of the tiny model with a head on the three classes."""
    trained = load_model(model)
    torch.manual_seed(0)
    trained.head = torch.nn.Linear(32, 3)
    trained.labels = tuple(CLASSES)
    return str(trained.save_pretrained(tmp_path / "run"))


def test_the_part_val_is_scored(classifier: str, data: Path) -> None:
    found = nexus.evaluate(classifier, str(data), engine="eager")
    assert (found.count, found.multi_label) == (3, False)
    assert found.data == str(data / "val")
    own = nexus.load(classifier, engine="eager").classify([data / "val" / n / two for n, (_, two) in CLASSES.items()])
    right = [one.predictions[0].label == name for one, name in zip(own, CLASSES, strict=True)]
    assert found.top1 == pytest.approx(sum(right) / 3)
    assert nexus.evaluate(classifier, str(data / "train"), engine="eager").count == 3
    assert nexus.evaluate(classifier, str(data), split="train", engine="eager").count == 3


def test_a_report_is_written(classifier: str, data: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "report"
    code, said, error = command("evaluate", classifier, data / "val", "--flip", *SIZES, "-o", out)
    assert code == 0, error
    assert said.startswith("run (head) on ")
    for part in ("top-1", "calibration: ECE", "WORST CLASSES", "worst mistakes:", f"wrote {out / 'report.json'}"):
        assert part in said
    names = ["confusion.png", "mistakes.png", "reliability.png", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names[:3]:
        with Image.open(out / name) as picture:
            assert min(picture.size) > 100
    report = json.loads((out / "report.json").read_text())
    assert report["count"] == 3
    assert [Path(file).name for file in report["files"]] == [
        "report.json",
        "confusion.png",
        "reliability.png",
        names[1],
    ]
    code, said, _ = command("evaluate", classifier, data / "val", "--flip", *SIZES, "--json")
    again = json.loads(said)
    assert {key: again[key] for key in again if key not in ("files", "seconds", "engine")} == {
        key: report[key] for key in report if key not in ("files", "seconds", "engine")
    }


@pytest.mark.parametrize("protocol", ["knn", "linear"])
def test_a_protocol_needs_no_head(model: str, data: Path, protocol: str, command: Command) -> None:
    code, said, error = command("evaluate", model, data, "--protocol", protocol)
    assert code == 0, error
    assert f"{Path(model).name} ({protocol}) on {data / 'val'}: 3 pictures" in said
    assert "SETTING" in said


def test_what_is_learned_from_may_be_elsewhere(model: str, data: Path) -> None:
    given = nexus.evaluate(model, str(data / "val"), protocol="knn", train=str(data / "train"))
    found = nexus.evaluate(model, str(data), protocol="knn", split="val")
    assert given.settings == found.settings
    assert [one.source for one in given.mistakes] == [one.source for one in found.mistakes]


def test_what_cannot_be_read_is_named(classifier: str, data: Path, command: Command) -> None:
    bad = data / "val" / "hoofed" / "bad.jpg"
    bad.write_bytes(b"no picture")
    code, said, error = command("evaluate", classifier, data, "--engine", "eager")
    assert (code, "3 pictures" in said) == (0, True)
    assert str(bad) in error
    for protocol in ("head", "knn"):
        with pytest.raises(ImageError, match=r"bad\.jpg"):
            nexus.evaluate(classifier, str(data), protocol=protocol, engine="eager", strict=True)


def test_predictors_and_data_in_memory_are_taken(classifier: str, data: Path) -> None:
    predictor = nexus.load(classifier, engine="eager")
    paths = [data / "val" / name / two for name, (_, two) in CLASSES.items()]
    assert nexus.evaluate(predictor, (paths, list(CLASSES))).top1 == nexus.evaluate(predictor, data).top1
    assert isinstance(predictor.model, NexusModule)
    assert nexus.evaluate(predictor.model, data, engine="eager", temperature=True).temperature is not None


def test_what_makes_no_sense_is_refused(
    model: str, classifier: str, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    val = str(data / "val")
    with pytest.raises(ConfigError, match="flip = True: the protocol knn has no such option"):
        nexus.evaluate(model, str(data), protocol="knn", flip=True)
    with pytest.raises(ConfigError, match=r"train = .*: the protocol head has no such option"):
        nexus.evaluate(classifier, val, train=val)
    with pytest.raises(ConfigError, match="size = 28: say it in sizes"):
        nexus.evaluate(classifier, val, size=28, sizes=(56,))
    for where, split in ((val, None), (str(data), "train")):
        with pytest.raises(ConfigError, match="train: the protocol linear learns from other pictures"):
            nexus.evaluate(model, where, protocol="linear", split=split)
    with pytest.raises(InputError, match="no classifier head"):
        nexus.evaluate(model, val)
    (data / "val" / "castles").rename(data / "val" / "castle")
    with pytest.raises(InputError, match=r"'castle'.*did you mean 'castles'"):
        nexus.evaluate(classifier, val)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"nexus-vision\[train\]"):
        nexus.evaluate(classifier, val, out=str(tmp_path / "out"))
