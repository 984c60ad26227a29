"""Stochastic depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nexus.errors import ConfigError, InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["DropPath", "linear_rates", "seed_drop_path", "set_drop_path"]

LOW = 0xFFFFFFFF
"""The lower half of a seed."""


class DropPath(nn.Module):
    """Drop a residual branch for whole samples in training (Huang et al. 2016, "Deep Networks with Stochastic Depth").

    Kept samples are divided by the probability of being kept, so that the expectation does not change. What is dropped
    is drawn from torch's generator, or follows from the samples' own seeds (`seed_drop_path`). Each branch has a
    module of its own, because one module makes one choice per sample.

    Args:
        rate: probability that the branch of a sample is dropped, 0 <= rate < 1.

    Attributes:
        draws: (B,), uniform in [0, 1): samples below `rate` are dropped; None: ask torch's generator.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate
        self.draws: Tensor | None = None

    def forward(self, x: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        if self.draws is None:
            mask = x.new_empty(x.shape[0]).bernoulli_(keep)
        elif len(self.draws) == x.shape[0]:
            mask = (self.draws >= self.rate).to(x.dtype)
        else:
            raise InputError(f"{len(self.draws)} samples have seeds, the batch has {x.shape[0]}: seed_drop_path first")
        return x * mask.view(-1, *[1] * (x.ndim - 1)) / keep

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


def linear_rates(last: float, count: int) -> list[float]:
    """Return the rates of `count` blocks, from 0 at the first to `last` at the last (Huang et al. 2016, equation 4)."""
    return [last * index / max(count - 1, 1) for index in range(count)]


def set_drop_path(model: nn.Module, rate: float) -> None:
    """Set the rates of a finished model, linearly over its `blocks`; a config that has `drop_path` is the better place.

    Args:
        model: whose blocks hold `DropPath` modules.
        rate: of the last block, 0 <= rate < 1.

    Raises:
        ConfigError: another rate, or no block can be dropped.
    """
    if not 0 <= rate < 1:
        raise ConfigError(f"drop_path = {rate}: a rate is at least 0 and below 1")
    blocks = list(getattr(model, "blocks", ()))
    paths = [
        (depth, part) for depth, block in enumerate(blocks) for part in block.modules() if isinstance(part, DropPath)
    ]
    if not paths:
        raise ConfigError(f"{type(model).__name__} has no residual branch that could be dropped: leave drop_path at 0")
    rates = linear_rates(rate, len(blocks))
    for depth, path in paths:
        path.rate = rates[depth]


def seed_drop_path(model: nn.Module, seeds: Int[Tensor, "b"] | None) -> None:
    """Let what is dropped follow from a seed per sample, until this is called again.

    The choice for a sample in a layer depends on the sample's seed and the layer's number alone: not on the rest of the
    batch, on the process, or on how often the layer runs. So a batch gives the same in one piece or in several, on one
    process or on many, and checkpointed blocks repeat their choices when the backward pass runs them again.

    Args:
        model: bare or wrapped, compiled or not.
        seeds: (B,) int64, at least 0, one for each sample of the next batch, on the device of the model; None: torch's
            generator decides again.
    """
    paths = [module for module in model.modules() if isinstance(module, DropPath)]
    draws = [None] * len(paths) if seeds is None else uniform_draws(seeds, len(paths)).unbind()
    for path, drawn in zip(paths, draws):
        path.draws = drawn


def uniform_draws(seeds: Int[Tensor, "b"], layers: int) -> Float[Tensor, "layers b"]:
    """Return a number in [0, 1) for every layer and sample, a hash of the layer's number and the sample's seed."""
    numbers = torch.arange(1, layers + 1, device=seeds.device).unsqueeze(1)
    samples = mixed(mixed(seeds & LOW) ^ (seeds >> 32))
    return (mixed(samples ^ mixed(numbers)) >> 8).float() * 2**-24  # as many bits as fp32 has


def mixed(x: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Return 32-bit numbers after two rounds of xor, shift and multiply; no product leaves the 63 bits of an int64."""
    x = ((x >> 16 ^ x) * 0x45D9F3B) & LOW
    x = ((x >> 16 ^ x) * 0x45D9F3B) & LOW
    return x >> 16 ^ x
