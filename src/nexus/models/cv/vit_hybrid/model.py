"""Hybrid ViT: a transformer encoder on the feature map of a ResNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, check_multiple, require_multiple
from nexus.errors import InputError
from nexus.layers import Attention, Block, Mlp, PatchEmbed, linear_rates, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["HybridViT", "HybridViTConfig"]


class HybridViTConfig(Config):
    """What makes one hybrid; the defaults are R50+ViT-B/16 with a head for ImageNet-1k.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        patch_size: side of a patch in cells of the ResNet's last map.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        depths: bottleneck blocks in each stage of the ResNet, whose strides are 4, 8, 16...; empty: its root alone.
            For patches of 16 pixels, ResNet-50's fourth stage is dropped and its blocks are added to the third.
        root_width: channels of the ResNet's root; stage s has 4 * 2^s times as many, counted from 0.
        groups: groups of channels that a norm of the ResNet normalises together.
        embed_dim: width D of the tokens.
        num_layers: number of transformer blocks.
        num_heads: attention heads per block.
        mlp_ratio: width of the feed-forward layer over D.
        qkv_bias: whether query, key and value have a bias.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the transformer's normalisations.
    """

    image_size: PositiveInt = 384
    patch_size: PositiveInt = 1
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    depths: tuple[PositiveInt, ...] = (3, 4, 9)
    root_width: PositiveInt = 64
    groups: PositiveInt = 32
    embed_dim: PositiveInt = 768
    num_layers: PositiveInt = 12
    num_heads: PositiveInt = 12
    mlp_ratio: PositiveFloat = 4.0
    qkv_bias: bool = True
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-6

    @property
    def stride(self) -> int:
        """Side in pixels of what one token stands for."""
        return int(4 * 2 ** max(len(self.depths) - 1, 0)) * self.patch_size

    @property
    def map_width(self) -> int:
        """Channels of the ResNet's last map."""
        return self.root_width * int(2 ** (len(self.depths) + 1) if self.depths else 1)

    @model_validator(mode="after")
    def _divisible(self) -> HybridViTConfig:
        check_multiple("image_size", self.image_size, self.stride, f"the tokens' stride, {self.stride}")
        require_multiple(self, "root_width", "groups")
        require_multiple(self, "embed_dim", "num_heads")
        return self


