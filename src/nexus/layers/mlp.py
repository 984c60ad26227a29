"""The feed-forward half of a transformer block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Mlp", "QuickGELU", "SwiGLU"]


class Mlp(nn.Module):
    """Two linear layers with an activation between them. (..., D) -> (..., D).

    Args:
        dim: width D of the tokens.
        hidden_dim: width between the two layers.
        act: the activation; by default GELU (exact, not its tanh approximation).
        dropout: rate after the activation and after the second layer.
    """

    def __init__(self, dim: int, hidden_dim: int, *, act: nn.Module | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.act = act or nn.GELU()
        self.fc2 = nn.Linear(hidden_dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*rest d"]) -> Float[Tensor, "*rest d"]:
        return self.dropout(self.fc2(self.dropout(self.act(self.fc1(x)))))  # type: ignore[no-any-return]


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), an approximation of the GELU (Hendrycks and Gimpel 2016). (..., D) -> (..., D)."""

    def forward(self, x: Float[Tensor, "b *rest"]) -> Float[Tensor, "b *rest"]:
        return x * torch.sigmoid(1.702 * x)


class SwiGLU(nn.Module):
    """Gated feed-forward layer, w3(silu(w1 x) * w2 x), w1 and w2 stored as one (Shazeer 2020). (..., D) -> (..., D).

    Args:
        dim: width D of the tokens.
        hidden_dim: width of the product.
        norm: what normalises the product before w3; by default nothing.
    """

    def __init__(self, dim: int, hidden_dim: int, *, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.w12 = nn.Linear(dim, 2 * hidden_dim)
        self.norm = norm or nn.Identity()
        self.w3 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Float[Tensor, "*rest d"]) -> Float[Tensor, "*rest d"]:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(self.norm(F.silu(gate) * value))  # type: ignore[no-any-return]
