"""CLIP's text tower (Radford et al. 2021, section 2.4): a transformer that reads left to right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.errors import InputError
from nexus.layers import Attention, Block, Mlp
from nexus.models.cv.clip.vision import ACTIVATIONS, init_block

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["CLIPTextConfig", "TextTransformer"]


class CLIPTextConfig(Config):
    """What makes one text tower; the defaults are those of CLIP ViT-B/32 and B/16.

    Attributes:
        context_length: tokens T that a text has at most.
        vocab_size: numbers that a token may have.
        embed_dim: width D of the tokens.
        num_layers: number of blocks.
        num_heads: attention heads per block.
        mlp_ratio: width of the feed-forward layer over D.
        projection_dim: width of the space shared with the images.
        activation: of the feed-forward layers; OpenAI's weights want ``"quick_gelu"``, x sigmoid(1.702 x).
        end_token: number of the token that ends a text, whose first one the text's vector is read from; None: the
            highest number in the text, as the authors do it.
        layer_norm_eps: added to the variance by the normalisations.
    """

    context_length: PositiveInt = 77
    vocab_size: PositiveInt = 49408
    embed_dim: PositiveInt = 512
    num_layers: PositiveInt = 12
    num_heads: PositiveInt = 8
    mlp_ratio: PositiveFloat = 4.0
    projection_dim: PositiveInt = 512
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    end_token: NonNegativeInt | None = None
    layer_norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _fits(self) -> CLIPTextConfig:
        require_multiple(self, "embed_dim", "num_heads")
        if self.end_token is not None and self.end_token >= self.vocab_size:
            raise ValueError(f"end_token = {self.end_token} is not below vocab_size = {self.vocab_size}")
        return self


class TextTransformer(nn.Module):
    """The text tower. `CLIP` runs its blocks, between `embed` and `pool`."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        c = self.config = config
        self.token_embed = nn.Embedding(c.vocab_size, c.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, c.context_length, c.embed_dim))
        self.blocks = nn.ModuleList(
            Block(
                nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
                Attention(c.embed_dim, c.num_heads),
                nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
                Mlp(c.embed_dim, round(c.embed_dim * c.mlp_ratio), act=ACTIVATIONS[c.activation]()),
            )
            for _ in range(c.num_layers)
        )
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.proj = nn.Linear(c.embed_dim, c.projection_dim, bias=False)

    def embed(self, input_ids: Int[Tensor, "k t"]) -> Float[Tensor, "k t d"]:
        """Turn token numbers (K, T) into what enters the first block, (K, T, D)."""
        length, longest = input_ids.shape[-1], self.config.context_length
        if input_ids.ndim != 2 or length > longest:
            raise InputError(
                f"input_ids have the shape {tuple(input_ids.shape)}, not (texts, tokens) with at most {longest} "
                "tokens; model.tokenizer cuts texts to that"
            )
        return self.token_embed(input_ids) + self.pos_embed[:, :length]  # type: ignore[no-any-return]

    def mask(self, x: Float[Tensor, "k t d"]) -> Float[Tensor, "t t"]:
        """Return what is added to the attention scores, so that a token sees itself and those before it: padding behind
        a text's end changes nothing."""
        length = x.shape[1]
        return x.new_full((length, length), float("-inf")).triu(1)

    def pool(self, x: Float[Tensor, "k t d"], input_ids: Int[Tensor, "k t"]) -> Float[Tensor, "k projection"]:
        """Return the texts' vectors (K, projection_dim): the last block's tokens (K, T, D) where each text ends."""
        end = self.config.end_token
        ends = (input_ids if end is None else (input_ids == end).int()).argmax(-1)  # argmax takes the first of equals
        texts = torch.arange(x.shape[0], device=x.device)
        return self.proj(self.norm(x[texts, ends]))  # type: ignore[no-any-return]

    def init_weights_text(self) -> None:
        """Initialise as the authors do (openai/CLIP, `initialize_parameters`)."""
        nn.init.normal_(self.token_embed.weight, std=0.02)
        nn.init.normal_(self.pos_embed, std=0.01)
        for block in self.blocks:
            init_block(block, self.config.embed_dim, self.config.num_layers)
        nn.init.normal_(self.proj.weight, std=self.config.embed_dim**-0.5)
