"""`resolve`: what was said, over the defaults of the mode."""

from __future__ import annotations

import pytest

from nexus.errors import ConfigError
from nexus.training.config import TrainConfig, resolve


def test_the_modes_begin_with_the_rates_of_their_recipes() -> None:
    assert resolve("scratch", {}).lr == 1e-3
    assert 1e-5 <= resolve("finetune", {}).lr <= 5e-5


def test_lora_learns_at_a_rate_of_its_own_unless_another_is_said() -> None:
    adapted = resolve("finetune", {"lora": {"rank": 4}})
    assert (adapted.lr, adapted.optimizer.layer_decay) == (5e-3, 1.0)
    assert resolve("finetune", {"lora": {"rank": 4}, "lr": 1e-3}).lr == 1e-3
    assert resolve("finetune", {"lora": None}) == resolve("finetune", {})


def test_a_section_keeps_what_was_not_said_of_it() -> None:
    config = resolve("finetune", {"optimizer": {"weight_decay": 0.2}})
    assert (config.optimizer.weight_decay, config.optimizer.layer_decay) == (0.2, 0.75)


@pytest.mark.parametrize(
    ("said", "epochs"),
    [({}, 5.0), ({"epochs": 10}, 2.0), ({"epochs": 10, "schedule": {"warmup_epochs": 4}}, 4.0)],
)
def test_a_short_run_warms_up_for_a_fifth_of_it_at_most(said: dict[str, object], epochs: float) -> None:
    assert resolve("scratch", said).schedule.warmup_epochs == pytest.approx(epochs)


def test_the_rate_follows_the_size_of_the_batch() -> None:
    assert TrainConfig(lr=0.1, lr_batch=256, batch_size=64).peak_lr == pytest.approx(0.025)
    assert TrainConfig(lr=0.1, lr_batch=None, batch_size=64).peak_lr == pytest.approx(0.1)


def test_a_micro_batch_is_part_of_a_batch() -> None:
    with pytest.raises(ConfigError, match="micro_batch = 9 is more than batch_size = 8"):
        resolve("finetune", {"batch_size": 8, "micro_batch": 9})
