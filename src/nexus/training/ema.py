"""A second model whose weights are a moving average of those that learn: smoother, and often better."""

from __future__ import annotations

from copy import deepcopy

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from nexus.config import Config

__all__ = ["EMA", "EMAConfig"]


class EMAConfig(Config):
    """How fast the average forgets; the defaults are those of timm 1.0.31 with its warm-up on.

    Attributes:
        decay: share of the old average in the new one, per optimiser step. DeiT's authors take 0.99996 for 300 epochs
            of ImageNet.
        warmup: let the decay rise from 0 to `decay`, at step t being 1 - (1 + t) ** -`warmup_power`, so that the
            average forgets the random start of a short run.
        warmup_power: the larger, the sooner; 2/3 reaches 0.999 after 31,600 steps, 3/4 after 10,000.
    """

    decay: float = Field(0.9999, ge=0, lt=1)
    warmup: bool = True
    warmup_power: PositiveFloat = 2 / 3

    def decay_at(self, step: int) -> float:
        """Return the decay of one step; 0 is the first, which only copies."""
        if step == 0:
            return 0.0
        return min(self.decay, 1 - (1 + step) ** -self.warmup_power) if self.warmup else self.decay


class EMA(nn.Module):
    """A model's exponential moving average (Polyak and Juditsky 1992; as in DeiT and timm).

    Weights and floating buffers (the statistics of batch norms) are averaged, counts are copied. Its `state_dict` holds
    all that an interrupted run needs.

    It is ours because torch's `AveragedModel` hands its count of updates to the averaging function on the model's
    device: a decay that depends on it would make the host wait for the device in every step.

    Spread `module` over the processes as the model is, and each process averages its part of the weights. Otherwise a
    model that is spread is taken in whole, tensor by tensor, and each process keeps the whole average.

    Args:
        model: the bare model, not spread yet, which is copied.
        config: see `EMAConfig`.

    Attributes:
        module: the average: a model of the same class, in evaluation mode, without gradients.
    """

    updates: Tensor

    def __init__(self, model: nn.Module, config: EMAConfig) -> None:
        super().__init__()
        self.config = config
        self.module = deepcopy(model).eval().requires_grad_(False)
        self.register_buffer("updates", torch.tensor(0, device="cpu"))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights as they are after one step of the optimiser."""
        weight = 1 - self.config.decay_at(int(self.updates))
        averages, values = [], []
        for average, value in zip(tensors(self.module), tensors(model)):
            if is_shard(value) and not is_shard(average):  # one whole tensor in memory at a time
                average.lerp_(value.full_tensor(), weight)  # type: ignore[attr-defined]
            elif value.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        if averages:
            torch._foreach_lerp_(averages, values, weight)
        self.updates += 1


def is_shard(tensor: Tensor) -> bool:
    """Whether this process has a part of it alone. A `DTensor` is told by its method: its import takes a second."""
    return hasattr(tensor, "full_tensor")


def tensors(model: nn.Module) -> list[Tensor]:
    """Return all parameters and buffers, in an order that copies share."""
    return [*model.parameters(), *model.buffers()]
