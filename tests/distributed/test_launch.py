"""Processes that find, hear and end one another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs import SCRIPT, torchrun

from nexus.distributed.launch import (
    all_reduce_max,
    all_reduce_sum,
    barrier,
    broadcast_text,
    gather_objects,
    is_main,
    process_group,
    rank,
    world,
)
from nexus.errors import ConfigError


def test_two_processes_hear_one_another(found: dict[str, Any]) -> None:
    said = found["messages"]
    assert said["gathered"] == [{"rank": 0, "text": ""}, {"rank": 1, "text": "ä"}]
    assert said["told"] == [["häuser", ""]] * 2
    assert said["sum"] == [[1.0, 2.0]] * 2
    assert said["max"] == [[1.0, 1.0]] * 2
    assert said["kept"] == [[0.0, 1.0], [1.0, 1.0]]


def test_a_group_inside_a_group_is_the_same(found: dict[str, Any]) -> None:
    assert found["messages"]["nested"] == 2


def test_one_process_needs_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    ones = torch.ones(2)
    with process_group(torch.device("cpu")) as device:
        barrier()
        assert (device, rank(), world(), is_main()) == (torch.device("cpu"), 0, 1, True)
        assert gather_objects({"a": 1}) == [{"a": 1}]
        assert broadcast_text("a") == "a"
        assert torch.equal(all_reduce_sum(ones), ones)
        assert torch.equal(all_reduce_max(ones), ones)
    assert not torch.distributed.is_initialized()


def test_half_of_torchruns_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT.*torchrun --nproc-per-node"):
        process_group(torch.device("cpu")).__enter__()


def test_devices_that_cannot_be_shared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="cannot share device 'mps'"):
        process_group(torch.device("mps")).__enter__()
    monkeypatch.setenv("LOCAL_RANK", str(torch.cuda.device_count()))
    with pytest.raises(ConfigError, match=f"has {torch.cuda.device_count()} cuda devices"):
        process_group(torch.device("cuda")).__enter__()


@pytest.mark.slow
def test_a_failure_ends_the_job_with_its_reason(tmp_path: Path) -> None:
    done = torchrun(SCRIPT, tmp_path, "fails")
    assert done.returncode != 0
    last = done.stderr[done.stderr.index("Root Cause") :]
    assert "rank      : 1" in last
    assert "process 1 has a reason" in last
    assert os.listdir(tmp_path) == []
