"""MobileViTv2: MobileViT with attention whose cost grows with the number of tokens, not with its square."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import InvertedResidual, channels_last, conv2d, conv_bn, make_divisible
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MobileViTV2", "MobileViTV2Config", "inverted_residual"]


class MobileViTV2Config(Config):
    """What makes one MobileViTv2; the defaults are MobileViTv2-1.0.

    Attributes:
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        width_multiplier: scales all widths.
        depths: inverted residuals of the first two stages, attention blocks of the last three.
        attention_dims: width of the tokens in the last three stages, before scaling.
        expand_ratio: hidden channels of an inverted residual over its input's.
        ffn_ratio: width of the feed-forward layers over that of the tokens.
        patch_size: side of a patch, in positions of the grid.
        dropout, attention_dropout: rates in the attention blocks, in training.
        norm_eps: added to the variance by the norms of the attention blocks.
    """

    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    width_multiplier: PositiveFloat = 1.0
    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 2, 2, 4, 3)
    attention_dims: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 192, 256)
    expand_ratio: PositiveFloat = 2.0
    ffn_ratio: PositiveFloat = 2.0
    patch_size: PositiveInt = 2
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    norm_eps: PositiveFloat = 1e-5

    def widths(self) -> tuple[int, ...]:
        """Return the channels of the stem and of the five stages (table 1 of the paper)."""
        scale = self.width_multiplier
        stem = make_divisible(min(max(32 * scale, 16), 64), 8)
        return (
            stem,
            make_divisible(64 * scale, 16),
            *(make_divisible(width * scale, 8) for width in (128, 256, 384, 512)),
        )


class MobileViTV2(WeightInitMixin, NexusModule):
    """The mobile vision transformer with separable self-attention.

    Any image size is taken. Outputs: `features`, every inverted residual and every MobileViTv2 block; `pyramid`, every
    stage but the first, {4, 8, 16, 32}; `tokens`, the last grid in row-major order; `embeddings`, its mean; `logits`
    where there is a head.
    """

    Config = MobileViTV2Config

    def __init__(self, config: Mapping[str, Any] | MobileViTV2Config) -> None:
        super().__init__(config)
        c: MobileViTV2Config = self.config
        widths = c.widths()
        self.stem = conv_bn(conv2d(c.in_channels, widths[0], 3, stride=2), nn.SiLU())
        self.stages = nn.ModuleList(self.build_stage(stage, *widths[stage : stage + 2]) for stage in range(5))
        self.head: nn.Module = nn.Linear(widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()

    def build_stage(self, stage: int, inputs: int, width: int) -> nn.ModuleList:
        """Build one stage; the first keeps the grid, the others halve it."""
        c: MobileViTV2Config = self.config
        first = inverted_residual(inputs, width, 2 if stage else 1, c.expand_ratio)
        if stage >= 2:
            dim = make_divisible(c.attention_dims[stage - 2] * c.width_multiplier, 8)
            return nn.ModuleList([first, MobileViTV2Block(c, width, dim, c.depths[stage])])
        others = [inverted_residual(width, width, 1, c.expand_ratio) for _ in range(c.depths[stage] - 1)]
        return nn.ModuleList([first, *others])

    @property
    def blocks(self) -> list[nn.Module]:
        """Inverted residuals and MobileViTv2 blocks in order."""
        return [block for stage in self.stages for block in stage.children()]

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W), preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all.
            output_attentions: accepted for all models alike; separable attention has no matrix of weights.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        found: dict[str, Any] = {"features": [], "pyramid": {}}
        x = self.stem(channels_last(images))  # (B, C, H / 2, W / 2), rounded up here and below
        for index, stage in enumerate(self.stages):
            for block in stage.children():
                x = self.run_block(block, x)
                found["features"].append(x)
            if index:
                found["pyramid"][2 << index] = x
        found["tokens"] = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        found["embeddings"] = x.mean((2, 3))  # (B, C)
        return self.finish(found, wanted)


class MobileViTV2Block(nn.Module):
    """Convolve, and let each pixel see its peers in all patches (figure 4b): (B, C, H, W) -> (B, C, H, W).

    A grid that is no multiple of the patch is resized to one, and stays so, as the authors do.
    """

    def __init__(self, c: MobileViTV2Config, width: int, dim: int, depth: int) -> None:
        super().__init__()
        self.patch = c.patch_size
        self.local = conv_bn(conv2d(width, width, 3, groups=width), nn.SiLU())
        self.expand = nn.Conv2d(width, dim, 1, bias=False)
        self.transformer = nn.ModuleList(SeparableBlock(c, dim) for _ in range(depth))
        self.norm = nn.GroupNorm(1, dim, eps=c.norm_eps)
        self.project = conv_bn(conv2d(dim, width, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c rows columns"]:
        (height, width), patch = x.shape[-2:], self.patch
        rows, columns = -(-height // patch), -(-width // patch)
        if (rows * patch, columns * patch) != (height, width):
            x = F.interpolate(x, size=(rows * patch, columns * patch), mode="bilinear", align_corners=True)
        y = self.expand(self.local(x))
        batch, dim = y.shape[:2]
        tokens = y.reshape(batch, dim, rows, patch, columns, patch).permute(0, 1, 3, 5, 2, 4)
        tokens = tokens.reshape(batch, dim, patch * patch, rows * columns)
        for block in self.transformer:
            tokens = block(tokens)
        tokens = self.norm(tokens).reshape(batch, dim, patch, patch, rows, columns).permute(0, 1, 4, 2, 5, 3)
        return self.project(tokens.reshape(batch, dim, rows * patch, columns * patch))  # type: ignore[no-any-return]


class SeparableBlock(nn.Module):
    """Separable self-attention, then a feed-forward layer, each normalised before and added after.

    (B, D, pixels of a patch, patches) -> the same; linear layers are 1x1 convolutions of it.
    """

    def __init__(self, c: MobileViTV2Config, dim: int) -> None:
        super().__init__()
        hidden = int(dim * c.ffn_ratio) // 16 * 16
        self.norm1 = nn.GroupNorm(1, dim, eps=c.norm_eps)
        self.attn = SeparableAttention(dim, c.attention_dropout)
        self.norm2 = nn.GroupNorm(1, dim, eps=c.norm_eps)
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, dim, 1)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Float[Tensor, "b d p n"]) -> Float[Tensor, "b d p n"]:
        x = x + self.attn(self.norm1(x))
        hidden = self.dropout(F.silu(self.fc1(self.norm2(x))))
        return x + self.dropout(self.fc2(hidden))  # type: ignore[no-any-return]


class SeparableAttention(nn.Module):
    """Separable self-attention (section 3.2): one score per token weighs the keys into one context vector for all.

    (B, D, pixels of a patch, patches) -> the same.
    """

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.qkv = nn.Conv2d(dim, 1 + 2 * dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "b d p n"]) -> Float[Tensor, "b d p n"]:
        query, key, value = self.qkv(x).split([1, self.dim, self.dim], dim=1)
        scores = self.dropout(query.softmax(-1))  # (B, 1, p, n), over the patches
        context = (key * scores).sum(-1, keepdim=True)  # (B, D, p, 1)
        return self.proj(F.relu(value) * context)  # type: ignore[no-any-return]


def inverted_residual(inputs: int, width: int, stride: int, expand_ratio: float) -> InvertedResidual:
    """Build MobileNetV2's block: widen, convolve each channel, narrow."""
    hidden = make_divisible(round(inputs * expand_ratio), 8)
    return InvertedResidual(
        expand=conv_bn(conv2d(inputs, hidden, 1), nn.SiLU()),
        depthwise=conv_bn(conv2d(hidden, hidden, 3, stride=stride, groups=hidden), nn.SiLU()),
        project=conv_bn(conv2d(hidden, width, 1)),
        stride=stride,
        residual=stride == 1 and inputs == width,
    )