class HybridViT(WeightInitMixin, NexusModule):
    """The hybrid of a ResNet and a vision transformer, with a linear head.

    The ResNet is BiT's (Kolesnikov et al. 2019), with group norms and standardised convolutions, but normalises after
    each convolution instead of before it, and pads as TensorFlow does.

    `forward` gives `embeddings` (B, D) (what the head reads: the final class token), `tokens` (B, N, D), `features`,
    `pyramid` (the ResNet's maps and, at the tokens' stride, the tokens), `logits` where there is a head, `attentions`
    if asked for, and in `aux` the ``prefix_tokens`` of every block.
    """

    Config = HybridViTConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | HybridViTConfig) -> None:
        super().__init__(config)
        c: HybridViTConfig = self.config
        self.stem = Root(c.in_channels, c.root_width, c.groups)
        self.stages = nn.ModuleList(build_stage(c, index) for index in range(len(c.depths)))
        self.patch_embed = PatchEmbed(c.map_width, c.embed_dim, c.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (c.image_size // c.stride) ** 2, c.embed_dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(build_block(c, rate) for rate in linear_rates(c.drop_path, c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.head: nn.Module = nn.Linear(c.embed_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.stages.modules():
            if isinstance(module, Bottleneck):  # each residual branch begins at nothing, as in the authors' code
                nn.init.zeros_(module.norm3.weight)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed; where ``patch_size > 1``, H and W are multiples of the tokens' stride.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        maps = self.run_resnet(images)
        x, grid = self.embed(maps[-1])
        x, trace = self.run_blocks(x, wanted, pooled=1)
        x = self.norm(x)
        found = encoder_outputs(x, trace, prefix=1, grid=grid, stride=self.config.stride)
        found["pyramid"] = {4 * 2**index: level for index, level in enumerate(maps)} | found.get("pyramid", {})
        found["embeddings"] = x[:, 0]
        return self.finish(found, wanted)

    def run_resnet(self, images: Float[Tensor, "b c h w"]) -> list[Float[Tensor, "b width rows columns"]]:
        """Return the map behind each stage of the ResNet, finest first; without stages, that of the root."""
        self.check(images)
        maps = [self.stem(images)]
        for stage in self.stages:
            maps.append(self.run_block(stage, maps[-1]))
        return maps[1:] or maps

    def embed(self, features: Float[Tensor, "b width h w"]) -> tuple[Float[Tensor, "b tokens d"], tuple[int, int]]:
        """Turn a map into the tokens that enter the first block, (B, 1 + N, D), and the grid of the N patches."""
        x = self.patch_embed(features)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2) + resample_positions(self.pos_embed[:, 1:], grid, antialias=True)  # (B, N, D)
        cls = self.cls_token + self.pos_embed[:, :1]
        return self.dropout(torch.cat([cls.expand(x.shape[0], -1, -1), x], dim=1)), grid

    def check(self, images: Float[Tensor, "b c h w"]) -> None:
        """Refuse images that the model cannot take."""
        c: HybridViTConfig = self.config
        if images.ndim != 4 or images.shape[1] != c.in_channels:
            raise InputError(
                f"images have the shape {tuple(images.shape)}, not (batch, {c.in_channels}, height, width)"
            )
        height, width = images.shape[-2:]
        if c.patch_size > 1 and (height % c.stride or width % c.stride):
            raise InputError(
                f"images are {height}x{width} pixels; both sides must be multiples of the tokens' stride, "
                f"{c.stride}: resize or crop them"
            )


class Root(nn.Module):
    """The ResNet's first layers. (B, C, H, W) -> (B, width, H / 4, W / 4), sides rounded up."""

    def __init__(self, in_channels: int, width: int, groups: int) -> None:
        super().__init__()
        self.conv = StdConv2d(in_channels, width, 7, stride=2)
        self.norm = nn.GroupNorm(groups, width)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width rows columns"]:
        x = F.relu(self.norm(self.conv(images)))
        return F.max_pool2d(pad_same(x, 3, 2), 3, 2)  # padded with 0, of which no positive maximum knows


class Bottleneck(nn.Module):
    """Residual block of three convolutions, each normalised after it. The stride lies at the second.

    Args:
        inputs: channels that come in.
        width: channels of the second convolution; four times as many go out.
        stride: of the block; where it or the channels change, the shortcut is a convolution too.
        groups: of the norms.
    """

    def __init__(self, inputs: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = StdConv2d(inputs, width, 1)
        self.norm1 = nn.GroupNorm(groups, width)
        self.conv2 = StdConv2d(width, width, 3, stride=stride)
        self.norm2 = nn.GroupNorm(groups, width)
        self.conv3 = StdConv2d(width, 4 * width, 1)
        self.norm3 = nn.GroupNorm(groups, 4 * width)
        changes = stride > 1 or inputs != 4 * width
        self.downsample = Shortcut(inputs, 4 * width, stride, groups) if changes else nn.Identity()

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs rows columns"]:
        shortcut = self.downsample(x)
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return F.relu(self.norm3(self.conv3(x)) + shortcut)


class Shortcut(nn.Module):
    """What brings a block's input to the shape of its output. (B, C, H, W) -> (B, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = StdConv2d(inputs, outputs, 1, stride=stride)
        self.norm = nn.GroupNorm(groups, outputs)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs rows columns"]:
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


class StdConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and variance 1 (Qiao et al. 2019, "Weight Standardization").

    No bias. Padded such that sides are divided by the stride and rounded up.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> None:
        padding = kernel_size // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel_size, stride, padding, bias=False)

    def forward(self, input: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs rows columns"]:
        filters = self.weight.flatten(1)  # to standardise a filter is to normalise it as a layer norm does
        weight = F.layer_norm(filters, filters.shape[1:], eps=1e-8).view_as(self.weight)
        if self.kernel_size[0] > 1 and self.stride[0] > 1:
            input = pad_same(input, self.kernel_size[0], self.stride[0])
        return F.conv2d(input, weight, None, self.stride, self.padding)


def pad_same(x: Float[Tensor, "b c h w"], kernel: int, stride: int) -> Float[Tensor, "b c rows columns"]:
    """Pad with zeros as TensorFlow's "SAME", for sides rounded up; at the bottom and right one more where it is odd."""
    bottom, right = (kernel - stride + -side % stride for side in x.shape[-2:])
    return F.pad(x, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))


def build_stage(c: HybridViTConfig, index: int) -> nn.Sequential:
    """Build one stage of the ResNet; all but the first begin with a stride of 2."""
    width = c.root_width * 2**index
    inputs = 2 * width if index else c.root_width
    first = Bottleneck(inputs, width, 2 if index else 1, c.groups)
    rest = (Bottleneck(4 * width, width, 1, c.groups) for _ in range(c.depths[index] - 1))
    return nn.Sequential(first, *rest)


def build_block(c: HybridViTConfig, drop_path: float) -> Block:
    """Build one transformer block."""
    attention = Attention(
        c.embed_dim, c.num_heads, qkv_bias=c.qkv_bias, attention_dropout=c.attention_dropout, dropout=c.dropout
    )
    return Block(
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        attention,
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        Mlp(c.embed_dim, round(c.embed_dim * c.mlp_ratio), dropout=c.dropout),
        drop_path=drop_path,
    )
