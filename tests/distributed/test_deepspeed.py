"""ZeRO by DeepSpeed on two processes gives the curve of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_checks import adamw, model
from jobs import in_two_processes

from nexus.distributed.deepspeed import ZeRO
from nexus.errors import ConfigError


@pytest.mark.slow
def test_zero_learns_as_one_process_does(tmp_path: Path, alone: dict[str, Any]) -> None:
    pytest.importorskip("deepspeed")
    for curve in in_two_processes(tmp_path, "zero_1", "zero_2", "zero_3").values():
        torch.testing.assert_close(torch.tensor(curve), torch.tensor(alone["curve"]), rtol=0, atol=1e-5)


def test_one_process_has_nothing_to_share() -> None:
    with pytest.raises(ConfigError, match="torchrun --nproc-per-node"):
        ZeRO(net := model(), adamw(net))
