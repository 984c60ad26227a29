"""TinyViT, as in Wu et al. 2022 (arXiv:2207.10666), section 3.2: convolutions at first, attention in windows then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import (
    Attention,
    DropPath,
    InvertedResidual,
    Mlp,
    channels_last,
    conv2d,
    conv_bn,
    linear_rates,
    relative_bias,
)
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["TinyViT", "TinyViTConfig"]


class TinyViTConfig(Config):
    """What makes one TinyViT; the defaults are TinyViT-21M at 224 pixels.

    Attributes:
        widths: channels of the stages; the first is one of convolutions, the others of attention.
        depths: blocks in each stage.
        num_heads: attention heads in each stage; the first number is not read.
        windows: side of the attention windows in each stage, in positions; the first number is not read.
        expand_ratio: hidden channels of the convolutional blocks over their width.
        mlp_ratio: width of the feed-forward layers over that of their stage.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout: rate in the feed-forward layers.
        num_classes: outputs of the linear head; 0: no head, and no logits.
    """

    widths: tuple[PositiveInt, ...] = Field((96, 192, 384, 576), min_length=1)
    depths: tuple[PositiveInt, ...] = (2, 2, 6, 2)
    num_heads: tuple[PositiveInt, ...] = (3, 6, 12, 18)
    windows: tuple[PositiveInt, ...] = (7, 7, 14, 7)
    expand_ratio: PositiveInt = 4
    mlp_ratio: PositiveFloat = 4.0
    drop_path: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    num_classes: NonNegativeInt = 1000

    @model_validator(mode="after")
    def _stages_agree(self) -> TinyViTConfig:
        for name in ("depths", "num_heads", "windows"):
            if len(getattr(self, name)) != len(self.widths):
                raise ValueError(f"{name} has {len(getattr(self, name))} stages, widths has {len(self.widths)}")
        for width, heads in zip(self.widths[1:], self.num_heads[1:]):
            if width % heads:
                raise ValueError(f"a width of {width} is not a multiple of its num_heads = {heads}")
        return self


class TinyViT(WeightInitMixin, NexusModule):
    """The TinyViT encoder.

    Any image size is taken; maps that windows do not divide are padded. `forward` gives `features` and `pyramid` of the
    strides {4, 8, 16, 32}, `tokens` (B, N, D), the last grid in row-major order, `embeddings` (B, D), the norm of their
    mean, `logits` where there is a head, and, if asked for, `attentions` (B * windows, heads, M^2, M^2) of every block
    that has attention.
    """

    Config = TinyViTConfig

    def __init__(self, config: Mapping[str, Any] | TinyViTConfig) -> None:
        super().__init__(config)
        c: TinyViTConfig = self.config
        self.stem = Stem(c.widths[0])
        rates = iter(linear_rates(c.drop_path, sum(c.depths)))
        self.stages = nn.ModuleList(build_stage(c, stage, rates) for stage in range(len(c.widths)))
        self.merges = nn.ModuleList(ConvMerge(*pair) for pair in zip(c.widths, c.widths[1:]))
        self.norm = nn.LayerNorm(c.widths[-1])
        self.head: nn.Module = nn.Linear(c.widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        for block in self.stages[0].children():
            nn.init.zeros_(block.project.bn.weight)  # type: ignore[union-attr, arg-type]

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}
        attentions: list[Tensor] = []

        x = self.stem(channels_last(images))  # (B, C, H/4, W/4), rounded up here and below
        for stage, blocks in enumerate(self.stages):
            x = self.merges[stage - 1](x) if stage else x
            for block in blocks.children():
                x, weights = self.run_block(block, x, "attentions" in wanted)
                if "features" in wanted:
                    features.append(x)
                if weights is not None:
                    attentions.append(weights)
            if "pyramid" in wanted:
                pyramid[4 << stage] = x

        found = {
            "tokens": x.flatten(2).transpose(1, 2),  # (B, N, D)
            "embeddings": self.norm(x.mean((2, 3))),  # (B, D)
            "features": features,
            "pyramid": pyramid,
            "attentions": attentions,
        }
        return self.finish(found, wanted)

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks in order."""
        return [block for blocks in self.stages for block in blocks.children()]


