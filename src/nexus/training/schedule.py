"""How the learning rate goes through a run: up, then down along a cosine or on as it is."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nexus.config import Config
from nexus.errors import ConfigError

__all__ = ["ScheduleConfig", "build_schedule", "get_cosine_schedule_with_warmup", "scaled_lr"]


class ScheduleConfig(Config):
    """A linear warm-up, then a cosine or a constant.

    The defaults are a warm-up of five epochs (Goyal et al. 2017, section 2.2; DeiT's ``main.py``) and a half cosine to
    zero (Loshchilov and Hutter 2017, equation 5 without restarts).

    Attributes:
        kind: what follows the warm-up.
        warmup_epochs: length of the warm-up; may be a fraction.
        warmup_steps: its length in optimiser steps, instead of `warmup_epochs`.
        warmup_start: rate of the very first step, over the peak.
        min_lr_ratio: rate that the cosine ends at, over the peak.
    """

    kind: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: NonNegativeFloat = 5.0
    warmup_steps: NonNegativeInt | None = None
    warmup_start: float = Field(0.0, ge=0, le=1)
    min_lr_ratio: float = Field(0.0, ge=0, le=1)


def build_schedule(optimizer: Optimizer, config: ScheduleConfig, *, steps: int, steps_per_epoch: int) -> LambdaLR:
    """Return the schedule of a run; call its `step` after each step of the optimiser.

    Every parameter group keeps its own peak, the `lr` that it has now, and with it its `lr_scale`.

    Args:
        optimizer: what it sets the rates of.
        config: see `ScheduleConfig`.
        steps: optimiser steps of the whole run.
        steps_per_epoch: optimiser steps of one epoch.

    Raises:
        ConfigError: the warm-up is not shorter than the run.
    """
    warmup = config.warmup_steps
    if warmup is None:
        warmup = round(config.warmup_epochs * steps_per_epoch)
    if warmup >= max(steps, 1):
        raise ConfigError(
            f"a warm-up of {warmup} steps does not end within a run of {steps}: lower warmup_epochs or warmup_steps"
        )
    factor = partial(
        lr_factor,
        warmup=warmup,
        steps=steps,
        cycles=0.5 if config.kind == "cosine" else 0.0,
        start=config.warmup_start,
        minimum=config.min_lr_ratio,
    )
    return LambdaLR(optimizer, factor)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Return a schedule that rises linearly from 0 to the optimiser's rates, then falls to 0 along a cosine.

    The name, arguments and values are those of transformers.

    Args:
        optimizer: what it sets the rates of; each parameter group keeps its own peak.
        num_warmup_steps: steps of the rise.
        num_training_steps: steps of the run, the rise included.
        num_cycles: waves of the cosine; 0.5 falls once.
        last_epoch: steps that are behind when a run goes on; -1: none.
    """
    factor = partial(lr_factor, warmup=num_warmup_steps, steps=num_training_steps, cycles=num_cycles)
    return LambdaLR(optimizer, factor, last_epoch)


def lr_factor(
    step: int, *, warmup: int, steps: int, cycles: float = 0.5, start: float = 0.0, minimum: float = 0.0
) -> float:
    """Return the learning rate of one step over the peak.

    Args:
        step: 0 is the first.
        warmup: steps of the linear rise from `start` to 1.
        steps: of the run, at which the cosine reaches `minimum`.
        cycles: waves of the cosine; 0: it stays at 1.
        start, minimum: over the peak.
    """
    if step < warmup:
        return start + (1 - start) * step / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return max(0.0, minimum + (1 - minimum) * 0.5 * (1 + math.cos(2 * math.pi * cycles * progress)))


def scaled_lr(lr: float, batch_size: int, base: int = 256) -> float:
    """Return the learning rate for a batch size by the linear scaling rule (Goyal et al. 2017, section 2.1).

    Args:
        lr: rate at a batch size of `base`.
        batch_size: pictures per optimiser step, over all processes.
        base: batch size that `lr` is given for.
    """
    return lr * batch_size / base
