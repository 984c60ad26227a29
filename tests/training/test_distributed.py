"""A run on two processes is the run on one: pictures, augmentation, dropped paths, averages and checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import training_job
from jobs import torchrun
from PIL import Image
from safetensors.torch import load_file

import nexus
from nexus.training.run_folder import RunFolder

SCRIPT = Path(training_job.__file__)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return training_job.train(tmp_path_factory.mktemp("alone") / "run", "none")


def in_two_processes(path: Path, parallel: str, *more: object) -> RunFolder:
    done = torchrun(SCRIPT, path, parallel, *more)
    assert done.returncode == 0, done.stderr
    return RunFolder(path)


def compare(folder: RunFolder, alone: RunFolder) -> None:
    """The same curves and, within rounding, the same best model, which loads anywhere."""
    for kind, names in (("step", ("loss", "lr", "grad_norm")), ("epoch", ("train_loss", "val_loss", "val_top1"))):
        for name in names:
            values = [[record[name] for record in run.records(kind)] for run in (folder, alone)]
            torch.testing.assert_close(torch.tensor(values[0]), torch.tensor(values[1]), rtol=0, atol=1e-5)
    kept = [load_file(run.path / "model.safetensors") for run in (folder, alone)]
    torch.testing.assert_close(kept[0], kept[1], rtol=0, atol=1e-4)
    assert type(nexus.load(folder.path).model) is type(nexus.load(alone.path).model)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_train_as_one_does(parallel: str, alone: RunFolder, tmp_path: Path) -> None:
    compare(in_two_processes(tmp_path / "run", parallel), alone)


@pytest.mark.slow
def test_a_convolutional_network_is_sharded_too(tmp_path: Path) -> None:
    """Its weights are laid out channels last, which FSDP does not take."""
    alone = training_job.train(tmp_path / "alone", "none", "ConvNeXt")
    compare(in_two_processes(tmp_path / "run", "fsdp", "ConvNeXt"), alone)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [("fsdp", "fsdp"), ("ddp", "fsdp"), ("fsdp", "none"), ("none", "fsdp")])
def test_a_killed_run_goes_on(before: str, after: str, alone: RunFolder, tmp_path: Path) -> None:
    """On as many processes, on more, and on fewer; spread as before, or in the other way."""
    path = tmp_path / "run"
    killed = torchrun(SCRIPT, path, before, "VisionTransformer", 4, processes=1 if before == "none" else 2)
    assert killed.returncode != 0
    assert 3 <= len(RunFolder(path).records("step")) <= 4
    if after == "none":
        training_job.train(path, "none")
    else:
        in_two_processes(path, after)
    assert RunFolder(path).records("resume")
    compare(RunFolder(path), alone)


@pytest.mark.slow
def test_the_verb_trains_on_two_processes(tmp_path: Path) -> None:
    """Without averaged weights, and with an option that torchrun would take for one of its own but for the ``--``."""
    numbers = np.random.default_rng(0)
    for number in range(18):
        picture = (
            tmp_path / "data" / ("train" if number < 12 else "val") / ("blue", "red")[number % 2] / f"{number}.png"
        )
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numbers.integers(0, 256, (40, 44, 3), dtype=np.uint8)).save(picture)
    small = '{"patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2, "image_size": 28}'
    line = [
        "train",
        tmp_path / "data",
        "--mode",
        "scratch",
        "--model",
        "vit_base_patch16_224.augreg_in21k",
        "--size",
        "28",
    ]
    line += ["--epochs", "2", "--batch-size", "5", "--set", f"model={small}", "--set", "schedule.warmup_epochs=0"]
    line += ["--set", "precision=fp32", "--track", "none", "--engine", "eager", "--workers", "1"]
    for name, processes in (("alone", 1), ("together", 2)):
        flags = ["--parallel", "fsdp", "--out", tmp_path / name]
        done = torchrun("-m", "--", "nexus", *line, *flags, processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("use it: nexus classify") == 1  # the first process speaks for all
    compare(RunFolder(tmp_path / "together"), RunFolder(tmp_path / "alone"))
