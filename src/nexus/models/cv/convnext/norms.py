"""The two normalisations of ConvNeXt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["GRN", "LayerNorm2d"]


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels at each place of a map. (B, C, H, W) -> (B, C, H, W).

    Maps lie in memory with their channels last, so neither of the two permutations moves anything.
    """

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GRN(nn.Module):
    """Global response normalisation: let channels compete (ConvNeXt V2, section 4, algorithm 1).

    Each channel is weighed by its norm over the whole map, over the mean of all channels' norms.
    (B, H, W, C) -> (B, H, W, C).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        norms = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)  # (B, 1, 1, C)
        response = norms / (norms.mean(-1, keepdim=True) + 1e-6)
        return torch.addcmul(self.bias, x, 1 + self.weight * response)  # x + weight * (x * response) + bias
