"""DINOv2: a vision transformer whose features need no fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.layers import Attention, Block, LayerScale, Mlp, PatchEmbed, SwiGLU, linear_rates, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["DINOv2", "DINOv2Config"]


class DINOv2Config(Config):
    """What makes one DINOv2; the defaults are ViT-B/14.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        head_input: what the head reads: the class token, or the class token beside the mean of the patch tokens (twice
            as wide; the authors' linear evaluation, and transformers' classifier).
        embed_dim: width D of the tokens.
        num_layers: number of blocks.
        num_heads: attention heads per block.
        mlp_ratio: width of the feed-forward layer over D, before SwiGLU takes two thirds of it.
        ffn: feed-forward layer: two linear layers with a GELU, or SwiGLU (ViT-g).
        qkv_bias: whether query, key and value have a bias.
        num_registers: register tokens beside the class token.
        layer_scale: initial factor of LayerScale.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the normalisations.
        interpolate_offset, interpolate_antialias: how position embeddings are resampled; see `resample_positions`. The
            authors use 0.1 and False without registers, 0 and True with them; transformers uses 0 in both cases.
    """

    image_size: PositiveInt = 518
    patch_size: PositiveInt = 14
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 0
    head_input: Literal["cls", "cls_mean"] = "cls"
    embed_dim: PositiveInt = 768
    num_layers: PositiveInt = 12
    num_heads: PositiveInt = 12
    mlp_ratio: PositiveFloat = 4.0
    ffn: Literal["mlp", "swiglu"] = "mlp"
    qkv_bias: bool = True
    num_registers: NonNegativeInt = 0
    layer_scale: float = 1.0
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-6
    interpolate_offset: float = Field(0.1, ge=0, lt=1)
    interpolate_antialias: bool = False

    @model_validator(mode="after")
    def _divisible(self) -> DINOv2Config:
        require_multiple(self, "image_size", "patch_size")
        require_multiple(self, "embed_dim", "num_heads")
        return self


class DINOv2(WeightInitMixin, NexusModule):
    """The DINOv2 encoder.

    `forward` gives `embeddings` (what the head reads: the class token (B, D), or (B, 2 D) with
    ``head_input="cls_mean"``), `tokens` (B, N, D), `features`, `pyramid` of one level, `logits` where there is a head,
    `attentions` if asked for, and in `aux` the ``prefix_tokens`` of every block and the final ``registers``.
    """

    Config = DINOv2Config
    optional_keys = ("mask_token",)
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | DINOv2Config) -> None:
        super().__init__(config)
        c: DINOv2Config = self.config
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, c.num_registers, c.embed_dim)) if c.num_registers else None
        self.mask_token = nn.Parameter(torch.zeros(1, c.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (c.image_size // c.patch_size) ** 2, c.embed_dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(build_block(c, rate) for rate in linear_rates(c.drop_path, c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        width = c.embed_dim if c.head_input == "cls" else 2 * c.embed_dim
        self.head: nn.Module = nn.Linear(width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        self.init_tokens()

    def forward(
        self,
        images: Float[Tensor, "b c h w"],
        *,
        outputs: Sequence[str] | None = None,
        output_attentions: bool = False,
        patch_mask: Bool[Tensor, "b n"] | None = None,
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed; H and W are multiples of the patch size.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.
            patch_mask: (B, N) bool; True where the mask token stands for the patch (masked image modelling).

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        x, grid = self.embed(images, patch_mask)
        first = 1 + self.config.num_registers  # of the patch tokens
        x, trace = self.run_blocks(x, wanted, pooled=first if self.config.head_input == "cls" else None)
        x = self.norm(x)
        found = encoder_outputs(x, trace, prefix=first, grid=grid, stride=self.config.patch_size)
        found["embeddings"] = self.pool(x[:, 0], x[:, first:])
        found["aux"]["registers"] = x[:, 1:first]
        return self.finish(found, wanted)

    def embed(
        self, images: Float[Tensor, "b c h w"], patch_mask: Bool[Tensor, "b n"] | None = None
    ) -> tuple[Float[Tensor, "b tokens d"], tuple[int, int]]:
        """Turn images into the tokens that enter the first block, (B, 1 + R + N, D), and the grid of the N patches."""
        x = self.patch_embed(images)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2)  # (B, N, D)
        if patch_mask is not None:
            x = torch.where(patch_mask.unsqueeze(-1), self.mask_token.to(x.dtype), x)
        x = x + self.positions(grid)
        prefix = [self.cls_token + self.pos_embed[:, :1]]
        if self.register_tokens is not None:  # registers have no position
            prefix.append(self.register_tokens)
        x = torch.cat([token.expand(x.shape[0], -1, -1) for token in prefix] + [x], dim=1)
        return self.dropout(x), grid

    def positions(self, grid: tuple[int, int]) -> Float[Tensor, "1 n d"]:
        """Return the position embeddings of the patches, (1, N, D), resampled to a grid of (rows, columns)."""
        return resample_positions(
            self.pos_embed[:, 1:],
            grid,
            antialias=self.config.interpolate_antialias,
            scale_offset=self.config.interpolate_offset,
        )

    def pool(self, cls: Float[Tensor, "b d"], tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b width"]:
        """Return what the head reads, from the final class token (B, D) and patch tokens (B, N, D)."""
        return cls if self.config.head_input == "cls" else torch.cat([cls, tokens.mean(1)], dim=-1)

    def init_tokens(self) -> None:
        """Initialise positions and tokens as the authors do."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        if self.register_tokens is not None:
            nn.init.normal_(self.register_tokens, std=1e-6)


def build_block(c: DINOv2Config, drop_path: float) -> Block:
    """Build one transformer block, with LayerScale on both branches."""
    hidden = int(c.embed_dim * c.mlp_ratio)
    mlp: nn.Module = Mlp(c.embed_dim, hidden, dropout=c.dropout)
    if c.ffn == "swiglu":  # three matrices for the MLP's two: two thirds of the width, rounded up to a multiple of 8
        mlp = SwiGLU(c.embed_dim, (int(hidden * 2 / 3) + 7) // 8 * 8)
    return Block(
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        Attention(
            c.embed_dim,
            c.num_heads,
            qkv_bias=c.qkv_bias,
            attention_dropout=c.attention_dropout,
            dropout=c.dropout,
        ),
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        mlp,
        ls1=LayerScale(c.embed_dim, c.layer_scale),
        ls2=LayerScale(c.embed_dim, c.layer_scale),
        drop_path=drop_path,
    )
