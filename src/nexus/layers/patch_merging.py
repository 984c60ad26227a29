"""From patches to larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["PatchMerging", "side_by_side"]


class PatchMerging(nn.Module):
    """Join 2x2 patches into one of twice the channels: (B, rows, columns, C) -> (B, rows / 2, columns / 2, 2 C).

    Swin Transformer (Liu et al. 2021), section 3.1; an odd side is padded.
    """

    def __init__(self, dim: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim, eps=eps)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Float[Tensor, "b rows columns c"]) -> Float[Tensor, "b half_rows half_columns c2"]:
        return self.reduction(self.norm(side_by_side(x)))  # type: ignore[no-any-return]


def side_by_side(x: Float[Tensor, "b rows columns c"]) -> Float[Tensor, "b half_rows half_columns c4"]:
    """Put 2x2 patches side by side, down the columns first, a map of odd sides being padded: (B, R / 2, C / 2, 4 C)."""
    batch, rows, columns, width = x.shape
    if rows % 2 or columns % 2:
        x = F.pad(x, (0, 0, 0, columns % 2, 0, rows % 2))
    x = x.reshape(batch, x.shape[1] // 2, 2, x.shape[2] // 2, 2, width)
    return x.permute(0, 1, 3, 4, 2, 5).flatten(3)
