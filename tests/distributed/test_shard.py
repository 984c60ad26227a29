"""One process, two with whole copies and two with shards do the same steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from distributed_checks import CPU, model, run
from torch import nn

from nexus.distributed.shard import clip_gradients, full_weights, micro_batch, parallelise, unwrap


def compare(together: dict[str, Any], alone: dict[str, Any]) -> None:
    torch.testing.assert_close(torch.tensor(together["curve"]), torch.tensor(alone["curve"]), rtol=0, atol=1e-5)
    assert together["weights"].keys() == alone["weights"].keys() == model().state_dict().keys()
    assert together["weights"] == pytest.approx(alone["weights"], abs=1e-4)


@pytest.mark.parametrize("how", ["ddp", "fsdp_micro"])
def test_two_processes_learn_as_one_does(how: str, found: dict[str, Any], alone: dict[str, Any]) -> None:
    """Batches that do not split evenly, one that leaves a process without a sample, and a weight that nothing reads."""
    compare(found[how], alone)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fsdp", "ddp_micro", "ddp_recompute", "fsdp_recompute"])
def test_two_processes_learn_as_one_does_in_parts(
    how: str, found_slowly: dict[str, Any], alone: dict[str, Any]
) -> None:
    """Over several micro-batches, and with blocks that are computed again in the backward pass."""
    compare(found_slowly[how], alone)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_frozen_blocks_stay(parallel: str, found_slowly: dict[str, Any]) -> None:
    together = found_slowly[f"{parallel}_frozen"]
    compare(together, run("none", frozen=True))
    before = {key: float(value.sum()) for key, value in model().state_dict().items() if key.startswith("blocks.0.")}
    assert {key: together["weights"][key] for key in before} == before


@pytest.mark.slow
def test_bf16_shards_stay_near(found_slowly: dict[str, Any], alone: dict[str, Any]) -> None:
    losses = torch.tensor(found_slowly["fsdp_bf16"]["curve"])[:, 0]
    exact = torch.tensor(alone["curve"])[:, 0]
    assert 1e-5 < (losses - exact).abs().max() < 0.05


def test_each_process_keeps_half_of_the_model(found: dict[str, Any]) -> None:
    sizes = found["shapes"]
    assert sum(sizes["kept"]) == sizes["whole"]
    assert max(sizes["kept"]) < 0.55 * sizes["whole"]
    assert sizes["unwrapped"]


def test_what_cannot_be_spread_is_refused(found: dict[str, Any]) -> None:
    none, unknown, scalar = found["refusals"]
    assert "torchrun started 2 processes" in none
    assert "did you mean 'fsdp'" in unknown
    assert "FSDP cannot shard scale" in scalar


def test_one_process_is_left_as_it_is() -> None:
    net = model()
    assert parallelise(net, "fsdp", CPU) is net
    with micro_batch(net, last=False):
        pass
    assert full_weights(net).keys() == net.state_dict().keys()


def test_unwrapping_reaches_the_model() -> None:
    net, compiled = model(), nn.Module()
    compiled._orig_mod = net  # as torch.compile keeps it
    assert unwrap(compiled) is net
    assert unwrap(net) is net


def test_clipping_returns_the_norm_before() -> None:
    layer = nn.Linear(1, 2, bias=False)
    layer.weight.grad = torch.tensor([[3.0], [4.0]])
    assert clip_gradients(layer, float("inf")) == 5
    assert torch.equal(layer.weight.grad, torch.tensor([[3.0], [4.0]]))
    assert clip_gradients(layer, 1.0) == 5
    torch.testing.assert_close(layer.weight.grad.norm(), torch.tensor(1.0))
