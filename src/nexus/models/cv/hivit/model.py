"""HiViT: feed-forward layers and merging up to patches of 16 pixels, and a plain transformer from there on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, check_multiple
from nexus.errors import InputError
from nexus.layers import Attention, DropPath, Mlp, PatchMerging, linear_rates, relative_bias, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["HiViT", "HiViTConfig"]


class HiViTConfig(Config):
    """What makes one HiViT; the defaults are HiViT-B.

    Attributes:
        image_size: side in pixels for which positions and their biases are stored; other sizes resample them.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        embed_dim: width D of the last stage, whose tokens are patches of 16 pixels; every stage before has half of it.
        depths: blocks of the three stages; one of the first two stages is two feed-forward layers.
        num_heads: attention heads per block of the last stage.
        stem_mlp_ratio: width of the feed-forward layers of the first two stages over that of the tokens.
        mlp_ratio: likewise, of the last stage.
        qkv_bias: whether query, key and value have a bias.
        relative_positions: whether the attention is biased by relative position.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    image_size: PositiveInt = 224
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    embed_dim: PositiveInt = 512
    depths: tuple[PositiveInt, PositiveInt, PositiveInt] = (2, 2, 20)
    num_heads: PositiveInt = 8
    stem_mlp_ratio: PositiveFloat = 3.0
    mlp_ratio: PositiveFloat = 4.0
    qkv_bias: bool = True
    relative_positions: bool = True
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _divisible(self) -> HiViTConfig:
        check_multiple("image_size", self.image_size, 16, "the patch size, 16")
        if self.embed_dim % 4 or self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim = {self.embed_dim} is not a multiple of 4 (the first stage has a quarter of it) and of "
                f"num_heads = {self.num_heads}"
            )
        return self


class HiViT(WeightInitMixin, NexusModule):
    """The hierarchical vision transformer without windows.

    Up to the last stage nothing mixes the 16x16 pixels of one patch with another's, so that patches can be left out as
    in a plain ViT. Outputs: `features`, every block; `pyramid`, every stage, {4, 8, 16}; `tokens`, the last grid in
    row-major order; `embeddings`, their mean, normalised; `logits` where there is a head; `attentions` of the last
    stage's blocks if asked for.
    """

    Config = HiViTConfig

    def __init__(self, config: Mapping[str, Any] | HiViTConfig) -> None:
        super().__init__(config)
        c: HiViTConfig = self.config
        widths = (c.embed_dim // 4, c.embed_dim // 2, c.embed_dim)
        depths = (2 * c.depths[0], 2 * c.depths[1], c.depths[2])
        rates = iter(linear_rates(c.drop_path, sum(depths)))
        self.proj = nn.Conv2d(c.in_channels, widths[0], kernel_size=4, stride=4)
        self.patch_norm = nn.LayerNorm(widths[0], eps=c.layer_norm_eps)
        self.stem = nn.ModuleList(
            nn.ModuleList(StemBlock(c, width, next(rates)) for _ in range(depth))
            for width, depth in zip(widths[:2], depths)
        )
        self.merges = nn.ModuleList(PatchMerging(width, eps=c.layer_norm_eps) for width in widths[:2])
        self.pos_embed = nn.Parameter(torch.zeros(1, (c.image_size // 16) ** 2, c.embed_dim))
        self.dropout = nn.Dropout(c.dropout)
        self.main = nn.ModuleList(MainBlock(c, next(rates)) for _ in range(c.depths[2]))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.head: nn.Module = nn.Linear(c.embed_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks in order; one of the paper's first two stages is two of them."""
        return [*(block for stage in self.stem for block in stage.children()), *self.main]

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed; H and W are multiples of 16.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block of the last stage.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        height, width = images.shape[-2:]
        if height % 16 or width % 16:
            raise InputError(
                f"images are {height}x{width} pixels; both sides must be multiples of the patch size, 16: resize or "
                "crop them"
            )
        found: dict[str, Any] = {"features": [], "pyramid": {}, "attentions": []}
        x = self.patch_norm(self.proj(images).permute(0, 2, 3, 1))  # (B, H / 4, W / 4, D / 4)
        for stride, stage, merge in zip((4, 8), self.stem, self.merges):
            for block in stage.children():
                x = self.run_block(block, x)
                found["features"].append(x.permute(0, 3, 1, 2))
            found["pyramid"][stride] = x.permute(0, 3, 1, 2)
            x = merge(x)

        grid = (x.shape[1], x.shape[2])
        x = self.dropout(x + resample_positions(self.pos_embed, grid).reshape(1, *grid, -1))
        for block in self.main:
            x, weights = self.run_block(block, x, "attentions" in wanted)
            found["features"].append(x.permute(0, 3, 1, 2))
            found["attentions"].append(weights)
        found["pyramid"][16] = x.permute(0, 3, 1, 2)
        found["tokens"] = x.flatten(1, 2)  # (B, N, D)
        found["embeddings"] = self.norm(found["tokens"].mean(1))
        return self.finish(found, wanted)


class StemBlock(nn.Module):
    """A feed-forward layer, normalised before and added after: (B, H, W, C) -> the same."""

    def __init__(self, c: HiViTConfig, dim: int, drop_path: float) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(dim, eps=c.layer_norm_eps)
        self.mlp = Mlp(dim, int(dim * c.stem_mlp_ratio), dropout=c.dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "b h w c"]) -> Float[Tensor, "b h w c"]:
        return x + self.drop_path(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class MainBlock(nn.Module):
    """Attention over all patches, then a feed-forward layer, each normalised before and added after. (B, H, W, D)."""

    def __init__(self, c: HiViTConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.attn = BiasedAttention(c)
        self.norm2 = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.mlp = Mlp(c.embed_dim, int(c.embed_dim * c.mlp_ratio), dropout=c.dropout)
        self.drop_path1, self.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b h w d"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b h w d"], Float[Tensor, "b heads n n"] | None]:
        """Return the map and, if asked for, attention weights."""
        mask = self.attn.bias((x.shape[1], x.shape[2]))
        mixed, weights = self.attn(self.norm1(x).flatten(1, 2), return_weights, mask)
        x = x + self.drop_path1(mixed).reshape(x.shape)
        return x + self.drop_path2(self.mlp(self.norm2(x))), weights


class BiasedAttention(Attention):
    """Self-attention over all patches, biased by relative position."""

    def __init__(self, c: HiViTConfig) -> None:
        super().__init__(
            c.embed_dim,
            c.num_heads,
            qkv_bias=c.qkv_bias,
            attention_dropout=c.attention_dropout,
            dropout=c.dropout,
        )
        side = c.image_size // 16
        table = torch.zeros((2 * side - 1) ** 2, c.num_heads)
        self.relative_position_bias_table = nn.Parameter(table) if c.relative_positions else None
        if self.relative_position_bias_table is not None:
            nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def bias(self, grid: tuple[int, int]) -> Float[Tensor, "1 heads n n"] | None:
        """Return what is added to the scores of a grid of patches (1, heads, N, N), resampled where it is not square
        or of another side than the stored one."""
        if self.relative_position_bias_table is None:
            return None
        offsets = (2 * grid[0] - 1, 2 * grid[1] - 1)
        table = resample_positions(self.relative_position_bias_table[None], offsets)[0]
        return relative_bias(table, grid)
