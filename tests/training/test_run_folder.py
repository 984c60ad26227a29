"""A run's folder is whole at every moment, and refuses another run."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.errors import ConfigError
from nexus.results import Skipped
from nexus.training.run_folder import RunFolder

DESCRIBED = {"mode": "finetune", "config": {"lr": 0.1, "betas": (0.9, 0.999)}, "versions": {"torch": "1"}}


def test_the_same_run_may_go_on(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "run", DESCRIBED)
    again = RunFolder.open(tmp_path / "run", {**DESCRIBED, "versions": {"torch": "2"}})
    assert again.description == {**DESCRIBED, "config": {"lr": 0.1, "betas": [0.9, 0.999]}, "versions": {"torch": "2"}}


def test_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    RunFolder.open(tmp_path, DESCRIBED)
    with pytest.raises(ConfigError, match=r"config\.lr = 0\.1 there, 0\.2 here"):
        RunFolder.open(tmp_path, {**DESCRIBED, "config": {"lr": 0.2, "betas": (0.9, 0.999)}})


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="no training run"):
        RunFolder.open(tmp_path, DESCRIBED)


def test_lines_are_read_back_without_a_torn_one(tmp_path: Path) -> None:
    folder = RunFolder.open(tmp_path, DESCRIBED)
    for step in (1, 2, 3):
        folder.log({"kind": "step", "step": step, "loss": 1 / 3})
    folder.log({"kind": "epoch", "step": 3, "epoch": 0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "st')
    assert [record["step"] for record in folder.records("step")] == [1, 2, 3]
    folder.rewind(2)
    assert folder.records() == [{"kind": "step", "step": step, "loss": 1 / 3} for step in (1, 2)]


@pytest.mark.parametrize(("epoch", "kept"), [(0, ["step"]), (1, ["step", "epoch"])])
def test_the_end_of_an_epoch_lasts_if_the_checkpoint_came_after_it(tmp_path: Path, epoch: int, kept: list[str]) -> None:
    """The last step of an epoch and its end have the same number, and a checkpoint may lie between them."""
    folder = RunFolder.open(tmp_path, DESCRIBED)
    folder.log({"kind": "step", "step": 3, "epoch": 0})
    folder.log({"kind": "epoch", "step": 3, "epoch": 0})
    folder.rewind(3, epoch)
    assert [record["kind"] for record in folder.records()] == kept


def test_each_skipped_picture_is_named_once(tmp_path: Path) -> None:
    folder = RunFolder.open(tmp_path, DESCRIBED)
    odd = "caf\udce9.jpg"  # a name that is no text
    for _ in range(2):
        folder.skip([Skipped(source="a.jpg", reason="is empty"), Skipped(source=odd, reason="is empty")])
    assert [line["reason"] for line in folder.skipped()] == ["is empty", "is empty"]
