"""SigLIP: an image tower and a text tower whose vectors agree where a picture and a text do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.errors import InputError
from nexus.layers import Attention, Block, Mlp, PatchEmbed, linear_rates, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.models.image_text import ImageTextModule
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["SigLIP", "SigLIPConfig", "SigLIPTextConfig", "SigLIPVision", "SigLIPVisionConfig"]


class TowerConfig(Config):
    """What both towers have.

    Attributes:
        embed_dim: width D of the tokens.
        num_layers: number of blocks.
        num_heads: attention heads per block.
        mlp_dim: width of the feed-forward layers.
        layer_norm_eps: added to the variance by the normalisations.
    """

    embed_dim: PositiveInt = 768
    num_layers: PositiveInt = 12
    num_heads: PositiveInt = 12
    mlp_dim: PositiveInt = 3072
    layer_norm_eps: PositiveFloat = 1e-6

    @model_validator(mode="after")
    def _heads_divide(self) -> TowerConfig:
        require_multiple(self, "embed_dim", "num_heads")
        return self


class SigLIPVisionConfig(TowerConfig):
    """What makes one image tower; the defaults are ViT-B/16.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them, bicubically.
        naflex: whether they are resampled as SigLIP 2's NaFlex was trained, for images of any aspect: bilinearly, and
            low-passed where the grid gets smaller.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        pool: what the head reads: attention over the patch tokens by one learned query, or their mean.
        drop_path: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
    """

    image_size: PositiveInt = 224
    naflex: bool = False
    patch_size: PositiveInt = 16
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 0
    pool: Literal["attention", "mean"] = "attention"
    drop_path: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_a_patch(self) -> SigLIPVisionConfig:
        if self.image_size < self.patch_size:
            raise ValueError(f"image_size = {self.image_size} is less than patch_size = {self.patch_size}")
        return self


class SigLIPTextConfig(TowerConfig):
    """What makes one text tower; the defaults are the one of SigLIP ViT-B/16.

    Attributes:
        vocab_size: numbers that a token may have.
        context_length: tokens T of a text, padding included.
        projection_dim: width of the space shared with the images.
    """

    vocab_size: PositiveInt = 32_000
    context_length: PositiveInt = 64
    projection_dim: PositiveInt = 768


class SigLIPConfig(Config):
    """What makes one SigLIP.

    Attributes:
        image, text: the towers.
    """

    image: SigLIPVisionConfig = SigLIPVisionConfig()
    text: SigLIPTextConfig = SigLIPTextConfig()

    @model_validator(mode="after")
    def _one_space(self) -> SigLIPConfig:
        if self.text.projection_dim != self.image.embed_dim:
            raise ValueError(
                f"text.projection_dim = {self.text.projection_dim} is not image.embed_dim = {self.image.embed_dim}: "
                "both towers map into one space"
            )
        if self.image.num_classes:
            raise ValueError(
                f"image.num_classes = {self.image.num_classes}: a pair has no head, its logits are images against "
                "texts; build the image tower alone for a classifier"
            )
        return self


class SigLIP(ImageTextModule):
    """Two towers, and how much their vectors agree (section 3 of the paper).

    `forward` gives what `SigLIPVision` gives and, with texts, their `text_embeddings` (K, D) and `logits` (B, K): how
    well each text fits each image, each pair judged for itself.
    """

    Config = SigLIPConfig
    lowercase = True
    image: SigLIPVision

    def __init__(self, config: Mapping[str, Any] | SigLIPConfig) -> None:
        super().__init__(config)
        c: SigLIPConfig = self.config
        self.image = SigLIPVision(c.image)
        self.text = TextTransformer(c.text)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))  # section 3.2
        self.logit_bias = nn.Parameter(torch.tensor(-10.0))

    def encode_text(
        self, input_ids: Int[Tensor, "k t"], attention_mask: Int[Tensor, "k t"] | None = None
    ) -> Float[Tensor, "k d"]:
        """Encode texts.

        Args:
            input_ids: (K, T), padded to `context_length` tokens as the model was trained: it reads the last one.
            attention_mask: (K, T), 1 for tokens to look at; None: all, padding too, as the model was trained.

        Returns:
            (K, D), not normalised.

        Raises:
            InputError: more tokens than the model has positions.
        """
        x = self.text.embed(input_ids)
        mask = None if attention_mask is None else score_mask(attention_mask, x.dtype)
        for block in self.text.blocks:
            x, _ = self.run_block(block, x, False, mask)
        return self.text.pool(x)

    def similarity(
        self, image_embeddings: Float[Tensor, "b d"], text_embeddings: Float[Tensor, "k d"]
    ) -> Float[Tensor, "b k"]:
        """Return the logits (B, K) of every pair: scaled cosine plus bias (algorithm 1)."""
        return super().similarity(image_embeddings, text_embeddings) + self.logit_bias

    def probabilities(self, logits: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """Return how probable it is that each pair belongs together; those of one image need not sum to 1."""
        return logits.sigmoid()


class SigLIPVision(WeightInitMixin, NexusModule):
    """The image tower: a vision transformer without class token, pooled by attention.

    `forward` gives `embeddings` (B, D) (what the head reads), `tokens` (B, N, D), `features`, `pyramid` of one level,
    `logits` where there is a head and `attentions` if asked for.

    NaFlex (SigLIP 2) is this tower, trained on pictures that keep their aspect. A batch here has one height and width,
    so every patch is of the image: the mask of padded sequences, by which the authors batch several shapes, is not
    needed, and the vectors are the same. The preprocess spec squashes pictures to one square, as all that runs a model
    wants one size; `nexus.transforms.naflex_size` says which size keeps a picture's aspect.
    """

    Config = SigLIPVisionConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | SigLIPVisionConfig) -> None:
        super().__init__(config)
        c: SigLIPVisionConfig = self.config
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size)
        self.pos_embed = nn.Parameter(torch.zeros(1, (c.image_size // c.patch_size) ** 2, c.embed_dim))
        self.blocks = nn.ModuleList(build_block(c, rate) for rate in linear_rates(c.drop_path, c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.attn_pool = AttentionPool(c) if c.pool == "attention" else None
        self.head: nn.Module = nn.Linear(c.embed_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        init_as_authors(self)
        nn.init.normal_(self.pos_embed, std=c.embed_dim**-0.5)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed; H and W are multiples of the patch size, or both the stored image size.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: a wrong shape, or an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        x, grid = self.embed(images)
        x, trace = self.run_blocks(x, wanted)
        x = self.norm(x)
        found = encoder_outputs(x, trace, prefix=0, grid=grid, stride=self.config.patch_size)
        if not {"embeddings", "logits"}.isdisjoint(wanted):
            found["embeddings"] = self.attn_pool(x) if self.attn_pool is not None else x.mean(1)
        return self.finish(found, wanted)

    def embed(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b n d"], tuple[int, int]]:
        """Turn images into the tokens that enter the first block, (B, N, D), and their grid."""
        x = self.patch_embed(self.without_remainder(images))
        grid = (x.shape[-2], x.shape[-1])
        how: dict[str, Any] = {"mode": "bilinear", "antialias": True} if self.config.naflex else {}
        return x.flatten(2).transpose(1, 2) + resample_positions(self.pos_embed, grid, **how), grid

    def without_remainder(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Cut off what no patch covers, at the right and at the bottom, from images of the size that was trained with.

        So400m/14 was trained on images of 384 pixels, 27 patches of 14 and a remainder of 6. Another size with a
        remainder is a mistake, which the patch embedding names.
        """
        size, patch = self.config.image_size, self.config.patch_size
        covered = size // patch * patch
        return images[..., :covered, :covered] if images.shape[-2:] == (size, size) else images


