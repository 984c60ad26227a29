"""A checkpoint is read by any number of processes, and the one before is valid until the next one is."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_checks import CPU, adamw, begin, model, resume, train

from nexus.distributed import checkpoint
from nexus.distributed.checkpoint import load_sharded, save_sharded
from nexus.errors import CheckpointMismatchError, ConfigError, TrainingError


def close(curve: list[list[float]], wanted: list[list[float]]) -> None:
    torch.testing.assert_close(torch.tensor(curve), torch.tensor(wanted), rtol=0, atol=1e-5)


def average() -> float:
    return 2 * float(model().head.weight.detach().sum())


def check_resumed(resumed: dict[str, Any], alone: dict[str, Any]) -> None:
    assert resumed["extra"] == {"step": 3}
    assert resumed["average"] == pytest.approx(average(), abs=1e-5)
    close(resumed["curve"], alone["curve"][3:])


def test_two_processes_and_one_go_on_from_shards(folder: Path, found: dict[str, Any], alone: dict[str, Any]) -> None:
    """While they are written, training goes on."""
    close(found["save_fsdp"], alone["curve"][3:])
    check_resumed(found["ddp_from_fsdp"], alone)
    check_resumed(resume("none", folder / "by_fsdp"), alone)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fsdp_from_fsdp", "fsdp_from_ddp", "fsdp_from_one", "ddp_from_one"])
def test_any_number_of_processes_goes_on(how: str, found_slowly: dict[str, Any], alone: dict[str, Any]) -> None:
    check_resumed(found_slowly[how], alone)


@pytest.mark.slow
def test_one_process_goes_on_from_copies(folder: Path, found_slowly: dict[str, Any], alone: dict[str, Any]) -> None:
    close(found_slowly["save_ddp"], alone["curve"][3:])
    check_resumed(resume("none", folder / "by_ddp"), alone)


def test_one_process_goes_on_bit_for_bit(tmp_path: Path) -> None:
    assert begin("none", tmp_path) == resume("none", tmp_path)["curve"]


def test_each_process_wrote_its_share_and_nothing_that_could_run(folder: Path, found: dict[str, Any]) -> None:
    state = json.loads((folder / "by_fsdp" / "state.json").read_text())
    tensors = folder / "by_fsdp" / state["tensors"]
    assert sorted(p.name for p in (folder / "by_fsdp").iterdir()) == ["state.json", tensors.name]
    files = sorted(tensors.iterdir())
    assert [file.suffix for file in files] == [".safetensors"] * 2
    assert {file.name: file.stat().st_size for file in files} == state["files"]


def trained(steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    net = model()
    optimizer = adamw(net)
    train(net, optimizer, range(steps))
    return net, optimizer


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin("none", tmp_path)
    net, optimizer = trained(1)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_file", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*one before is still valid"):
        save_sharded(tmp_path, net, optimizer, {"step": 1})
    assert len(list(tmp_path.iterdir())) == 2  # nothing half-written takes room
    assert resume("none", tmp_path)["extra"] == {"step": 3}


def test_a_killed_save_leaves_the_checkpoint_before(tmp_path: Path, alone: dict[str, Any]) -> None:
    """What it wrote is not looked at, and goes with the next save."""
    begin("none", tmp_path)
    (tmp_path / "tensors-killed").mkdir()
    (tmp_path / "tensors-killed" / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"half")
    close(resume("none", tmp_path)["curve"], alone["curve"][3:])
    begin("none", tmp_path)
    assert not (tmp_path / "tensors-killed").exists()


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    begin("none", tmp_path)
    (file,) = tmp_path.glob("tensors-*/*")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=f"{file.name} is missing or not"):
        load_sharded(tmp_path, model())


def test_what_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no checkpoint"):
        load_sharded(tmp_path, model())
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(TrainingError, match="not one of many processes"):
        load_sharded(tmp_path, model())
    (tmp_path / "state.json").write_text('{"kind": "sharded", "format": 99}')
    with pytest.raises(TrainingError, match="reads up to 1"):
        load_sharded(tmp_path, model())


def test_another_model_is_refused(tmp_path: Path) -> None:
    begin("none", tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"head\.weight is \(5, 16\), the model has \(3, 16\)"):
        load_sharded(tmp_path, model(num_classes=3))
    with pytest.raises(CheckpointMismatchError, match=r"missing: +model\.blocks\.2"):
        load_sharded(tmp_path, model(num_layers=3))


def test_other_groups_of_weights_are_refused(tmp_path: Path) -> None:
    begin("none", tmp_path)
    net = model()
    with pytest.raises(ConfigError, match="other groups of weights"):
        load_sharded(tmp_path, net, torch.optim.AdamW([{"params": [weight]} for weight in net.parameters()]))


def test_values_that_are_no_tensors_are_kept(tmp_path: Path) -> None:
    """SGD without momentum keeps None for a weight; a learning rate may be a tensor; pairs stay pairs."""
    net = model()
    net(torch.zeros(1, 3, 28, 28))["logits"].sum().backward()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    optimizer.state[net.head.weight]["note"] = None
    save_sharded(tmp_path, net, optimizer, {})
    other = torch.optim.SGD(net.parameters(), lr=0.5)
    load_sharded(tmp_path, net, other)
    assert other.param_groups[0]["lr"] == 0.1
    assert other.state[net.head.weight]["note"] is None
    assert torch.equal(
        other.state[net.head.weight]["momentum_buffer"], optimizer.state[net.head.weight]["momentum_buffer"]
    )

    adam = torch.optim.AdamW(net.parameters(), lr=torch.tensor(0.25))
    adam.step()
    save_sharded(tmp_path, net, adam, {})
    load_sharded(tmp_path, net, again := torch.optim.AdamW(net.parameters()))
    assert again.param_groups[0]["lr"] == 0.25
    assert again.param_groups[0]["betas"] == (0.9, 0.999)
    assert again.state[net.head.weight]["exp_avg"].device == CPU


def test_what_json_cannot_say_is_refused(tmp_path: Path) -> None:
    net = model()
    optimizer = adamw(net)
    optimizer.param_groups[0]["callback"] = print
    with pytest.raises(ConfigError, match="callback"):
        save_sharded(tmp_path, net, optimizer, {})
