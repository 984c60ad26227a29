"""DiNAT: a hierarchical transformer whose tokens attend to their nearest neighbours, and to dilated neighbourhoods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import DropPath, LayerScale, linear_rates
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["DiNAT", "DiNATConfig"]

Dilations = tuple[tuple[PositiveInt, ...], ...]


class DiNATConfig(Config):
    """What makes one DiNAT; the defaults are DiNAT-Mini.

    Attributes:
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        embed_dim: width of the first stage; every stage doubles it.
        depths: blocks of each stage.
        num_heads: attention heads of each stage.
        kernel_size: side of a neighbourhood, odd.
        dilations: of each block of each stage; 1 is plain neighbourhood attention.
        mlp_ratio: width of the feed-forward layer over that of the tokens.
        qkv_bias: whether query, key and value have a bias.
        layer_scale: initial factor of LayerScale; 0: none.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    embed_dim: PositiveInt = 64
    depths: tuple[PositiveInt, ...] = Field((3, 4, 6, 5), min_length=1)
    num_heads: tuple[PositiveInt, ...] = (2, 4, 8, 16)
    kernel_size: PositiveInt = 7
    dilations: Dilations = ((1, 8, 1), (1, 4, 1, 4), (1, 2, 1, 2, 1, 2), (1, 1, 1, 1, 1))
    mlp_ratio: PositiveFloat = 3.0
    qkv_bias: bool = True
    layer_scale: NonNegativeFloat = 0.0
    drop_path: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _stages_agree(self) -> DiNATConfig:
        if tuple(len(dilations) for dilations in self.dilations) != self.depths:
            raise ValueError(f"dilations = {self.dilations} need one value per block: depths = {self.depths}")
        if len(self.num_heads) != len(self.depths):
            raise ValueError(f"num_heads = {self.num_heads} and depths = {self.depths} need one value per stage each")
        for width, heads in zip(self.widths(), self.num_heads):
            if width % heads:
                raise ValueError(f"the width {width} of a stage is not a multiple of its {heads} heads")
        if not self.kernel_size % 2:
            raise ValueError(f"kernel_size = {self.kernel_size} is even: a neighbourhood has a token in its middle")
        return self

    def widths(self) -> tuple[int, ...]:
        """Return the width of each stage."""
        return tuple(self.embed_dim * 2**index for index in range(len(self.depths)))


