"""Blocks on two processes, with micro-batches flowing through, learn as they do on one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from distributed_checks import CPU, adamw, eight, mean_of_eight, vit

from nexus.distributed.pipeline import Pipeline
from nexus.errors import ConfigError


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["1f1b", "gpipe"])
def test_a_pipeline_learns_as_one_process_does(schedule: str, found_slowly: dict[str, Any]) -> None:
    net = vit()
    optimizer = adamw(net)
    losses = []
    for step in range(6):
        images, targets = eight(step)
        loss = mean_of_eight(net(images, outputs=("logits",))["logits"], targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    together = found_slowly[f"pipeline_{schedule}"]
    torch.testing.assert_close(torch.tensor(together["losses"]), torch.tensor(losses), rtol=0, atol=1e-5)
    weights = {key: float(value.sum()) for key, value in net.state_dict().items()}
    assert together["weights"] == pytest.approx(weights, abs=1e-4)
    assert sum(together["kept"]) == sum(weight.numel() for weight in net.parameters())
    assert all(together["kept"])


@pytest.mark.slow
def test_what_cannot_be_a_pipeline_is_refused(found_slowly: dict[str, Any]) -> None:
    micro_batches, blocks = found_slowly["pipeline_refusals"]
    assert "1 micro-batches cannot keep 2 processes busy" in micro_batches
    assert "has 1 blocks, too few for 2 processes" in blocks


def test_one_process_is_no_pipeline() -> None:
    with pytest.raises(ConfigError, match="torchrun --nproc-per-node"):
        Pipeline(vit(), torch.zeros(2, 3, 28, 28), micro_batches=2, loss=mean_of_eight, device=CPU)