class AttentionPool(nn.Module):
    """One learned query attends to all tokens; a feed-forward layer follows (Zhai et al. 2022, arXiv:2106.04560).

    The authors' "MAP head". (B, N, D) -> (B, D).
    """

    def __init__(self, c: SigLIPVisionConfig) -> None:
        super().__init__()
        self.num_heads, self.head_dim = c.num_heads, c.embed_dim // c.num_heads
        self.probe = nn.Parameter(torch.zeros(1, 1, c.embed_dim))
        self.q = nn.Linear(c.embed_dim, c.embed_dim)
        self.kv = nn.Linear(c.embed_dim, 2 * c.embed_dim)
        self.proj = nn.Linear(c.embed_dim, c.embed_dim)
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.mlp = Mlp(c.embed_dim, c.mlp_dim, act=nn.GELU("tanh"))
        nn.init.xavier_uniform_(self.probe)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
        batch, length, _ = x.shape
        query = self.q(self.probe).view(1, 1, self.num_heads, self.head_dim).transpose(1, 2)
        kv = self.kv(x).view(batch, length, 2, self.num_heads, self.head_dim)
        key, value = kv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, N, head_dim)
        mixed = F.scaled_dot_product_attention(query.expand(batch, -1, -1, -1), key, value)  # (B, heads, 1, head_dim)
        pooled = self.proj(mixed.transpose(1, 2).flatten(2))  # heads side by side again
        return (pooled + self.mlp(self.norm(pooled)))[:, 0]  # type: ignore[no-any-return]


