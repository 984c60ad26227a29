"""LayerScale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LayerScale"]


class LayerScale(nn.Module):
    """Scale each channel of a residual branch by a learned factor (Touvron et al. 2021, CaiT). (..., D) -> (..., D)."""

    def __init__(self, dim: int, initial: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
        return x * self.gamma
