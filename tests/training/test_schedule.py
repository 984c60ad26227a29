from __future__ import annotations

import pytest
import torch
from torch import nn

from nexus.errors import ConfigError
from nexus.training import ScheduleConfig, build_schedule, get_cosine_schedule_with_warmup, scaled_lr


def optimizer(*scales: float) -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": 0.1 * scale, "lr_scale": scale} for scale in scales]
    return torch.optim.SGD(groups, lr=0.1)


def rates(sgd: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[list[float]]:
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in sgd.param_groups])
        sgd.step()
        schedule.step()
    return found


@pytest.mark.parametrize(("warmup", "total", "cycles"), [(0, 7, 0.5), (3, 11, 0.5), (4, 9, 1.25)])
def test_values_are_those_of_transformers(warmup: int, total: int, cycles: float) -> None:
    from transformers import get_cosine_schedule_with_warmup as reference

    ours, theirs = optimizer(1, 0.5), optimizer(1, 0.5)
    found = rates(ours, get_cosine_schedule_with_warmup(ours, warmup, total, cycles), total + 3)
    assert found == rates(theirs, reference(theirs, warmup, total, cycles), total + 3)


def test_a_run_that_goes_on_takes_the_rates_that_follow() -> None:
    whole, part = optimizer(1), optimizer(1)
    expected = rates(whole, get_cosine_schedule_with_warmup(whole, 2, 9), 9)
    schedule = get_cosine_schedule_with_warmup(part, 2, 9)
    rates(part, schedule, 4)
    later = get_cosine_schedule_with_warmup(part, 2, 9, last_epoch=3)
    assert rates(part, later, 5) == expected[4:]
    resumed = optimizer(1)
    restored = get_cosine_schedule_with_warmup(resumed, 2, 9)
    state = schedule.state_dict()
    restored.load_state_dict(state)
    resumed.param_groups[0]["lr"] = restored.get_last_lr()[0]
    assert rates(resumed, restored, 5) == expected[4:]


def test_the_peak_stands_behind_the_warm_up_and_the_floor_at_the_end() -> None:
    sgd = optimizer(1, 0.5)
    config = ScheduleConfig(warmup_epochs=0.5, warmup_start=0.2, min_lr_ratio=0.01)
    found = rates(sgd, build_schedule(sgd, config, steps=20, steps_per_epoch=8), 21)
    assert [first for first, _ in found[:5]] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert found[12][0] == pytest.approx(0.1 * (0.01 + 0.99 / 2))  # half of the way down
    assert found[-1][0] == pytest.approx(0.001)
    assert all(second == pytest.approx(first / 2) for first, second in found)  # each group has its own peak


def test_a_constant_stays_at_the_peak() -> None:
    sgd = optimizer(1)
    config = ScheduleConfig(kind="constant", warmup_steps=2)
    found = rates(sgd, build_schedule(sgd, config, steps=6, steps_per_epoch=1), 8)
    assert [rate for (rate,) in found] == pytest.approx([0, 0.05, *[0.1] * 6])


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"a warm-up of 50 steps does not end within a run of 30: lower warmup_epochs"
    ):
        build_schedule(optimizer(1), ScheduleConfig(), steps=30, steps_per_epoch=10)


def test_the_rate_grows_with_the_batch() -> None:
    assert scaled_lr(0.1, 8192) == pytest.approx(3.2)  # Goyal et al.: 0.1 at 256, 3.2 at 8192
    assert scaled_lr(5e-4, 1024, base=512) == pytest.approx(1e-3)
