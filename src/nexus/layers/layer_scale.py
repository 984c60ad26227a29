"""LayerScale."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["LayerScale"]


class LayerScale(nn.Module):
    """Scale each channel of a residual branch by a learned factor (Touvron et al. 2021, CaiT). (..., D) -> (..., D)."""

    def __init__(self, dim: int, initial: float = 1e-5) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma
