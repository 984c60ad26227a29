"""The pre-norm transformer block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from nexus.layers.drop_path import DropPath

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Block"]


class Block(nn.Module):
    """Pre-norm transformer block: attention, then a feed-forward layer, each normalised before and added after.

    Args:
        norm1: normalisation before the attention.
        attn: ``(x, return_weights, *context, rows) -> (mixed, weights | None)``, e.g. `nexus.layers.Attention`.
        norm2: normalisation before the feed-forward layer.
        mlp: the feed-forward layer.
        ls1, ls2: what scales the two branches before they are added, e.g. `nexus.layers.LayerScale`; None: nothing.
        drop_path: rate of stochastic depth on both branches.
    """

    def __init__(
        self,
        norm1: nn.Module,
        attn: nn.Module,
        norm2: nn.Module,
        mlp: nn.Module,
        *,
        ls1: nn.Module | None = None,
        ls2: nn.Module | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1, self.attn, self.ls1 = norm1, attn, ls1 or nn.Identity()
        self.norm2, self.mlp, self.ls2 = norm2, mlp, ls2 or nn.Identity()
        self.drop_path1, self.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b n d"], return_weights: bool = False, *context: Tensor | None, rows: int | None = None
    ) -> tuple[Float[Tensor, "b m d"], Float[Tensor, "b heads m n"] | None]:
        """Return tokens (B, M, D) and, if asked for, attention weights (B, heads, M, N).

        Args:
            x: (B, N, D).
            return_weights: also return the attention weights.
            context: what else the attention takes, e.g. a mask.
            rows: M, how many of the first tokens to compute, from all N; None: all.
        """
        mixed, weights = self.attn(self.norm1(x), return_weights, *context, rows=rows)
        x = (x if rows is None else x[:, :rows]) + self.drop_path1(self.ls1(mixed))
        x = x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))
        return x, weights
