"""DeiT: a ViT that learns from a teacher through a token of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.layers import Attention, Block, Mlp, PatchEmbed, linear_rates, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["DeiT", "DeiTConfig"]


class DeiTConfig(Config):
    """What makes one DeiT; the defaults are the distilled DeiT-B/16.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        distilled: whether a distillation token stands behind the class token; without it, DeiT is a ViT.
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
    distilled: bool = True
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
    def _divisible(self) -> DeiTConfig:
        require_multiple(self, "image_size", "patch_size")
        require_multiple(self, "embed_dim", "num_heads")
        return self


class DeiT(WeightInitMixin, NexusModule):
    """The data-efficient image transformer (section 4 of the paper).

    In training, one linear classifier reads the class token and learns the label, another reads the distillation token
    and learns the teacher's answer; their answers are averaged at inference. The mean of two linear maps is one linear
    map of both tokens side by side: that is `head`, and its input are the `embeddings`. The two classifiers are read
    out of it: each has twice its half of the weight, and they share the bias.

    `forward` gives `embeddings` (B, P D) (the final class token and, with ``distilled``, distillation token), `tokens`
    (B, N, D), `features`, `pyramid` of one level, `logits` where there is a head, `attentions` if asked for, and in
    `aux` the ``prefix_tokens`` of every block and, in training with ``distilled``, ``token_logits``: (B, K) of each of
    the two classifiers.
    """

    Config = DeiTConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | DeiTConfig) -> None:
        super().__init__(config)
        c: DeiTConfig = self.config
        self.num_prefix = 2 if c.distilled else 1
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim))
        self.dist_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim)) if c.distilled else None
        positions = self.num_prefix + (c.image_size // c.patch_size) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, c.embed_dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(build_block(c, rate) for rate in linear_rates(c.drop_path, c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        width = self.num_prefix * c.embed_dim
        self.head: nn.Module = nn.Linear(width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        for token in (self.cls_token, self.dist_token, self.pos_embed):
            if token is not None:
                nn.init.trunc_normal_(token, std=0.02)

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
        x, trace = self.run_blocks(x, wanted, pooled=self.num_prefix)
        x = self.norm(x)
        found = encoder_outputs(x, trace, prefix=self.num_prefix, grid=grid, stride=self.config.patch_size)
        found["embeddings"] = x[:, : self.num_prefix].flatten(1)
        if self.training and self.dist_token is not None and isinstance(self.head, nn.Linear):
            found["aux"]["token_logits"] = self.token_logits(x, self.head)
        return self.finish(found, wanted)

    def token_logits(self, x: Float[Tensor, "b tokens d"], head: nn.Linear) -> list[Float[Tensor, "b k"]]:
        """Return the answers of the two classifiers, whose mean the `logits` are."""
        halves = (2 * head.weight).chunk(2, dim=1)  # 2 x (K, D)
        return [F.linear(x[:, token], half, head.bias) for token, half in enumerate(halves)]

    def embed(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b tokens d"], tuple[int, int]]:
        """Turn images into the tokens that enter the first block, (B, P + N, D), and the grid of the N patches."""
        x = self.patch_embed(images)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2) + resample_positions(self.pos_embed[:, self.num_prefix :], grid)  # (B, N, D)
        prefix = self.cls_token if self.dist_token is None else torch.cat([self.cls_token, self.dist_token], dim=1)
        prefix = prefix + self.pos_embed[:, : self.num_prefix]
        return self.dropout(torch.cat([prefix.expand(x.shape[0], -1, -1), x], dim=1)), grid


def build_block(c: DeiTConfig, drop_path: float) -> Block:
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
