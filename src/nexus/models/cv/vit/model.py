"""ViT: images as sequences of patches, read by a plain transformer encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.layers import Attention, Block, Mlp, PatchEmbed, linear_rates, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["VisionTransformer", "VisionTransformerConfig"]


class VisionTransformerConfig(Config):
    """What makes one ViT; the defaults are ViT-B/16 with a head for ImageNet-1k.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        class_token: whether a class token stands before the patch tokens; I-JEPA has none.
        pool: what the head reads: the final class token; the mean of the final patch tokens (I-JEPA; Beyer et al.
            2022); or that mean taken before the last norm, which then normalises it alone (``"mean_norm"``: MAE's
            fine-tuned classifiers).
        embed_dim: width D of the tokens.
        num_layers: number of blocks.
        num_heads: attention heads per block.
        mlp_ratio: width of the feed-forward layer over D.
        qkv_bias: whether query, key and value have a bias.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    image_size: PositiveInt = 224
    patch_size: PositiveInt = 16
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    class_token: bool = True
    pool: Literal["cls", "mean", "mean_norm"] = "cls"
    embed_dim: PositiveInt = 768
    num_layers: PositiveInt = 12
    num_heads: PositiveInt = 12
    mlp_ratio: PositiveFloat = 4.0
    qkv_bias: bool = True
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-6

    @model_validator(mode="after")
    def _divisible(self) -> VisionTransformerConfig:
        require_multiple(self, "image_size", "patch_size")
        require_multiple(self, "embed_dim", "num_heads")
        return self

    @model_validator(mode="after")
    def _poolable(self) -> VisionTransformerConfig:
        if self.pool == "cls" and not self.class_token:
            raise ValueError('pool = "cls" needs class_token = True; without one, pool = "mean"')
        return self


class VisionTransformer(WeightInitMixin, NexusModule):
    """The vision transformer, an encoder with a linear head.

    `forward` gives `embeddings` (B, D) (what the head reads), `tokens` (B, N, D), `features`, `pyramid` of one level,
    `logits` where there is a head, `attentions` if asked for, and, where there is a class token, in `aux` the
    ``prefix_tokens`` of every block.
    """

    Config = VisionTransformerConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | VisionTransformerConfig) -> None:
        super().__init__(config)
        c: VisionTransformerConfig = self.config
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim)) if c.class_token else None
        positions = self.num_prefix + (c.image_size // c.patch_size) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, c.embed_dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(build_block(c, rate) for rate in linear_rates(c.drop_path, c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.head: nn.Module = nn.Linear(c.embed_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed; H and W are multiples of the patch size.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        x, grid = self.embed(images)
        raw, trace = self.run_blocks(x, wanted, pooled=self.num_prefix if self.config.pool == "cls" else None)
        x = self.norm(raw)
        found = encoder_outputs(x, trace, prefix=self.num_prefix, grid=grid, stride=self.config.patch_size)
        found["embeddings"] = self.pool(raw, x)
        return self.finish(found, wanted)

    @property
    def num_prefix(self) -> int:
        """P: how many tokens stand before those of the patches."""
        return int(self.config.class_token)

    def embed(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b tokens d"], tuple[int, int]]:
        """Turn images into the tokens that enter the first block, (B, P + N, D), and the grid of the N patches."""
        x = self.patch_embed(images)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2) + resample_positions(self.pos_embed[:, self.num_prefix :], grid)  # (B, N, D)
        if self.cls_token is not None:
            cls = self.cls_token + self.pos_embed[:, :1]
            x = torch.cat([cls.expand(x.shape[0], -1, -1), x], dim=1)
        return self.dropout(x), grid

    def pool(self, raw: Float[Tensor, "b tokens d"], x: Float[Tensor, "b tokens d"]) -> Float[Tensor, "b d"]:
        """Return what the head reads, (B, D), of the tokens (B, P + N, D) before and after the last norm."""
        if self.config.pool == "mean_norm":
            return self.norm(raw[:, self.num_prefix :].mean(1))  # type: ignore[no-any-return]
        return x[:, 0] if self.config.pool == "cls" else x[:, self.num_prefix :].mean(1)


def build_block(c: VisionTransformerConfig, drop_path: float) -> Block:
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
