"""Multi-head self-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Attention"]


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2), with query, key and value in one projection.

    Args:
        dim: width D of the tokens.
        num_heads: number of heads; divides `dim`.
        qkv_bias: whether query, key and value have a bias.
        attention_dropout: rate at which attention weights are zeroed in training.
        dropout: rate at which outputs are zeroed in training.
    """

    def __init__(
        self, dim: int, num_heads: int, *, qkv_bias: bool = True, attention_dropout: float = 0.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "b n d"], return_weights: bool = False, mask: Tensor | None = None
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b heads n n"] | None]:
        """Mix tokens.

        Args:
            x: (B, N, D).
            return_weights: also return the attention weights, for which the softmax is computed openly and slower.
            mask: added to the scores before the softmax, e.g. -inf where a token must not be seen; of a shape that
                broadcasts to (B, heads, N, N).

        Returns:
            Mixed tokens (B, N, D), and weights (B, heads, N, N) whose rows sum to 1, or None.
        """
        return self.attend(*self.project(x), return_weights, mask)

    def project(self, x: Float[Tensor, "b n d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value, each (B, heads, N, head_dim): what a family with other projections overrides."""
        batch, length, _ = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def attend(
        self,
        query: Float[Tensor, "b heads n head_dim"],
        key: Float[Tensor, "b heads n head_dim"],
        value: Float[Tensor, "b heads n head_dim"],
        return_weights: bool = False,
        mask: Tensor | None = None,
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b heads n n"] | None]:
        """Mix values by the agreement of queries and keys, put the heads side by side again, and project."""
        rate = self.attention_dropout if self.training else 0.0
        weights = None
        if return_weights:
            scores = query @ key.transpose(-2, -1) * self.head_dim**-0.5
            weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
            mixed = F.dropout(weights, rate) @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        return self.dropout(self.proj(mixed.transpose(1, 2).flatten(2))), weights