class TextTransformer(nn.Module):
    """The text tower, in which all tokens see each other. `SigLIP` runs its blocks, between `embed` and `pool`."""

    def __init__(self, c: SigLIPTextConfig) -> None:
        super().__init__()
        self.context_length = c.context_length
        self.token_embed = nn.Embedding(c.vocab_size, c.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, c.context_length, c.embed_dim))
        self.blocks = nn.ModuleList(build_block(c) for _ in range(c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.proj = nn.Linear(c.embed_dim, c.projection_dim)
        init_as_authors(self)
        for table in (self.token_embed.weight, self.pos_embed, self.proj.weight):
            nn.init.normal_(table, std=c.embed_dim**-0.5)
        nn.init.zeros_(self.proj.bias)

    def embed(self, input_ids: Int[Tensor, "k t"]) -> Float[Tensor, "k t d"]:
        """Turn token numbers (K, T) into what enters the first block, (K, T, D)."""
        if input_ids.ndim != 2 or input_ids.shape[1] > self.context_length:
            raise InputError(
                f"input_ids have the shape {tuple(input_ids.shape)}, not (texts, tokens) with at most "
                f"{self.context_length} tokens; model.tokenizer cuts texts to that"
            )
        return self.token_embed(input_ids) + self.pos_embed[:, : input_ids.shape[1]]  # type: ignore[no-any-return]

    def pool(self, x: Float[Tensor, "k t d"]) -> Float[Tensor, "k projection"]:
        """Return the texts' vectors (K, projection_dim), read at the last token: that of a short text is padding."""
        return self.proj(self.norm(x[:, -1]))  # type: ignore[no-any-return]


def score_mask(attention_mask: Int[Tensor, "k t"], dtype: torch.dtype) -> Float[Tensor, "k 1 1 t"]:
    """Return what is added to attention scores so that tokens whose mask is 0 are not seen."""
    scores = torch.zeros(attention_mask.shape, dtype=dtype, device=attention_mask.device)
    return scores.masked_fill(attention_mask == 0, -math.inf)[:, None, None]


def build_block(c: TowerConfig, drop_path: float = 0.0) -> Block:
    """Build one transformer block."""
    return Block(
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        Attention(c.embed_dim, c.num_heads),
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        Mlp(c.embed_dim, c.mlp_dim, act=nn.GELU("tanh")),
        drop_path=drop_path,
    )


def init_as_authors(tower: nn.Module) -> None:
    """Initialise attention and feed-forward layers as big_vision does: Glorot uniform, biases almost zero."""
    for module in tower.modules():
        if isinstance(module, Attention):
            init_linear(module.qkv, parts=3)
            init_linear(module.proj)
        elif isinstance(module, AttentionPool):
            init_linear(module.q)
            init_linear(module.kv, parts=2)
            init_linear(module.proj)
        elif isinstance(module, Mlp):
            for layer in (module.fc1, module.fc2):
                init_linear(layer)
                nn.init.normal_(layer.bias, std=1e-6)


def init_linear(layer: nn.Linear, parts: int = 1) -> None:
    """Initialise a linear layer, or `parts` of them that are stored as one."""
    for weight in layer.weight.chunk(parts):
        nn.init.xavier_uniform_(weight)
    nn.init.zeros_(layer.bias)
