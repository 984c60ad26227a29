"""InternVL: a vision transformer scaled to 6 billion parameters, aligned with a large language model as text tower."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, check_multiple, require_multiple
from nexus.errors import ConfigError, InputError
from nexus.layers import Attention, Block, LayerScale, Mlp, PatchEmbed, linear_rates, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.models.cv.intern_vl.text import QLlama, QLlamaConfig, RMSNorm
from nexus.models.image_text import ImageTextModule
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["InternVL", "InternVLConfig", "InternViT", "InternViTConfig"]


class InternViTConfig(Config):
    """What makes one InternViT; the defaults are InternViT-300M at 448 pixels.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        pool: what the head reads: the class token, the mean of the patch tokens, or all of them pooled by attention
            and projected (InternVL-C).
        pool_heads, projection_dim: heads and width of the pooling by attention.
        embed_dim: width D of the tokens.
        num_layers: number of blocks.
        num_heads: attention heads per block.
        mlp_ratio: width of the feed-forward layer over D.
        norm: LayerNorm (300M), or RMSNorm (6B).
        qkv_bias: whether query, key and value have a bias.
        qk_norm: normalise queries and keys, over all heads at once (6B).
        layer_scale: initial factor of LayerScale.
        final_norm: whether the tokens are normalised behind the last block; the published models do not.
        projector_dim: width of the language model that `aux`'s ``visual_tokens`` are made for; 0: none are made.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    image_size: PositiveInt = 448
    patch_size: PositiveInt = 14
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 0
    pool: Literal["cls", "mean", "attention"] = "cls"
    pool_heads: PositiveInt = 16
    projection_dim: PositiveInt = 768
    embed_dim: PositiveInt = 1024
    num_layers: PositiveInt = 24
    num_heads: PositiveInt = 16
    mlp_ratio: PositiveFloat = 4.0
    norm: Literal["layer_norm", "rms_norm"] = "layer_norm"
    qkv_bias: bool = True
    qk_norm: bool = False
    layer_scale: float = 0.1
    final_norm: bool = False
    projector_dim: NonNegativeInt = 0
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-6

    @model_validator(mode="after")
    def _divisible(self) -> InternViTConfig:
        require_multiple(self, "image_size", "patch_size")
        require_multiple(self, "embed_dim", "num_heads")
        if self.pool == "attention":
            require_multiple(self, "embed_dim", "pool_heads")
        return self


INTERN_VIT_6B: dict[str, Any] = {
    "image_size": 224,
    "embed_dim": 3200,
    "num_layers": 48,
    "num_heads": 25,
    "norm": "rms_norm",
    "qkv_bias": False,
    "qk_norm": True,
    "pool": "attention",
}
"""Table 1 of the paper, row "variant 5"; norms and biases from the authors' code."""


class InternVLConfig(Config):
    """What makes one InternVL; the defaults are the sizes of InternVL-14B.

    Attributes:
        image: the image tower.
        text: the text tower.
        num_queries: learned queries that read the image inside the text tower (InternVL-G); 0: none (InternVL-C).
    """

    image: InternViTConfig = InternViTConfig.parse(INTERN_VIT_6B)
    text: QLlamaConfig = QLlamaConfig.parse({})
    num_queries: NonNegativeInt = 96

    @model_validator(mode="after")
    def _towers_agree(self) -> InternVLConfig:
        if self.image.num_classes:
            raise ValueError(f"image.num_classes = {self.image.num_classes}: an InternVL has no head; use InternViT")
        if self.image.pool != "attention":
            raise ValueError(f"image.pool = {self.image.pool!r}: only 'attention' maps into the space of the texts")
        if self.num_queries:
            heads = self.image.pool_heads
            check_multiple("text.embed_dim", self.text.embed_dim, heads, f"image.pool_heads = {heads}")
        return self