class Stem(nn.Module):
    """Two strided convolutions: (B, 3, H, W) -> (B, width, H / 4, W / 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(conv2d(3, width // 2, 3, stride=2), nn.GELU())
        self.conv2 = conv_bn(conv2d(width // 2, width, 3, stride=2))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width rows columns"]:
        return self.conv2(self.conv1(x))  # type: ignore[no-any-return]


class ConvMerge(nn.Module):
    """From one stage to the next: (B, C, H, W) -> (B, width, H / 2, W / 2)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(conv2d(inputs, width, 1), nn.GELU())
        self.conv2 = conv_bn(conv2d(width, width, 3, stride=2, groups=width), nn.GELU())
        self.conv3 = conv_bn(conv2d(width, width, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width rows columns"]:
        return self.conv3(self.conv2(self.conv1(x)))  # type: ignore[no-any-return]


def build_stage(config: TinyViTConfig, stage: int, rates: Iterator[float]) -> nn.ModuleList:
    """Build the blocks of one stage."""
    build = attention_block if stage else conv_block
    return nn.ModuleList(build(config, stage, next(rates)) for _ in range(config.depths[stage]))


def conv_block(config: TinyViTConfig, stage: int, drop_path: float) -> ConvBlock:
    width = config.widths[stage]
    hidden = width * config.expand_ratio
    return ConvBlock(
        expand=conv_bn(conv2d(width, hidden, 1), nn.GELU()),
        depthwise=conv_bn(conv2d(hidden, hidden, 3, groups=hidden), nn.GELU()),
        project=conv_bn(conv2d(hidden, width, 1)),
        stride=1,
        residual=True,
        drop_path=drop_path,
    )


class ConvBlock(InvertedResidual):
    """An inverted residual with an activation behind the sum. (B, C, H, W) -> the same, and no attention weights."""

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "b c h w"], _return_weights: bool = False
    ) -> tuple[Float[Tensor, "b c h w"], None]:
        return F.gelu(super().forward(x)), None


def attention_block(config: TinyViTConfig, stage: int, drop_path: float) -> AttentionBlock:
    width, window = config.widths[stage], config.windows[stage]
    mlp = Mlp(width, int(width * config.mlp_ratio), dropout=config.dropout)
    return AttentionBlock(width, WindowAttention(width, config.num_heads[stage], window), mlp, drop_path=drop_path)


class AttentionBlock(nn.Module):
    """Attention in windows, a depthwise convolution, and a feed-forward layer (figure 2 of the paper).

    Args:
        dim: channels C.
        attn: attention within windows; see `WindowAttention`.
        mlp: feed-forward layer.
        drop_path: rate of stochastic depth on both branches.
    """

    def __init__(self, dim: int, attn: WindowAttention, mlp: nn.Module, *, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attn
        self.local_conv = conv_bn(conv2d(dim, dim, 3, groups=dim))
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp
        self.drop_path1, self.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b c h w"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b_windows heads m m"] | None]:
        """Return the map (B, C, H, W) and, if asked for, weights (B * windows, heads, M^2, M^2)."""
        # Channels last, in which a map and its tokens are the same memory.
        y = x.permute(0, 2, 3, 1)
        mixed, weights = self.attend(y, return_weights)
        y = y + self.drop_path1(mixed)
        y = self.local_conv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = y + self.drop_path2(self.mlp(self.norm2(y)))
        return y.permute(0, 3, 1, 2), weights

    def attend(
        self, x: Float[Tensor, "b h w c"], return_weights: bool
    ) -> tuple[Float[Tensor, "b h w c"], Float[Tensor, "b_windows heads m m"] | None]:
        """Cut a map into windows, mix the positions of each, and join them again."""
        side = self.attn.window
        batch, height, width, dim = x.shape
        if height % side or width % side:  # what is padded is normalised and attended to like the rest
            x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        windows = x.reshape(batch, rows, side, columns, side, dim).transpose(2, 3).reshape(-1, side * side, dim)
        windows = self.norm1(windows)
        mixed, weights = self.attn(windows, return_weights, self.attn.bias().to(windows.dtype))
        joined = mixed.reshape(batch, rows, columns, side, side, dim).transpose(2, 3)
        return joined.reshape(batch, rows * side, columns * side, dim)[:, :height, :width], weights


class WindowAttention(Attention):
    """Self-attention within windows, biased by distance: (B * windows, M^2, C) -> the same.

    Args:
        dim: channels C.
        num_heads: number of heads; divides `dim`.
        window: side M of a window.
    """

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__(dim, num_heads)
        self.window = window
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window * window))

    def bias(self) -> Float[Tensor, "1 heads m m"]:
        """Return what is added to the scores, (1, heads, M^2, M^2)."""
        return relative_bias(self.offsets(), (self.window, self.window))

    def offsets(self) -> Float[Tensor, "offsets heads"]:
        """Return the bias of every offset, ((2 M - 1)^2, heads): that of its distances down and right."""
        table = self.attention_biases.reshape(-1, self.window, self.window)  # by |rows|, |columns|
        for axis in (1, 2):
            table = torch.cat([table.narrow(axis, 1, self.window - 1).flip(axis), table], dim=axis)
        return table.flatten(1).T