class DiNAT(WeightInitMixin, NexusModule):
    """The dilated neighbourhood attention transformer.

    Any image size is taken. Outputs: `features`, every block; `pyramid`, every stage, {4, 8, 16, 32}, the last one
    normalised; `tokens`, that last grid in row-major order; `embeddings`, its mean; `logits` where there is a head;
    `attentions` if asked for: of each block (B, heads, H * W, kernel_size ** 2), the neighbours row by row.
    """

    Config = DiNATConfig

    def __init__(self, config: Mapping[str, Any] | DiNATConfig) -> None:
        super().__init__(config)
        c: DiNATConfig = self.config
        rates, widths = iter(linear_rates(c.drop_path, sum(c.depths))), c.widths()
        self.patch_embed = Tokenizer(c.in_channels, c.embed_dim)
        self.dropout = nn.Dropout(c.dropout)
        self.stages = nn.ModuleList(
            nn.ModuleList(DiNATBlock(c, width, heads, dilation, next(rates)) for dilation in dilations)
            for width, heads, dilations in zip(widths, c.num_heads, c.dilations)
        )
        self.downsamples = nn.ModuleList(Downsample(width) for width in widths[:-1])
        self.norm = nn.LayerNorm(widths[-1], eps=c.layer_norm_eps)
        self.head: nn.Module = nn.Linear(widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        for block in self.blocks:
            nn.init.trunc_normal_(block.attn.rpb, std=0.02)

    @property
    def blocks(self) -> list[Any]:
        """The blocks in order."""
        return [block for stage in self.stages for block in stage.children()]

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        found: dict[str, Any] = {"features": [], "pyramid": {}, "attentions": []}
        x = self.dropout(self.patch_embed(images))  # (B, H / 4, W / 4, C), rounded up here and below
        for index, stage in enumerate(self.stages):
            if index:
                x = self.downsamples[index - 1](x)
            for block in stage.children():
                x, weights = self.run_block(block, x, "attentions" in wanted)
                found["features"].append(x.permute(0, 3, 1, 2))
                found["attentions"].append(weights)
            if index == len(self.stages) - 1:
                x = self.norm(x)
            found["pyramid"][4 * 2**index] = x.permute(0, 3, 1, 2)
        found["tokens"] = x.flatten(1, 2)
        found["embeddings"] = found["tokens"].mean(1)
        return self.finish(found, wanted)


class Tokenizer(nn.Module):
    """Two convolutions of stride 2 and a norm: (B, 3, H, W) -> (B, H / 4, W / 4, C)."""

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, dim // 2, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b rows columns d"]:
        return self.norm(self.conv2(self.conv1(images)).permute(0, 2, 3, 1))  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """A convolution of stride 2 that doubles the width, and a norm: (B, H, W, C) -> (B, H / 2, W / 2, 2 C)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, 2 * dim, 3, stride=2, padding=1, bias=False)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b rows columns c2"]:
        return self.norm(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))  # type: ignore[no-any-return]


class DiNATBlock(nn.Module):
    """Neighbourhood attention, then a feed-forward layer, each normalised before and added after. (B, H, W, C)."""

    def __init__(self, c: DiNATConfig, dim: int, num_heads: int, dilation: int, drop_path: float) -> None:
        super().__init__()
        hidden = int(dim * c.mlp_ratio)
        self.norm1 = nn.LayerNorm(dim, eps=c.layer_norm_eps)
        self.attn = NeighborhoodAttention(c, dim, num_heads, dilation)
        self.norm2 = nn.LayerNorm(dim, eps=c.layer_norm_eps)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.ls1, self.ls2 = (LayerScale(dim, c.layer_scale) if c.layer_scale else nn.Identity() for _ in range(2))
        self.dropout = nn.Dropout(c.dropout)
        self.drop_path1, self.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b h w c"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b h w c"], Float[Tensor, "b heads n k2"] | None]:
        """Return tokens and, if asked for, attention weights."""
        mixed, weights = self.attn(self.norm1(x), return_weights)
        x = x + self.drop_path1(self.ls1(mixed))
        hidden = self.dropout(F.gelu(self.fc1(self.norm2(x))))
        return x + self.drop_path2(self.ls2(self.dropout(self.fc2(hidden)))), weights


class NeighborhoodAttention(nn.Module):
    """Dilated neighbourhood attention (section 3.1, equations 1 to 3), with relative position biases.

    Along each axis, a token attends to the `kernel_size` tokens nearest to it among those whose distance is a multiple
    of the dilation; near a border the window is shifted, not cut. A picture smaller than kernel_size * dilation is
    padded with zeros at the right and bottom, as the authors do.
    """

    def __init__(self, c: DiNATConfig, dim: int, num_heads: int, dilation: int) -> None:
        super().__init__()
        self.num_heads, self.kernel_size, self.dilation = num_heads, c.kernel_size, dilation
        self.rate = c.attention_dropout
        self.qkv = nn.Linear(dim, 3 * dim, bias=c.qkv_bias)
        self.rpb = nn.Parameter(torch.zeros(num_heads, 2 * c.kernel_size - 1, 2 * c.kernel_size - 1))
        self.proj = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self, x: Float[Tensor, "b h w c"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b h w c"], Float[Tensor, "b heads n k2"] | None]:
        """Mix tokens (B, H, W, C) and, if asked for, return the weights (B, heads, H * W, kernel_size ** 2)."""
        height, width = x.shape[1:3]
        window = self.kernel_size * self.dilation
        if width < window or height < window:
            x = F.pad(x, (0, 0, 0, max(0, window - width), 0, max(0, window - height)))
        rows, columns, k = x.shape[1], x.shape[2], self.kernel_size
        query, key, value = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(3, 0, 4, 1, 2, 5).unbind(0)
        below, right = (neighbours(side, k, self.dilation, x.device) for side in (rows, columns))

        query = query.unsqueeze(-2) * query.shape[-1] ** -0.5  # (B, heads, H, W, 1, head_dim)
        near = gather(key, below[0], right[0])  # (B, heads, H, W, k * k, head_dim)
        bias = self.rpb[:, below[1][:, None, :, None], right[1][None, :, None, :]].flatten(-2)  # (heads, H, W, k * k)
        weights = torch.softmax((query @ near.transpose(-2, -1)).squeeze(-2) + bias, dim=-1)
        dropped = F.dropout(weights, self.rate, self.training)
        mixed = (dropped.unsqueeze(-2) @ gather(value, below[0], right[0])).squeeze(-2)  # (B, heads, H, W, head_dim)

        mixed = mixed.permute(0, 2, 3, 1, 4).flatten(-2)[:, :height, :width]
        kept = weights[:, :, :height, :width].flatten(2, 3) if return_weights else None
        return self.dropout(self.proj(mixed)), kept


def neighbours(side: int, kernel_size: int, dilation: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return which positions along one axis a position attends to, and their place in the table of biases.

    Args:
        side: number of positions, at least kernel_size * dilation.
        kernel_size: how many each attends to.
        dilation: their distance from each other.
        device: where the tables shall be.

    Returns:
        Positions, and relative offsets counted from 0, each (side, kernel_size).
    """
    position = torch.arange(side, device=device)[:, None]
    group, index = position % dilation, position // dilation  # positions of one group see each other only
    size = (side - group + dilation - 1) // dilation  # of the group
    first = torch.minimum((index - kernel_size // 2).clamp(min=0), size - kernel_size)
    seen = first + torch.arange(kernel_size, device=device)
    return seen * dilation + group, seen - index + kernel_size - 1


def gather(
    x: Float[Tensor, "b heads h w d"], rows: Int[Tensor, "h k"], columns: Int[Tensor, "w k"]
) -> Float[Tensor, "b heads h w k2 d"]:
    """Return the neighbourhood of every position, (B, heads, H, W, k * k, head_dim)."""
    return x[:, :, rows[:, None, :, None], columns[None, :, None, :]].flatten(4, 5)
