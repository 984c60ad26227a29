"""InternVL's text tower: LLaMA, and QLLaMA, whose queries read the image by cross-attention in every second layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, check_multiple

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["QLlama", "QLlamaConfig", "RMSNorm"]


class QLlamaConfig(Config):
    """What makes one QLLaMA; the defaults are InternVL-14B's.

    Attributes:
        vocab_size: tokens that it knows.
        embed_dim: width of the tokens.
        hidden_dim: width inside the feed-forward layers.
        num_layers: number of layers.
        num_heads: attention heads per layer.
        context_length: tokens that a text has at most.
        rope_theta: base of the rotary position embedding.
        cross_every: of so many layers, the first has cross-attention.
        eps: added to the mean square by the normalisations.
    """

    vocab_size: PositiveInt = 49954
    embed_dim: PositiveInt = 4096
    hidden_dim: PositiveInt = 11008
    num_layers: PositiveInt = 32
    num_heads: PositiveInt = 32
    context_length: PositiveInt = 80
    rope_theta: PositiveFloat = 10000.0
    cross_every: PositiveInt = 2
    eps: PositiveFloat = 1e-6

    @model_validator(mode="after")
    def _divisible(self) -> QLlamaConfig:
        check_multiple("embed_dim", self.embed_dim, 2 * self.num_heads, f"twice num_heads = {self.num_heads}")
        return self


class QLlama(nn.Module):
    """A causal transformer with rotary positions, RMSNorm and SwiGLU (Touvron et al. 2023, LLaMA, section 2.2).

    Args:
        config: its sizes.
        cross_dim: width of the image's tokens, which its queries read; 0: it reads no image.
    """

    def __init__(self, config: QLlamaConfig, cross_dim: int = 0) -> None:
        super().__init__()
        c = self.config = config
        self.embed = nn.Embedding(c.vocab_size, c.embed_dim)
        self.layers = nn.ModuleList(
            DecoderLayer(c, 0 if index % c.cross_every else cross_dim) for index in range(c.num_layers)
        )
        self.norm = RMSNorm(c.embed_dim, eps=c.eps)
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, input_ids: Int[Tensor, "k t"], mask: Bool[Tensor, "k t"]) -> Float[Tensor, "k t d"]:
        """Encode texts (K, T); `mask` is True where a token is real. Returns (K, T, D)."""
        length = input_ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
        # The diagonal stays, so that a row of padding attends to itself rather than to nothing.
        seen = causal & (mask[:, None, None, :] | torch.eye(length, dtype=torch.bool, device=input_ids.device))
        return self.run(self.embed(input_ids), seen, None)

    def run(
        self, x: Float[Tensor, "b t d"], seen: Bool[Tensor, "b 1 t t"] | None, image: Float[Tensor, "b n c"] | None
    ) -> Float[Tensor, "b t d"]:
        """Run embedded tokens or queries through all layers.

        Args:
            x: (B, T, D).
            seen: (B, 1, T, T), True where a position may look; None: everywhere.
            image: (B, N, C), what layers with cross-attention read; None: they skip it.
        """
        rotation = rotary(x.shape[1], self.config.embed_dim // self.config.num_heads, self.config.rope_theta, x)
        for layer in self.layers:
            x = layer(x, rotation, seen, image)
        normed: Tensor = self.norm(x)
        return normed


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to the image where `cross_dim` says so, and a gated feed-forward layer."""

    def __init__(self, c: QLlamaConfig, cross_dim: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(c.embed_dim, eps=c.eps)
        self.attn = HeadAttention(c.embed_dim, c.embed_dim, c.num_heads)
        self.cross = CrossAttention(c, cross_dim) if cross_dim else None
        self.norm2 = RMSNorm(c.embed_dim, eps=c.eps)
        self.mlp = GatedMlp(c.embed_dim, c.hidden_dim)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        rotation: tuple[Tensor, Tensor],
        seen: Bool[Tensor, "b 1 t t"] | None,
        image: Float[Tensor, "b n c"] | None,
    ) -> Float[Tensor, "b t d"]:
        y = self.norm1(x)
        x = x + self.attn(y, y, rotation, seen)
        if self.cross is not None and image is not None:
            x = x + self.cross(x, image)
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class HeadAttention(nn.Module):
    """Attention without biases from tokens (B, T, D) to a source (B, S, C)."""

    def __init__(self, dim: int, source_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim, bias=False)
        self.k = nn.Linear(source_dim, dim, bias=False)
        self.v = nn.Linear(source_dim, dim, bias=False)
        self.proj = nn.Linear(dim, dim, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        source: Float[Tensor, "b s c"],
        rotation: tuple[Tensor, Tensor] | None = None,
        seen: Bool[Tensor, "b 1 t s"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        parts = (self.q(x), self.k(source), self.v(source))
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """Queries (B, T, D) read the image's tokens (B, N, C), both normalised first."""

    def __init__(self, c: QLlamaConfig, image_dim: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(c.embed_dim, eps=c.eps)
        self.norm2 = RMSNorm(image_dim, eps=c.eps)
        self.attn = HeadAttention(c.embed_dim, image_dim, c.num_heads)

    def forward(self, x: Float[Tensor, "b t d"], image: Float[Tensor, "b n c"]) -> Float[Tensor, "b t d"]:
        return self.attn(self.norm1(x), self.norm2(image))  # type: ignore[no-any-return]


class GatedMlp(nn.Module):
    """down(silu(gate x) * up x), without biases (Shazeer 2020). (..., D) -> (..., D)."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, hidden_dim, bias=False)
        self.up = nn.Linear(dim, hidden_dim, bias=False)
        self.down = nn.Linear(hidden_dim, dim, bias=False)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return self.down(F.silu(self.gate(x)) * self.up(x))  # type: ignore[no-any-return]


class RMSNorm(nn.Module):
    """Divide by the root mean square, in float32 (Zhang and Sennrich 2019). (..., D) -> (..., D).

    `torch.nn.RMSNorm` warns where the input is bfloat16 and the weight is not, as under autocast.
    """

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        return self.weight * F.rms_norm(x.float(), (self.dim,), eps=self.eps).to(x.dtype)


def rotary(length: int, head_dim: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines (T, head_dim) by which each position is turned (Su et al. 2021, equation 34)."""
    steps = torch.arange(0, head_dim, 2, dtype=torch.float32, device=like.device) / head_dim
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device=like.device), theta**-steps)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Float[Tensor, "b heads t d"], rotation: tuple[Tensor, Tensor]) -> Float[Tensor, "b heads t d"]:
    """Turn the pairs of channels (i, i + D / 2) of every position by its angle."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
