"""Hiera: a hierarchical vision transformer that is nothing but attention and pooling.

Ryali et al. 2023, arXiv:2306.00989. Tokens lie in mask units, (B, U, S, S, D): U units, row-major, of S x S patches.
A unit is what masked pre-training keeps or drops, the window of the local attention, and what pooling stays within.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, check_multiple
from nexus.errors import InputError
from nexus.layers import DropPath, Mlp, linear_rates, mix_values, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Hiera", "HieraConfig"]


class HieraConfig(Config):
    """What makes one Hiera; the defaults are Hiera-B with a head for ImageNet-1k.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        patch_size, patch_stride, patch_padding: of the convolution that makes patches, which overlap.
        embed_dim: channels of the first stage; each later stage has twice as many.
        depths: blocks in each stage; the first of each but the first stage pools its queries 2x2.
        num_heads: attention heads in each stage.
        unit_size: side of a mask unit in patches of the first stage.
        unit_attention: whether the attention of each stage stays within the units; a pooling block does as the stage
            before it.
        mlp_ratio: width of the feed-forward layer over the stage's channels.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout: rate before the head in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    image_size: PositiveInt = 224
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    patch_size: PositiveInt = 7
    patch_stride: PositiveInt = 4
    patch_padding: NonNegativeInt = 3
    embed_dim: PositiveInt = 96
    depths: tuple[PositiveInt, ...] = Field((2, 3, 16, 3), min_length=1)
    num_heads: tuple[PositiveInt, ...] = (1, 2, 4, 8)
    unit_size: PositiveInt = 8
    unit_attention: tuple[bool, ...] = (True, True, False, False)
    mlp_ratio: PositiveFloat = 4.0
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-6

    @model_validator(mode="after")
    def _sizes_agree(self) -> HieraConfig:
        if not len(self.depths) == len(self.num_heads) == len(self.unit_attention):
            raise ValueError(
                f"depths = {self.depths}, num_heads = {self.num_heads} and unit_attention = {self.unit_attention} need "
                "one value per stage each"
            )
        if self.unit_size % (1 << len(self.depths) - 1):
            raise ValueError(
                f"unit_size = {self.unit_size} cannot be halved {len(self.depths) - 1} times, once between two stages"
            )
        check_multiple("image_size", self.image_size, self.unit_pixels, f"a mask unit's {self.unit_pixels} pixels")
        for width, heads in zip(self.widths, self.num_heads):
            if width % heads:
                raise ValueError(
                    f"embed_dim = {self.embed_dim} makes a stage of {width} channels, no multiple of its {heads} heads"
                )
        return self

    @property
    def unit_pixels(self) -> int:
        """Side of a mask unit in pixels."""
        return self.unit_size * self.patch_stride

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        return [self.embed_dim << stage for stage in range(len(self.depths))]


