"""EVA-02: a vision transformer with what language models had learned: SwiGLU, rotary positions and a further norm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.layers import Attention, Block, PatchEmbed, SwiGLU, linear_rates, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["EVA02", "EVA02Config"]

BASE_WAVELENGTH = 10000.0
"""Of the rotary positions (Su et al. 2021, section 3.2.2): a channel turns by 1 to 1 / 10000 radians per patch."""


class EVA02Config(Config):
    """What makes one EVA-02; the defaults are EVA-02-B/14.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        embed_dim: width D of the tokens.
        num_layers: number of blocks.
        num_heads: attention heads per block; a head's width is a multiple of 4.
        mlp_ratio: width of the gated feed-forward layer over D; rounded down.
        sub_ln: whether the feed-forward layer normalises before its last matrix (B and L; section 2.1 of the paper).
        rope_grid: rows and columns of the pre-training's patches; those of another image size are stretched over them.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout: rates in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    image_size: PositiveInt = 224
    patch_size: PositiveInt = 14
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 0
    embed_dim: PositiveInt = 768
    num_layers: PositiveInt = 12
    num_heads: PositiveInt = 12
    mlp_ratio: PositiveFloat = 8 / 3
    sub_ln: bool = True
    rope_grid: PositiveInt = 16
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-6

    @model_validator(mode="after")
    def _divisible(self) -> EVA02Config:
        require_multiple(self, "image_size", "patch_size")
        if self.embed_dim % (4 * self.num_heads):
            raise ValueError(
                f"embed_dim = {self.embed_dim} is not a multiple of 4 * num_heads = {4 * self.num_heads}: a head turns "
                "pairs of channels by the row, and as many by the column"
            )
        return self


class EVA02(WeightInitMixin, NexusModule):
    """The EVA-02 encoder, with a linear head.

    `forward` gives `embeddings` (B, D) (what the head reads: the mean of the patch tokens, normalised), `tokens`
    (B, N, D) (each normalised), `features`, `pyramid` of one level, `logits` where there is a head, `attentions` if
    asked for, and in `aux` the ``prefix_tokens`` of every block.
    """

    Config = EVA02Config
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | EVA02Config) -> None:
        super().__init__(config)
        c: EVA02Config = self.config
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (c.image_size // c.patch_size) ** 2, c.embed_dim))
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(build_block(c, rate) for rate in linear_rates(c.drop_path, c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.head: nn.Module = nn.Linear(c.embed_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        self.init_matrices()

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
        x, trace = self.run_blocks(x, wanted, self.rotation(grid, x.device))
        embeddings = self.norm(x[:, 1:].mean(1))
        if not {"tokens", "pyramid"}.isdisjoint(wanted):
            x = self.norm(x)
        found = encoder_outputs(x, trace, prefix=1, grid=grid, stride=self.config.patch_size)
        found["embeddings"] = embeddings
        return self.finish(found, wanted)

    def embed(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b tokens d"], tuple[int, int]]:
        """Turn images into the tokens that enter the first block, (B, 1 + N, D), and the grid of the N patches."""
        x = self.patch_embed(images)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2) + resample_positions(self.pos_embed[:, 1:], grid, antialias=True)  # (B, N, D)
        cls = self.cls_token + self.pos_embed[:, :1]
        return self.dropout(torch.cat([cls.expand(x.shape[0], -1, -1), x], dim=1)), grid

    def rotation(self, grid: tuple[int, int], device: torch.device) -> Float[Tensor, "2 tokens pairs"]:
        """Return cosine and sine of the angle by which each token turns each pair of channels of a head.

        Args:
            grid: rows and columns of the patches.
            device: of the result.

        Returns:
            (2, 1 + N, head_dim / 2) in float32: half of the pairs by the row, half by the column; the class token's
            angle is 0.
        """
        c: EVA02Config = self.config
        pairs = c.embed_dim // c.num_heads // 4  # of either axis
        speeds = BASE_WAVELENGTH ** (-torch.arange(pairs, device=device) / pairs)
        rows, columns = (torch.arange(n, device=device)[:, None] / n * c.rope_grid * speeds for n in grid)
        turned = (rows[:, None].expand(*grid, -1), columns[None].expand(*grid, -1))
        angles = F.pad(torch.cat(turned, dim=-1).flatten(0, 1), (0, 0, 1, 0))
        return torch.stack([angles.cos(), angles.sin()])

    def init_matrices(self) -> None:
        """Initialise as the authors do for pre-training (``modeling_pretrain.py``).

        Matrices: Xavier normal, each of those that are stored as one on its own. With sub-LN, values, projections and
        feed-forward layers are scaled by sqrt(log(2 L)) (Wang et al. 2022, Magneto, section 2.3).
        """
        for token in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(token, std=0.02)
        nn.init.xavier_uniform_(self.patch_embed.proj.weight.flatten(1))
        gain = math.sqrt(math.log(2 * len(self.blocks))) if self.config.sub_ln else 1.0
        block: Any
        for block in self.blocks:
            query, key, value = block.attn.qkv.weight.chunk(3)
            for matrix in (query, key):
                nn.init.xavier_normal_(matrix)
            for matrix in (value, block.attn.proj.weight, *block.mlp.w12.weight.chunk(2), block.mlp.w3.weight):
                nn.init.xavier_normal_(matrix, gain)


class RotaryAttention(Attention):
    """Self-attention whose queries and keys are turned by their positions (Su et al. 2021, RoFormer).

    Queries and values have a bias, keys have none.
    """

    def __init__(self, dim: int, num_heads: int, *, attention_dropout: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__(dim, num_heads, qkv_bias=False, attention_dropout=attention_dropout, dropout=dropout)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "b n d"],
        return_weights: bool,
        rotation: Float[Tensor, "2 n pairs"],
        *,
        rows: int | None = None,
    ) -> tuple[Float[Tensor, "b m d"], Float[Tensor, "b heads m n"] | None]:
        """Mix tokens (B, N, D); `rotation` as `EVA02.rotation` gives it. See `Attention`."""
        query, key, value = self.project(x)
        query = rotate(query if rows is None else query[:, :, :rows], rotation[:, :rows])
        return self.attend(query, rotate(key, rotation), value, return_weights)

    def project(self, x: Float[Tensor, "b n d"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return query, key and value, each (B, heads, N, head_dim)."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).reshape(*x.shape[:2], 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value


def rotate(
    x: Float[Tensor, "b heads n head_dim"], rotation: Float[Tensor, "2 n pairs"]
) -> Float[Tensor, "b heads n head_dim"]:
    """Turn neighbouring channels, as the two coordinates of a point, by the angles of their token."""
    cos, sin = rotation
    first, second = x.reshape(*x.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.flatten(-2).to(x.dtype)


def build_block(c: EVA02Config, drop_path: float) -> Block:
    """Build one transformer block."""
    hidden = int(c.embed_dim * c.mlp_ratio)
    norm = nn.LayerNorm(hidden, eps=c.layer_norm_eps) if c.sub_ln else None
    return Block(
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        RotaryAttention(c.embed_dim, c.num_heads, attention_dropout=c.attention_dropout, dropout=c.dropout),
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        SwiGLU(c.embed_dim, hidden, norm=norm),
        drop_path=drop_path,
    )
