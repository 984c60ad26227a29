"""CLIP's vision transformer (Radford et al. 2021, section 2.4): a ViT with a norm before its blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.layers import Attention, Block, Mlp, PatchEmbed, QuickGELU, resample_positions
from nexus.models.base import NexusModule, WeightInitMixin, encoder_outputs
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ACTIVATIONS", "CLIPVision", "CLIPVisionConfig", "init_block"]


class CLIPVisionConfig(Config):
    """What makes one image tower; the defaults are CLIP ViT-B/32.

    Attributes:
        image_size: side in pixels for which the position embeddings are stored; other sizes resample them.
        patch_size: side of a patch in pixels.
        in_channels: channels of the images.
        num_classes: outputs of a linear head over `embeddings`; 0: no head, and no logits.
        pool: what `embeddings` are of: the class token after the final norm, or the mean of the last block's patch
            tokens (transformers' classifier).
        embed_dim: width D of the tokens.
        num_layers: number of blocks.
        num_heads: attention heads per block.
        mlp_ratio: width of the feed-forward layer over D.
        projection_dim: width of the space shared with the texts; 0: no projection.
        activation: of the feed-forward layers; OpenAI's weights want ``"quick_gelu"``, x sigmoid(1.702 x).
        attention_dropout: rate in training.
        layer_norm_eps: added to the variance by the normalisations.
    """

    image_size: PositiveInt = 224
    patch_size: PositiveInt = 32
    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 0
    pool: Literal["cls", "mean"] = "cls"
    embed_dim: PositiveInt = 768
    num_layers: PositiveInt = 12
    num_heads: PositiveInt = 12
    mlp_ratio: PositiveFloat = 4.0
    projection_dim: NonNegativeInt = 512
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    layer_norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _divisible(self) -> CLIPVisionConfig:
        require_multiple(self, "image_size", "patch_size")
        require_multiple(self, "embed_dim", "num_heads")
        return self


class CLIPVision(WeightInitMixin, NexusModule):
    """The vision transformer of CLIP.

    `forward` gives `embeddings` (B, projection_dim), projected and not of unit length; `tokens` (B, N, D)
    after the final norm; `features`, `pyramid` of one level, `logits` where there is a head, `attentions` if asked for,
    and in `aux` the ``prefix_tokens`` of every block.
    """

    Config = CLIPVisionConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | CLIPVisionConfig) -> None:
        super().__init__(config)
        c: CLIPVisionConfig = self.config
        self.patch_embed = PatchEmbed(c.in_channels, c.embed_dim, c.patch_size, bias=False)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (c.image_size // c.patch_size) ** 2, c.embed_dim))
        self.norm_pre = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        self.blocks = nn.ModuleList(build_block(c) for _ in range(c.num_layers))
        self.norm = nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps)
        width = c.projection_dim or c.embed_dim
        self.proj: nn.Module = nn.Linear(c.embed_dim, width, bias=False) if c.projection_dim else nn.Identity()
        self.head: nn.Module = nn.Linear(width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision()
        self.init_as_the_authors()

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
        last, trace = self.run_blocks(x, wanted, pooled=1 if self.config.pool == "cls" else None)
        x = self.norm(last)
        found = encoder_outputs(x, trace, prefix=1, grid=grid, stride=self.config.patch_size)
        found["embeddings"] = self.proj(x[:, 0] if self.config.pool == "cls" else last[:, 1:].mean(1))
        return self.finish(found, wanted)

    def embed(self, images: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b tokens d"], tuple[int, int]]:
        """Turn images into the tokens that enter the first block, (B, 1 + N, D), and the grid of the N patches."""
        x = self.patch_embed(images)
        grid = (x.shape[-2], x.shape[-1])
        x = x.flatten(2).transpose(1, 2) + resample_positions(self.pos_embed[:, 1:], grid)  # (B, N, D)
        cls = self.cls_token + self.pos_embed[:, :1]
        return self.norm_pre(torch.cat([cls.expand(x.shape[0], -1, -1), x], dim=1)), grid

    def init_as_the_authors(self) -> None:
        """Initialise tokens, positions and projection as openai/CLIP does, and the blocks as it does those of its text
        tower (for these it has no formula; transformers takes the same one)."""
        scale = self.config.embed_dim**-0.5
        nn.init.normal_(self.cls_token, std=scale)
        nn.init.normal_(self.pos_embed, std=scale)
        for block in self.blocks:
            init_block(block, self.config.embed_dim, self.config.num_layers)
        if isinstance(self.proj, nn.Linear):
            nn.init.normal_(self.proj.weight, std=scale)


ACTIVATIONS: dict[str, type[nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}
"""Name in a config -> module."""


def build_block(c: CLIPVisionConfig) -> Block:
    """Build one transformer block."""
    return Block(
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        Attention(c.embed_dim, c.num_heads, attention_dropout=c.attention_dropout),
        nn.LayerNorm(c.embed_dim, eps=c.layer_norm_eps),
        Mlp(c.embed_dim, round(c.embed_dim * c.mlp_ratio), act=ACTIVATIONS[c.activation]()),
    )


def init_block(block: nn.Module, dim: int, layers: int) -> None:
    """Initialise a block as openai/CLIP does: what is added to the residual stream is smaller where blocks are many."""
    residual = dim**-0.5 * (2 * layers) ** -0.5
    deviations = {"attn.qkv": dim**-0.5, "attn.proj": residual, "mlp.fc1": (2 * dim) ** -0.5, "mlp.fc2": residual}
    for name, deviation in deviations.items():
        nn.init.normal_(block.get_parameter(f"{name}.weight"), std=deviation)
        nn.init.zeros_(block.get_parameter(f"{name}.bias"))