class Hiera(WeightInitMixin, NexusModule):
    """The Hiera encoder, with a linear head.

    `forward` gives `embeddings` (B, D), the normalised mean of the last grid; `tokens` (B, N, D), that grid normalised;
    `features`, the map of every block; `pyramid`, the map of every stage, {4, 8, 16, 32}, before any norm; `logits`
    where there is a head; and if asked for `attentions` of every block, (B * U, heads, S S, S S) within units
    and (B, heads, U S S, U S S) across them; those of a pooling block have a quarter of the rows.
    """

    Config = HieraConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | HieraConfig) -> None:
        super().__init__(config)
        c: HieraConfig = self.config
        self.patch_embed = PatchConv(c)
        self.pos_embed = nn.Parameter(torch.zeros(1, (c.image_size // c.patch_stride) ** 2, c.embed_dim))
        rates = iter(linear_rates(c.drop_path, sum(c.depths)))
        self.blocks = nn.ModuleList(
            build_block(c, stage, index, next(rates)) for stage, depth in enumerate(c.depths) for index in range(depth)
        )
        self.norm = nn.LayerNorm(c.widths[-1], eps=c.layer_norm_eps)
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(c.widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights()

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed; H and W are multiples of a mask unit's side, 32 pixels by default.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        features: list[Tensor] = []
        attentions: list[Tensor] = []

        x, units = self.embed(images)
        for block in self.blocks:
            x, weights = self.run_block(block, x, "attentions" in wanted)
            features.append(self.as_map(x, units))
            if weights is not None:
                attentions.append(weights)

        last = features[-1].flatten(2).transpose(1, 2)  # (B, N, D)
        found = {
            "embeddings": self.norm(last.mean(1)),
            "tokens": self.norm(last),
            "features": features,
            "pyramid": self.stage_ends(features),
            "attentions": attentions,
        }
        return self.finish(found, wanted, self.dropout)

    def embed(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b u s s d"], tuple[int, int]]:
        """Turn images into the tokens that enter the first block, (B, U, S, S, D), and rows and columns of units."""
        size = self.config.unit_size
        x = self.patch_embed(images).permute(0, 2, 3, 1)
        batch, rows, columns, width = x.shape
        x = x + resample_positions(self.pos_embed, (rows, columns)).reshape(1, rows, columns, width)
        units = (rows // size, columns // size)
        x = x.reshape(batch, units[0], size, units[1], size, width).transpose(2, 3)
        return x.reshape(batch, units[0] * units[1], size, size, width), units

    def as_map(self, x: Float[Tensor, "b u s s d"], units: tuple[int, int]) -> Float[Tensor, "b d rows columns"]:
        """Lay tokens (B, U, S, S, D) out as a map (B, D, rows, columns)."""
        side = x.shape[2]
        x = x.reshape(x.shape[0], *units, side, side, x.shape[-1]).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(*x.shape[:2], units[0] * side, units[1] * side)

    def stage_ends(self, features: Sequence[Tensor]) -> dict[int, Tensor]:
        """Return the maps of the last block of each stage by their strides."""
        c: HieraConfig = self.config
        ends = (sum(c.depths[: stage + 1]) for stage in range(len(c.depths)))
        return {c.patch_stride << stage: features[end - 1] for stage, end in enumerate(ends)}

    def init_weights(self) -> None:
        """Initialise as the authors do: biases a little above zero, and a head that starts at almost nothing."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear | nn.LayerNorm):
                nn.init.constant_(module.bias, 0.02)
        if isinstance(self.head, nn.Linear):
            nn.init.trunc_normal_(self.head.weight, std=0.02 * 0.001)
            nn.init.constant_(self.head.bias, 0.02 * 0.001)


class PatchConv(nn.Module):
    """Overlapping patches, projected: (B, C, H, W) -> (B, D, H / 4, W / 4)."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self.unit_pixels = config.unit_pixels
        self.proj = nn.Conv2d(
            config.in_channels, config.embed_dim, config.patch_size, config.patch_stride, config.patch_padding
        )

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d rows columns"]:
        """Return the patches.

        Raises:
            InputError: the images have another number of channels, or a side that is no multiple of a mask unit.
        """
        if images.ndim != 4 or images.shape[1] != self.proj.in_channels:
            raise InputError(
                f"images have the shape {tuple(images.shape)}, not (batch, {self.proj.in_channels}, height, width)"
            )
        height, width = images.shape[-2:]
        if height % self.unit_pixels or width % self.unit_pixels:
            raise InputError(
                f"images are {height}x{width} pixels; both sides must be multiples of a mask unit's side, "
                f"{self.unit_pixels}: resize or crop them"
            )
        return self.proj(images)  # type: ignore[no-any-return]


def build_block(c: HieraConfig, stage: int, index: int, drop_path: float) -> HieraBlock:
    """Build one block; the first one of a later stage comes from the stage before it."""
    pools = stage > 0 and index == 0
    before = stage - 1 if pools else stage
    attention = UnitAttention(
        c.widths[before], c.widths[stage], c.num_heads[stage], pool=pools, within_units=c.unit_attention[before]
    )
    mlp = Mlp(c.widths[stage], int(c.widths[stage] * c.mlp_ratio))
    return HieraBlock(c.widths[before], c.widths[stage], attention, mlp, eps=c.layer_norm_eps, drop_path=drop_path)


class HieraBlock(nn.Module):
    """Pre-norm transformer block that may pool its tokens and widen them (figure 2 of the paper).

    Args:
        inputs: channels that come in.
        dim: channels that go out; where they are others, the shortcut is projected and pooled too.
        attn: attention; see `UnitAttention`.
        mlp: feed-forward layer.
        eps: added to the variance by the normalisations.
        drop_path: rate of stochastic depth on both branches.
    """

    def __init__(self, inputs: int, dim: int, attn: nn.Module, mlp: nn.Module, *, eps: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(inputs, eps=eps)
        self.attn = attn
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = mlp
        self.proj = nn.Linear(inputs, dim) if inputs != dim else None
        self.drop_path1, self.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b u s s d"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b u s2 s2 d2"], Float[Tensor, "groups heads queries keys"] | None]:
        """Return tokens (B, U, S, S, D), or (B, U, S / 2, S / 2, 2 D), and attention weights if asked for."""
        normed = self.norm1(x)
        if self.proj is not None:
            x = pool(self.proj(normed))
        mixed, weights = self.attn(normed, return_weights)
        x = x + self.drop_path1(mixed)
        x = x + self.drop_path2(self.mlp(self.norm2(x)))
        return x, weights


class UnitAttention(nn.Module):
    """Self-attention within mask units or across them (section 3.2), whose queries may be pooled.

    Args:
        inputs: channels that come in.
        dim: channels that go out.
        num_heads: number of heads; divides `dim`.
        pool: whether queries are pooled 2x2.
        within_units: whether tokens attend to those of their own unit only.
    """

    def __init__(self, inputs: int, dim: int, num_heads: int, *, pool: bool, within_units: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.pool, self.within_units = pool, within_units
        self.qkv = nn.Linear(inputs, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, x: Float[Tensor, "b u s s d"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b u s2 s2 d2"], Float[Tensor, "groups heads queries keys"] | None]:
        """Mix tokens (B, U, S, S, D); see `HieraBlock`."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        query = pool(query) if self.pool else query
        shape = query.shape
        parts = self.heads(query), self.heads(key), self.heads(value)
        mixed, weights = mix_values(*parts, return_weights=return_weights)
        return self.proj(mixed.transpose(1, 2).reshape(shape)), weights

    def heads(self, x: Float[Tensor, "b u s s d"]) -> Float[Tensor, "groups heads m head_dim"]:
        """Group tokens by unit or by image, and split heads: (B * U, heads, S * S, d) or (B, heads, U * S * S, d)."""
        x = x.flatten(2, 3)
        x = x.flatten(0, 1) if self.within_units else x.flatten(1, 2)
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)


def pool(x: Float[Tensor, "b u s s d"]) -> Float[Tensor, "b u half half d"]:
    """Take the maximum over 2x2 patches within each unit: (B, U, S, S, D) -> (B, U, S / 2, S / 2, D)."""
    batch, units, side, _, width = x.shape
    return x.reshape(batch, units, side // 2, 2, side // 2, 2, width).amax((3, 5))
