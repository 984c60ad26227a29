"""MobileViT: inverted residuals, and transformers in place of the matrix products inside a convolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import Attention, Block, Mlp, channels_last, conv2d, conv_bn
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.models.cv.mobilevit.model_v2 import MobileViTV2, inverted_residual
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MobileViT", "MobileViTConfig", "MobileViTV2"]


class MobileViTConfig(Config):
    """What makes one MobileViT; the defaults are MobileViT-S.

    Attributes:
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        stem_width: channels of the first convolution.
        widths: channels of the five stages.
        depths: inverted residuals of the first two stages, transformer blocks of the last three.
        transformer_dims: width of the tokens in the last three stages.
        top_width: channels of the last, 1x1 convolution.
        expand_ratio: hidden channels of an inverted residual over its input's.
        num_heads: attention heads of every transformer block.
        mlp_ratio: width of the feed-forward layers over that of the tokens.
        qkv_bias: whether query, key and value have a bias.
        patch_size: side of a patch, in positions of the grid.
        dropout, attention_dropout: rates in the transformers, in training.
        head_dropout: rate before the head, in training.
        layer_norm_eps: added to the variance by the layer norms.
    """

    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    stem_width: PositiveInt = 16
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (32, 64, 96, 128, 160)
    depths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (1, 3, 2, 4, 3)
    transformer_dims: tuple[PositiveInt, PositiveInt, PositiveInt] = (144, 192, 240)
    top_width: PositiveInt = 640
    expand_ratio: PositiveFloat = 4.0
    num_heads: PositiveInt = 4
    mlp_ratio: PositiveFloat = 2.0
    qkv_bias: bool = True
    patch_size: PositiveInt = 2
    dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    head_dropout: float = Field(0.1, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _divisible(self) -> MobileViTConfig:
        for dim in self.transformer_dims:
            if dim % self.num_heads:
                raise ValueError(
                    f"transformer_dims = {self.transformer_dims} are not multiples of {self.num_heads} heads"
                )
        return self


class MobileViT(WeightInitMixin, NexusModule):
    """The light-weight mobile vision transformer.

    Any image size is taken. Outputs: `features`, every inverted residual and every MobileViT block; `pyramid`, every
    stage but the first, {4, 8, 16, 32}; `tokens`, the grid behind the top convolution in row-major order;
    `embeddings`, its mean; `logits` where there is a head.
    """

    Config = MobileViTConfig

    def __init__(self, config: Mapping[str, Any] | MobileViTConfig) -> None:
        super().__init__(config)
        c: MobileViTConfig = self.config
        inputs = (c.stem_width, *c.widths)
        self.stem = conv_bn(conv2d(c.in_channels, c.stem_width, 3, stride=2), nn.SiLU())
        self.stages = nn.ModuleList(self.build_stage(stage, inputs[stage]) for stage in range(5))
        self.top = conv_bn(conv2d(c.widths[-1], c.top_width, 1), nn.SiLU())
        self.dropout = nn.Dropout(c.head_dropout)
        self.head: nn.Module = nn.Linear(c.top_width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()

    def build_stage(self, stage: int, inputs: int) -> nn.ModuleList:
        """Build one stage; the first keeps the grid, the others halve it."""
        c: MobileViTConfig = self.config
        width, stride = c.widths[stage], 2 if stage else 1
        first = inverted_residual(inputs, width, stride, c.expand_ratio)
        if stage >= 2:
            return nn.ModuleList([first, MobileViTBlock(c, width, c.transformer_dims[stage - 2], c.depths[stage])])
        others = [inverted_residual(width, width, 1, c.expand_ratio) for _ in range(c.depths[stage] - 1)]
        return nn.ModuleList([first, *others])

    @property
    def blocks(self) -> list[nn.Module]:
        """Inverted residuals and MobileViT blocks in order."""
        return [block for stage in self.stages for block in stage.children()]

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W), preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all.
            output_attentions: accepted for all models alike; a MobileViT gives none, whose tokens are pixels.

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
        x = self.top(x)
        found["tokens"] = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        found["embeddings"] = x.mean((2, 3))  # (B, C)
        return self.finish(found, wanted, self.dropout)


class MobileViTBlock(nn.Module):
    """Convolve, let each pixel see its peers in all patches, convolve the outcome beside the input (section 3.1).

    (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, c: MobileViTConfig, width: int, dim: int, depth: int) -> None:
        super().__init__()
        self.patch = c.patch_size
        self.local = conv_bn(conv2d(width, width, 3), nn.SiLU())
        self.expand = nn.Conv2d(width, dim, 1, bias=False)
        self.transformer = nn.ModuleList(build_transformer_block(c, dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=c.layer_norm_eps)
        self.project = conv_bn(conv2d(dim, width, 1), nn.SiLU())
        self.fuse = conv_bn(conv2d(2 * width, width, 3), nn.SiLU())

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        y = self.expand(self.local(x))
        size, rows, columns = y.shape[-2:], -(-y.shape[-2] // self.patch), -(-y.shape[-1] // self.patch)
        whole = (rows * self.patch, columns * self.patch)
        if whole != size:
            y = F.interpolate(y, size=whole, mode="bilinear")
        tokens = self.unfold(y, rows, columns)
        for block in self.transformer:
            tokens, _ = block(tokens)
        y = self.fold(self.norm(tokens), y.shape[0], rows, columns)
        if whole != size:
            y = F.interpolate(y, size=size, mode="bilinear")
        return self.fuse(torch.cat([x, self.project(y)], dim=1))  # type: ignore[no-any-return]

    def unfold(self, x: Float[Tensor, "b d h w"], rows: int, columns: int) -> Float[Tensor, "b_area patches d"]:
        """Group the pixels by their place in a patch: (B, D, H, W) -> (B * patch^2, patches, D)."""
        batch, dim, patch = x.shape[0], x.shape[1], self.patch
        x = x.reshape(batch, dim, rows, patch, columns, patch).permute(0, 3, 5, 2, 4, 1)
        return x.reshape(batch * patch * patch, rows * columns, dim)

    def fold(
        self, tokens: Float[Tensor, "b_area patches d"], batch: int, rows: int, columns: int
    ) -> Float[Tensor, "b d h w"]:
        """Undo `unfold`."""
        patch = self.patch
        x = tokens.reshape(batch, patch, patch, rows, columns, -1).permute(0, 5, 3, 1, 4, 2)
        return x.reshape(batch, -1, rows * patch, columns * patch)


def build_transformer_block(c: MobileViTConfig, dim: int) -> Block:
    """Build one transformer block."""
    return Block(
        nn.LayerNorm(dim, eps=c.layer_norm_eps),
        Attention(dim, c.num_heads, qkv_bias=c.qkv_bias, attention_dropout=c.attention_dropout, dropout=c.dropout),
        nn.LayerNorm(dim, eps=c.layer_norm_eps),
        Mlp(dim, int(dim * c.mlp_ratio), act=nn.SiLU(), dropout=c.dropout),
    )
