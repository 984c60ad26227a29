"""``nexus train``: three ways to a model for one's own classes, killed and resumed, and what is said of bad input."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nexus
from nexus.errors import ConfigError, InputError, MissingDependencyError, TrainingError
from nexus.training import loggers

Command = Callable[..., tuple[int, str, str]]
Start = Callable[..., "object"]

SHORT = ("--engine", "eager", "--workers", "1", "--set", "precision=fp32", "--set", "checkpoint_minutes=0")
"""Of runs that tests compare: exact numbers, and a checkpoint after every step."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve training and six validation pictures of two classes: the one reddish, the other bluish."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 6)):
        for number in range(count):
            name = ("blue", "red")[number % 2]
            pixels = rng.integers(0, 150, (60, 64, 3))
            pixels[:, :, 0 if name == "red" else 2] += 80
            (tmp_path / "data" / part / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / part / name / f"{number}.png")
    return tmp_path / "data"


def records(run: Path, kind: str = "step") -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = ("images_per_second", "memory")
    return [{k: v for k, v in line.items() if k not in timed} for line in lines if line["kind"] == kind]


@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        ("probe", ()),
        ("finetune", ("--epochs", "6", "--lr", "2e-3", "--set", "schedule.warmup_epochs=1", "--track", "none")),
    ],
)
def test_a_trained_model_works_in_every_other_verb(
    command: Command, data: Path, model: str, tmp_path: Path, mode: str, flags: tuple[str, ...]
) -> None:
    run = tmp_path / "run"
    code, out, err = command("train", data, "--mode", mode, "--model", model, "--out", run, *flags, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["classes"] == ["blue", "red"]
    assert (result["images"], result["evaluation"]["count"]) == (12, 6)
    assert result["evaluation"]["top1"] == 1.0
    assert result["evaluation"]["model"] == run.name
    assert f"classes ({data.name})" in (run / "README.md").read_text()
    written = {path.name for path in run.iterdir()}
    assert written >= {"config.json", "model.safetensors", "train.json", "metrics.jsonl", "README.md", "report.json"}
    assert written >= {"confusion.png", "reliability.png"} | ({"curves.png"} if mode == "finetune" else set())
    said = nexus.classify(str(data / "val"), model=str(run), engine="eager")
    assert all(Path(one.source).parent.name == one.predictions[0].label for one in said.pictures)
    assert nexus.embed(str(data / "val"), model=str(run), engine="eager").vectors.shape == (6, 32)


def test_from_random_weights(command: Command, data: Path, tmp_path: Path) -> None:
    small = '{"patch_size": 14, "embed_dim": 16, "num_layers": 1, "num_heads": 2, "image_size": 28}'
    line = ("train", data, "--mode", "scratch", "--model", "vit_base_patch16_224.augreg_in21k", "--size", "28")
    flags = ("--epochs", "2", "--set", f"model={small}", "--set", "schedule.warmup_epochs=0", "--track", "none")
    code, out, err = command(*line, *flags, *SHORT, "--out", tmp_path / "run")
    assert code == 0, err
    assert "underfit" in err
    assert "without warm-up" in err
    assert "nexus classify" in out
    assert nexus.load(tmp_path / "run").model.config.embed_dim == 16


def test_a_killed_run_continues_bit_for_bit(start: Start, command: Command, data: Path, model: str) -> None:
    flags = ("--mode", "finetune", "--model", model, "--epochs", "3", "--batch-size", "4", "--track", "none", *SHORT)
    rich = ("--set", "augment.policy=trivialaugment", "--set", "mix={}", "--set", "ema={}")
    line = ("train", data, *flags, "--set", "schedule.warmup_epochs=1", *rich)
    whole, broken = data / ".." / "whole", data / ".." / "broken"
    assert command(*line, "--out", whole)[0] == 0
    process = start(*line, "--out", broken)
    while process.poll() is None and not (broken / "metrics.jsonl").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    process.kill()
    process.communicate()
    assert command(*line, "--out", broken)[0] == 0
    assert records(broken) == records(whole)
    assert records(broken, "epoch") == records(whole, "epoch")
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_dry_run_says_what_it_would_take(command: Command, data: Path, model: str, tmp_path: Path) -> None:
    code, out, err = command("train", data, "--model", model, "--dry-run", "--out", tmp_path / "run", *SHORT)
    assert code == 0, err
    for said in (
        "optimizer.layer_decay = 0.75",
        "trained",
        " s an epoch of ",
        "memory:",
        "on 12 pictures of 2 classes",
    ):
        assert said in out
    assert not (tmp_path / "run").exists()


def test_settings_come_from_a_file_and_single_ones_win(
    command: Command, data: Path, model: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('batch_size = 4\nlr = 1e-5\n[optimizer]\nname = "sgd"\nmomentum = 0.5\n')
    line = ("train", data, "--model", model, "--dry-run", "--config", file, *SHORT)
    code, out, err = command(*line, "--set", "optimizer.momentum=0.8", "--lr", "1e-4")
    assert code == 0, err
    for said in ("batch_size = 4", "lr = 0.0001", "optimizer.name = sgd", "optimizer.momentum = 0.8"):
        assert said in out


def test_the_folder_says_what_was_decided_for_the_user(data: Path, model: str, tmp_path: Path) -> None:
    nexus.train(str(data), model=model, out=str(tmp_path / "run"), epochs=1, engine="eager", track=["none"])
    config = json.loads((tmp_path / "run" / "train.json").read_text())["config"]
    assert config["precision"] in ("fp32", "bf16")
    assert config["channels_last"] is False


def test_a_seed_of_a_file_is_kept_unless_the_flag_names_another(data: Path, model: str, tmp_path: Path) -> None:
    def seed(**flags: int) -> object:
        planned = nexus.train(str(data), model=model, config={"seed": 3}, dry_run=True, out=str(tmp_path), **flags)
        return planned.config["seed"]

    assert (seed(), seed(seed=0)) == (3, 0)


def test_loggers_are_closed_when_a_run_fails(
    data: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[object] = []

    class Service:
        def __init__(self, run_folder: Path, config: object) -> None: ...

        def log(self, step: int, values: Mapping[str, float]) -> None:
            heard.append((step, "loss" in values))

        def close(self) -> None:
            heard.append("closed")

    monkeypatch.setitem(loggers.LOGGERS, "service", Service)
    diverging = ("optimizer.name=sgd", "schedule.warmup_epochs=0", "batch_size=4", "clip_grad=null")
    with pytest.raises(TrainingError, match="loss is"):
        nexus.train(str(data), model=model, out=str(tmp_path / "run"), lr=1e30, settings=diverging, track=["service"])
    assert heard == [(1, True), "closed"]


@pytest.mark.parametrize("mode", ["probe", "finetune"])
def test_a_missing_library_is_told_before_the_work(
    data: Path, model: str, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"nexus-vision\[train\]"):
        nexus.train(str(data), mode=mode, model=model, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_another_run_in_the_folder_is_refused(data: Path, model: str, tmp_path: Path) -> None:
    nexus.train(str(data), mode="probe", model=model, out=str(tmp_path / "run"))
    with pytest.raises(ConfigError, match=r"another|other settings.*name a new folder"):
        nexus.train(str(data), mode="probe", model=model, out=str(tmp_path / "run"), lr=0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settings": ["optimizer.nam=sgd"]}, r"unknown key 'optimizer\.nam' \(did you mean 'optimizer\.name'\?"),
        ({"settings": ["lr"]}, "NAME=VALUE"),
        ({"config": "absent.toml"}, r"absent\.toml: cannot be read"),
        ({"mode": "scratch"}, "say model="),
        ({"settings": ['freeze=["blocs.0"]']}, "did you mean"),
    ],
)
def test_mistakes_are_named(data: Path, model: str, options: dict[str, object], said: str, tmp_path: Path) -> None:
    start = {} if options.get("mode") == "scratch" else {"model": model}
    with pytest.raises(ConfigError, match=said):
        nexus.train(str(data), out=str(tmp_path / "run"), **start, **options)


def test_a_table_of_other_columns_and_a_choice_of_classes(
    command: Command, data: Path, model: str, tmp_path: Path
) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(data.glob("*/*/*.png"))]
    rows += [f"{data / 'train' / 'red' / '1.png'},other"] * 2
    table = tmp_path / "herbarium.csv"
    table.write_text("\n".join(["photo,species", *rows]))
    columns = ("--image", "photo", "--label", "species")
    line = ("train", table, "--mode", "probe", "--model", model, "--out", tmp_path / "run", "--json")
    code, _, err = command(*line)
    assert code != 0
    assert "it has 'photo', 'species': say --image" in err
    code, out, err = command(*line, *columns, "--classes", "red,blue")
    assert code == 0, err
    assert json.loads(out)["classes"] == ["red", "blue"]
    code, out, err = command("evaluate", tmp_path / "run", table, *columns, "--json")
    assert code != 0
    assert "other" in err
    table.write_text("\n".join(["photo,species", *rows[:-2]]))
    code, out, err = command("evaluate", tmp_path / "run", table, *columns, "--json")
    assert code == 0, err
    assert json.loads(out)["count"] == 18


def test_a_class_that_is_only_validated_is_refused(data: Path, model: str, tmp_path: Path) -> None:
    (data / "val" / "green").mkdir()
    (data / "val" / "red" / "1.png").rename(data / "val" / "green" / "1.png")
    with pytest.raises(InputError, match="green"):
        nexus.train(str(data), model=model, out=str(tmp_path / "run"))


def test_a_teacher_labels_pictures_that_have_none(command: Command, data: Path, model: str, tmp_path: Path) -> None:
    teacher, more = tmp_path / "teacher", tmp_path / "more"
    nexus.train(str(data), mode="probe", model=model, out=str(teacher))
    more.mkdir()
    for number, picture in enumerate(sorted((data / "train").rglob("*.png"))[:4]):
        picture.rename(more / f"{number}.png")
    line = ("train", data, "--model", model, "--unlabelled", more, "--epochs", "1", "--track", "none", *SHORT)
    code, _, err = command(*line, "--out", tmp_path / "alone")
    assert code == 1
    assert "4 pictures have no label" in err
    code, out, err = command(*line, "--set", f"teacher={teacher}", "--out", tmp_path / "taught", "--json")
    assert code == 0, err
    assert json.loads(out)["images"] == 12
