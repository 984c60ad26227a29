"""Checkpoints give back every bit, and a save that fails or is killed leaves the one before."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nexus.errors import TrainingError
from nexus.training import checkpoint


def trained(kind: type[torch.optim.Optimizer], **settings: Any) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    groups = [{"params": model[0].parameters(), "lr_scale": 0.5}, {"params": model[2].parameters()}]
    optimizer = kind(groups, lr=0.1, **settings)
    for _ in range(2):
        step(model, optimizer)
    return model, optimizer


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    generator = torch.Generator().manual_seed(1)
    optimizer.zero_grad()
    model(torch.randn(6, 4, generator=generator)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(torch.optim.AdamW, {"fused": True}), (torch.optim.SGD, {"momentum": 0.9, "nesterov": True})],
)
def test_training_goes_on_bit_for_bit(
    kind: type[torch.optim.Optimizer], settings: dict[str, Any], tmp_path: Path
) -> None:
    model, optimizer = trained(kind, **settings)
    checkpoint.save(tmp_path, 2, model, optimizer, {"ema.weight": torch.arange(3.0)}, {"best": 0.1 + 0.2})
    step(model, optimizer)

    other, restored = trained(kind, **settings)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    others = checkpoint.load(found, other, restored)
    step(other, restored)
    assert found.state["best"] == 0.1 + 0.2
    assert others["ema.weight"].tolist() == [0, 1, 2]
    assert restored.param_groups[0]["lr_scale"] == 0.5
    for one, two in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_only_the_last_is_kept(tmp_path: Path) -> None:
    model, optimizer = trained(torch.optim.AdamW)
    for number in (2, 4, 11):
        checkpoint.save(tmp_path, number, model, optimizer, {}, {})
    assert [folder.name for folder in tmp_path.iterdir()] == ["00000011"]


@pytest.mark.parametrize("file", ["model.safetensors", "training.safetensors", "state.json"])
def test_a_full_disk_leaves_the_one_before(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = trained(torch.optim.AdamW)
    checkpoint.save(tmp_path, 2, model, optimizer, {}, {})

    def full(path: Path, *content: Any) -> None:
        if path.name == file:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real[0 if path.suffix == ".json" else 1](path, *content)

    real = checkpoint.write_file, checkpoint.save_tensors
    monkeypatch.setattr(checkpoint, "write_file", full)
    monkeypatch.setattr(checkpoint, "save_tensors", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*checkpoint of step 2 is whole"):
        checkpoint.save(tmp_path, 3, model, optimizer, {}, {})
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.state["step"] == 2
    checkpoint.load(found, model, optimizer)


def test_a_step_that_is_saved_again_is_never_without_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = trained(torch.optim.AdamW)
    for epoch in range(3):
        checkpoint.save(tmp_path, 2, model, optimizer, {}, {"epoch": epoch})
        found = checkpoint.latest(tmp_path)
        assert found is not None
        assert found.state["epoch"] == epoch
        assert len(list(tmp_path.iterdir())) == 1

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_tensors", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, 2, model, optimizer, {}, {"epoch": 3})
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.state["epoch"] == 2


def test_one_that_was_never_finished_does_not_count(tmp_path: Path) -> None:
    model, optimizer = trained(torch.optim.AdamW)
    checkpoint.save(tmp_path, 2, model, optimizer, {}, {})
    (tmp_path / "00000003").mkdir()
    (tmp_path / "00000003" / "model.safetensors").write_bytes(b"half")
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.state["step"] == 2


def test_one_of_another_model_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 2, *trained(torch.optim.AdamW), {}, {})
    other = nn.Linear(3, 3)
    found = checkpoint.latest(tmp_path)
    assert found is not None
    with pytest.raises(TrainingError, match="does not fit this run"):
        checkpoint.load(found, other, torch.optim.AdamW(other.parameters()))
