"""Stochastic depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["DropPath", "linear_rates"]


class DropPath(nn.Module):
    """Drop a residual branch for whole samples in training (Huang et al. 2016, "Deep Networks with Stochastic Depth").

    Kept samples are divided by the probability of being kept, so that the expectation does not change.

    Args:
        rate: probability that the branch of a sample is dropped, 0 <= rate < 1.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep)
        return x * mask / keep

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


def linear_rates(last: float, count: int) -> list[float]:
    """Return the rates of `count` blocks, from 0 at the first to `last` at the last (Huang et al. 2016, equation 4)."""
    return [last * index / max(count - 1, 1) for index in range(count)]