class InternViT(WeightInitMixin, NexusModule):
    """The image tower.

    `forward` gives `embeddings` (B, D) (what the head reads), `tokens` (B, N, D), `features`, `pyramid` of one level,
    `logits` where there is a head, `attentions` if asked for, and in `aux` the ``prefix_tokens`` of every block and,
    with a projector, the ``visual_tokens`` (B, N / 4, W) that a language model reads.
    """

    Config = InternViTConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | InternViTConfig) -> None:
        super().__init__(config)
        c: InternViTConfig = self.config
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (c.image_size // c.patch_size) ** 2, c.embed_dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(build_block(c, rate) for rate in linear_rates(c.drop_path, c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps) if c.final_norm else nn.Identity()
        self.projector = Projector(c.embed_dim, c.projector_dim) if c.projector_dim else None
        pooled = c.pool == "attention"
        self.attention_pool = AttentionPool(c.embed_dim, c.pool_heads, c.projection_dim) if pooled else None
        width = c.projection_dim if pooled else c.embed_dim
        self.head: nn.Module = nn.Linear(width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed; H and W are multiples of the patch size, with a projector of twice that.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        x, found = self.encode(images, wanted)
        found["embeddings"] = self.pool(x, found)
        if self.projector is not None and "aux" in wanted:
            (level,) = found["pyramid"].values()
            found["aux"]["visual_tokens"] = self.projector(level)
        return self.finish(found, wanted)

    def encode(
        self, images: Float[Tensor, "b c h w"], wanted: frozenset[str]
    ) -> tuple[Float[Tensor, "b tokens d"], dict[str, Any]]:
        """Return all final tokens (B, 1 + N, D), and the outputs that follow from them without pooling."""
        x = self.patch_embed(images)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2) + resample_positions(self.pos_embed[:, 1:], grid)  # (B, N, D)
        cls = self.cls_token + self.pos_embed[:, :1]
        x = self.dropout(torch.cat([cls.expand(x.shape[0], -1, -1), x], dim=1))
        x, trace = self.run_blocks(x, wanted)
        x = self.norm(x)
        return x, encoder_outputs(x, trace, prefix=1, grid=grid, stride=self.config.patch_size)

    def pool(self, x: Float[Tensor, "b tokens d"], found: Mapping[str, Any]) -> Float[Tensor, "b width"]:
        """Return what the head reads, from all final tokens and the outputs of `encode`."""
        if self.attention_pool is not None:
            pooled: Tensor = self.attention_pool(x)
            return pooled
        mean: Tensor = found["tokens"].mean(1)
        return x[:, 0] if self.config.pool == "cls" else mean


class InternVL(WeightInitMixin, ImageTextModule):
    """Images and texts in one space (InternVL-C), and images as the text tower sees them (InternVL-G).

    `forward` gives what the image tower gives and, with texts, `text_embeddings` (K, D) and `logits` (B, K), scaled
    cosines. With `num_queries`, `fuse` gives InternVL-G's vectors of images.
    """

    Config = InternVLConfig

    def __init__(self, config: Mapping[str, Any] | InternVLConfig) -> None:
        super().__init__(config)
        c: InternVLConfig = self.config
        width = c.image.projection_dim
        self.image: InternViT = InternViT(c.image)
        self.text = QLlama(c.text, cross_dim=c.image.embed_dim if c.num_queries else 0)
        self.text_projection = nn.Parameter(torch.empty(c.text.embed_dim, width))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # as CLIP starts
        if c.num_queries:
            self.queries = nn.Parameter(torch.zeros(1, c.num_queries, c.text.embed_dim))
            self.fused_pool = AttentionPool(c.text.embed_dim, c.image.pool_heads, width)
        self.init_weights_vision()
        nn.init.normal_(self.text_projection, std=c.text.embed_dim**-0.5)

    def encode_text(
        self, input_ids: Int[Tensor, "k t"], attention_mask: Int[Tensor, "k t"] | None = None
    ) -> Float[Tensor, "k d"]:
        """Encode texts: the last token of each, projected.

        Args:
            input_ids: (K, T), at most `context_length` tokens each, padded behind with 0.
            attention_mask: (K, T), 1 where a token is real; None: where it is not 0.

        Returns:
            (K, D), not normalised.

        Raises:
            InputError: more tokens than the model was trained with.
        """
        if input_ids.shape[1] > self.context_length:
            raise InputError(
                f"input_ids have the shape {tuple(input_ids.shape)}, not (texts, tokens) with at most "
                f"{self.context_length} tokens"
            )
        mask = (input_ids > 0) if attention_mask is None else attention_mask.bool()
        states = self.text(input_ids, mask)
        last: Tensor = states[torch.arange(states.shape[0], device=states.device), mask.sum(1) - 1]
        return last @ self.text_projection

    def fuse(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d"]:
        """Return InternVL-G's vectors of images (B, D), to be compared with texts like `embeddings`.

        They are what queries read of an image in the text tower and InternVL-C's vector, both normalised, added.

        Raises:
            ConfigError: the model has no queries.
        """
        if not self.config.num_queries:
            raise ConfigError("num_queries = 0: without queries there is InternVL-C only; read `embeddings`")
        tokens, found = self.image.encode(images, frozenset())
        queries = self.queries.expand(tokens.shape[0], -1, -1)
        fused = self.fused_pool(self.text.run(queries, None, tokens))
        return F.normalize(self.image.pool(tokens, found), dim=-1) + F.normalize(fused, dim=-1)


class NormedAttention(Attention):
    """Attention whose queries and keys are normalised over all heads at once."""

    def __init__(self, dim: int, num_heads: int, *, eps: float, **options: Any) -> None:
        super().__init__(dim, num_heads, **options)
        self.q_norm = RMSNorm(dim, eps=eps)
        self.k_norm = RMSNorm(dim, eps=eps)

    def project(self, x: Float[Tensor, "b n d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value, each (B, heads, N, head_dim)."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        heads = [part.unflatten(-1, (self.num_heads, -1)) for part in (self.q_norm(query), self.k_norm(key), value)]
        query, key, value = (part.transpose(1, 2) for part in heads)
        return query, key, value


class AttentionPool(nn.Module):
    """Pool tokens by attention, with their mean as the query: (B, N, D) -> (B, width)."""

    def __init__(self, dim: int, num_heads: int, width: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_q, self.norm_k, self.norm_v = (nn.LayerNorm(dim, eps=1e-5) for _ in "qkv")
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in "qkv")
        self.proj = nn.Linear(dim, width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b width"]:
        parts = (
            self.q(self.norm_q(x.mean(1, keepdim=True))),
            self.k(self.norm_k(x)),
            self.v(self.norm_v(x)),
        )
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B, heads, 1, head_dim)
        return self.proj(mixed.flatten(1))  # type: ignore[no-any-return]


class Projector(nn.Module):
    """Fold each 2x2 patches into one token and project it for a language model (InternVL 1.5, section 3.1).

    (B, D, rows, columns) -> (B, rows / 2 * columns / 2, W).
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.fc1 = nn.Linear(4 * dim, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b d rows columns"]) -> Float[Tensor, "b n width"]:
        rows, columns = x.shape[-2:]
        if rows % 2 or columns % 2:
            raise InputError(
                f"the image gives a grid of {rows}x{columns} patches; the projector folds 2x2 of them into one token: "
                "make both numbers even"
            )
        x = pixel_unshuffle(x).flatten(2).transpose(1, 2)
        return self.fc2(F.gelu(self.fc1(self.norm(x))))  # type: ignore[no-any-return]


def pixel_unshuffle(x: Float[Tensor, "b d rows columns"]) -> Float[Tensor, "b folded halfrows halfcolumns"]:
    """Fold 2x2 positions into the channels, whole vectors one behind the other: row by row, column by column.

    `torch.nn.functional.pixel_unshuffle` would interleave the channels instead.
    """
    batch, dim, rows, columns = x.shape
    x = x.reshape(batch, dim, rows // 2, 2, columns // 2, 2).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(batch, 4 * dim, rows // 2, columns // 2)


def build_norm(c: InternViTConfig) -> nn.Module:
    """Build the normalisation of this model."""
    kind = RMSNorm if c.norm == "rms_norm" else nn.LayerNorm
    return kind(c.embed_dim, eps=c.layer_norm_eps)


def build_block(c: InternViTConfig, drop_path: float) -> Block:
    """Build one transformer block, with LayerScale on both branches."""
    options: dict[str, Any] = {"qkv_bias": c.qkv_bias, "attention_dropout": c.attention_dropout, "dropout": c.dropout}
    attention = (
        NormedAttention(c.embed_dim, c.num_heads, eps=c.layer_norm_eps, **options)
        if c.qk_norm
        else Attention(c.embed_dim, c.num_heads, **options)
    )
    return Block(
        build_norm(c),
        attention,
        build_norm(c),
        Mlp(c.embed_dim, int(c.embed_dim * c.mlp_ratio), dropout=c.dropout),
        ls1=LayerScale(c.embed_dim, c.layer_scale),
        ls2=LayerScale(c.embed_dim, c.layer_scale),
        drop_path=drop_path,
    )
