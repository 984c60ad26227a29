"""Swin Transformer V2: Scaling Up Capacity and Resolution (Liu et al. 2022, arXiv:2111.09883).

Three changes (figure 1 of the paper): branches are normalised at their end, attention compares directions, and the bias
of an offset is computed from its logarithm, so that windows may grow after pre-training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.layers import side_by_side
from nexus.models.cv.swin_transformer.model import (
    SwinBlock,
    SwinTransformer,
    SwinTransformerConfig,
    WindowAttention,
    Windows,
)

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["SwinTransformerV2", "SwinTransformerV2Config"]


class SwinTransformerV2Config(SwinTransformerConfig):
    """What makes one Swin Transformer V2; the defaults are SwinV2-T with windows of 8 patches, for 256 pixels.

    Attributes:
        pretrained_window_sizes: side of the windows at pre-training in each stage, in which offsets are measured;
            empty, or 0 for a stage: of the windows now.
    """

    image_size: PositiveInt | None = 256
    window_size: PositiveInt = 8
    pretrained_window_sizes: tuple[NonNegativeInt, ...] = ()

    @model_validator(mode="after")
    def _a_pretrained_window_per_stage(self) -> SwinTransformerV2Config:
        if self.pretrained_window_sizes and len(self.pretrained_window_sizes) != len(self.depths):
            raise ValueError(
                f"pretrained_window_sizes = {self.pretrained_window_sizes} needs one value for each of "
                f"{len(self.depths)} stages, or none at all"
            )
        return self


class SwinTransformerV2(SwinTransformer):
    """The Swin Transformer V2: takes and gives what `SwinTransformer` does."""

    Config = SwinTransformerV2Config

    def build_block(self, stage: int, drop_path: float) -> nn.Module:
        """Build one block of a stage."""
        c: SwinTransformerV2Config = self.config
        return PostNormBlock(
            c.widths[stage],
            self.build_attention(stage),
            self.build_mlp(stage),
            eps=c.layer_norm_eps,
            drop_path=drop_path,
        )

    def build_attention(self, stage: int) -> nn.Module:
        """Build the attention of a block."""
        c: SwinTransformerV2Config = self.config
        window = self.window(stage)
        pretrained = c.pretrained_window_sizes[stage] if c.pretrained_window_sizes else 0
        return CosineAttention(
            c.widths[stage],
            c.num_heads[stage],
            window,
            LogPositions(window, pretrained or window, c.num_heads[stage]),
            qkv_bias=c.qkv_bias,
            attention_dropout=c.attention_dropout,
            dropout=c.dropout,
        )

    def build_merge(self, width: int) -> nn.Module:
        """Build what joins a stage of `width` channels to the next one."""
        return PostNormMerging(width)

    def init_attention(self) -> None:
        """Start every block as the identity, as the authors do."""
        for module in self.modules():
            if isinstance(module, PostNormBlock):
                nn.init.zeros_(module.norm1.weight)
                nn.init.zeros_(module.norm2.weight)


class PostNormBlock(SwinBlock):
    """Transformer block whose branches are normalised before they are added (section 3.2)."""

    def forward(
        self, x: Float[Tensor, "b rows columns c"], windows: Windows, return_weights: bool = False
    ) -> tuple[Float[Tensor, "b rows columns c"], Float[Tensor, "b_windows heads m m"] | None]:
        """Return the map (B, rows, columns, C) and, if asked for, weights (B * windows, heads, M^2, M^2)."""
        mixed, weights = self.attend(x, windows, return_weights)
        x = x + self.drop_path1(self.norm1(mixed))
        x = x + self.drop_path2(self.norm2(self.mlp(x)))
        return x, weights


class CosineAttention(WindowAttention):
    """Scaled cosine attention within windows (equation 2). Keys have no bias.

    Args:
        dim: channels C.
        num_heads: number of heads; divides `dim`.
        window: side M of a window.
        positions: gives the bias of every offset between two patches; see `LogPositions`.
        qkv_bias: whether query and value have a bias.
        options: of `nexus.layers.Attention`.
    """

    def __init__(
        self, dim: int, num_heads: int, window: int, positions: nn.Module, *, qkv_bias: bool = True, **options: Any
    ) -> None:
        super().__init__(dim, num_heads, window, positions, qkv_bias=False, **options)
        self.q_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(10.0)))

    def project(self, x: Float[Tensor, "n m d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value, each (n, heads, m, head_dim), the first two of the length of 1 / temperature."""
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).reshape(*x.shape[:2], 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scale = self.logit_scale.clamp(max=math.log(100.0)).exp()  # the temperature is at least 0.01
        # the attention divides by the root of head_dim, which is undone here
        return F.normalize(query, dim=-1) * (scale * self.head_dim**0.5), F.normalize(key, dim=-1), value


class LogPositions(nn.Module):
    """A bias for every offset between two patches, by a small network of its logarithm (equations 3 and 4).

    Args:
        window: side M of a window.
        unit: side of the windows in which offsets are measured.
        num_heads: number of heads.
    """

    def __init__(self, window: int, unit: int, num_heads: int) -> None:
        super().__init__()
        self.window, self.unit = window, unit
        self.fc1 = nn.Linear(2, 512)
        self.fc2 = nn.Linear(512, num_heads, bias=False)

    def forward(self) -> Float[Tensor, "offsets heads"]:
        """Return ((2 M - 1)^2, heads), row-major from the offset (1 - M, 1 - M) on, between 0 and 16."""
        return 16 * torch.sigmoid(self.fc2(F.relu(self.fc1(self.offsets()))))

    def offsets(self) -> Float[Tensor, "offsets 2"]:
        """Return sign(x) log2(1 + 8 |x| / (unit - 1)) / 3 of each offset, rows and columns, ((2 M - 1)^2, 2)."""
        weight = self.fc1.weight
        steps = torch.arange(1 - self.window, self.window, device=weight.device, dtype=torch.float32)
        scaled = steps * (8 / max(self.unit - 1, 1))
        side = scaled.sign() * torch.log2(1 + scaled.abs()) / math.log2(8)
        return torch.cartesian_prod(side, side).to(weight.dtype)


class PostNormMerging(nn.Module):
    """`PatchMerging` that normalises last: (B, rows, columns, C) -> (B, rows / 2, columns / 2, 2 C)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, x: Float[Tensor, "b rows columns c"]) -> Float[Tensor, "b half_rows half_columns c2"]:
        return self.norm(self.reduction(side_by_side(x)))  # type: ignore[no-any-return]
