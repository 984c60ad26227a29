"""CLIP's ResNet (Radford et al. 2021, section 2.4): a deeper stem, pooling for strides, attention as the last pool."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, check_multiple
from nexus.layers import channels_last, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CLIPResNet", "CLIPResNetConfig"]

STRIDE = 32
"""Pixels per cell of the last grid."""


class CLIPResNetConfig(Config):
    """What makes one image tower; the defaults are CLIP RN50.

    Attributes:
        image_size: side in pixels for which the position embeddings of the last pool are stored; other sizes resample
            them.
        in_channels: channels of the images.
        num_classes: outputs of a linear head over `embeddings`; 0: no head, and no logits.
        width: channels behind the stem; the last stage gives 32 times as many.
        depths: blocks in each of the four stages.
        num_heads: attention heads of the last pool.
        projection_dim: width of the space shared with the texts.
        bn_eps, bn_momentum: of every batch norm; the momentum is the share of the new batch, as PyTorch counts it.
    """

    image_size: PositiveInt = 224
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 0
    width: PositiveInt = 64
    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (3, 4, 6, 3)
    num_heads: PositiveInt = 32
    projection_dim: PositiveInt = 1024
    bn_eps: PositiveFloat = 1e-5
    bn_momentum: PositiveFloat = 0.1

    @model_validator(mode="after")
    def _divisible(self) -> CLIPResNetConfig:
        check_multiple("image_size", self.image_size, STRIDE, f"the stride, {STRIDE}")
        if self.width % 2:
            raise ValueError(f"width = {self.width} is odd: the stem works at half of it")
        if 32 * self.width % self.num_heads:
            raise ValueError(f"32 * width = {32 * self.width} is not a multiple of num_heads = {self.num_heads}")
        return self


class CLIPResNet(WeightInitMixin, NexusModule):
    """The ResNet of CLIP.

    Any input size is taken. Outputs: `features`, every block; `pyramid` {4, 8, 16, 32}, every stage; `tokens`, the last
    stage's grid in row-major order; `embeddings` (B, projection_dim), what the attention pool makes of it, not
    normalised; `logits` where there is a head.
    """

    Config = CLIPResNetConfig

    def __init__(self, config: Mapping[str, Any] | CLIPResNetConfig) -> None:
        super().__init__(config)
        c: CLIPResNetConfig = self.config
        widths = [4 * c.width * 2**s for s in range(4)]
        self.stem = Stem(c)
        self.stages = nn.ModuleList(
            stage(c, inputs, outputs, depth, stride=2 if s else 1)
            for s, (inputs, outputs, depth) in enumerate(zip([c.width, *widths], widths, c.depths))
        )
        self.pool = AttentionPool(widths[-1], c.num_heads, c.projection_dim, c.image_size // STRIDE)
        self.head: nn.Module = nn.Linear(c.projection_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        self.init_as_the_authors()

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all.
            output_attentions: accepted for all models alike; a ResNet has none.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}

        x = self.stem(channels_last(images))  # (B, C, H/4, W/4), rounded up here and below
        for s, blocks in enumerate(self.stages):
            for block in blocks.children():
                x = self.run_block(block, x)
                if "features" in wanted:
                    features.append(x)
            if "pyramid" in wanted:
                pyramid[4 * 2**s] = x

        found: dict[str, Any] = {"tokens": x.flatten(2).transpose(1, 2), "features": features, "pyramid": pyramid}
        if not wanted.isdisjoint({"embeddings", "logits"}):
            found["embeddings"] = self.pool(x)
        return self.finish(found, wanted)

    @property
    def blocks(self) -> list[nn.Module]:
        """The residual blocks in order."""
        return [block for blocks in self.stages for block in blocks.children()]

    def init_as_the_authors(self) -> None:
        """Initialise the pool as openai/CLIP does, and let every block start as the identity."""
        scale = self.pool.pos_embed.shape[-1] ** -0.5
        nn.init.normal_(self.pool.pos_embed, std=scale)
        for layer in (self.pool.q, self.pool.kv, self.pool.proj):
            nn.init.normal_(layer.weight, std=scale)
        for block in self.blocks:
            nn.init.zeros_(block.get_parameter("conv3.bn.weight"))


class Stem(nn.Module):
    """Three convolutions and an average pool: (B, 3, H, W) -> (B, C, H/4, W/4)."""

    def __init__(self, config: CLIPResNetConfig) -> None:
        super().__init__()
        width = config.width
        self.conv1 = conv_bn(config, config.in_channels, width // 2, 3, stride=2)
        self.conv2 = conv_bn(config, width // 2, width // 2, 3)
        self.conv3 = conv_bn(config, width // 2, width, 3)
        self.pool = average(2)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.relu(conv(x))
        return self.pool(x)  # type: ignore[no-any-return]


def stage(config: CLIPResNetConfig, inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
    """Blocks of one grid size; the first one changes the grid and the channels."""
    first = Bottleneck(config, inputs, outputs, stride)
    return nn.Sequential(first, *(Bottleneck(config, outputs, outputs, 1) for _ in range(depth - 1)))


class Bottleneck(nn.Module):
    """y = relu(F(x) + x), F a 1x1, a 3x3 and a 1x1 convolution.

    No convolution has a stride: an average pool before it makes the grid smaller (Zhang 2019, anti-aliasing), in the
    shortcut as well.
    """

    def __init__(self, config: CLIPResNetConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        narrow = outputs // 4
        self.conv1 = conv_bn(config, inputs, narrow, 1)
        self.conv2 = conv_bn(config, narrow, narrow, 3)
        self.pool = average(stride)
        self.conv3 = conv_bn(config, narrow, outputs, 1)
        self.shortcut = nn.Identity() if inputs == outputs else conv_bn(config, inputs, outputs, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        residual = F.relu(self.conv1(x))
        residual = F.relu(self.conv2(residual))
        residual = self.conv3(self.pool(residual))
        return F.relu(residual + self.shortcut(self.pool(x)))


class AttentionPool(nn.Module):
    """The mean of a grid asks the grid: one layer of attention whose query is the mean (section 2.4).

    Args:
        dim: channels C of the grid.
        num_heads: number of heads; divides `dim`.
        out_dim: width D of what is returned.
        side: rows and columns of the grid for which position embeddings are stored.
    """

    def __init__(self, dim: int, num_heads: int, out_dim: int, side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + side**2, dim))  # the mean's first
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, out_dim)

    def forward(self, x: Float[Tensor, "b c rows columns"]) -> Float[Tensor, "b d"]:
        """Return one vector (B, D) per grid (B, C, rows, columns)."""
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2)  # (B, N, C)
        mean = x.mean(1, keepdim=True) + self.pos_embed[:, :1]
        # Of the implementations only timm's takes other grids than the stored one; it low-passes.
        x = x + resample_positions(self.pos_embed[:, 1:], grid, antialias=True)
        query = self.q(mean).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, 1, head_dim)
        keys = self.kv(torch.cat([mean, x], dim=1)).unflatten(-1, (2, self.num_heads, -1))
        key, value = keys.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, 1 + N, head_dim)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(1))  # type: ignore[no-any-return]


def conv_bn(config: CLIPResNetConfig, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and its batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    bn = nn.BatchNorm2d(outputs, eps=config.bn_eps, momentum=config.bn_momentum)
    return nn.Sequential(OrderedDict(conv=conv, bn=bn))


def average(stride: int) -> nn.Module:
    """Average windows of `stride` cells a side; at an odd border, those that there are."""
    return nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
