"""CvT: a transformer in stages, whose tokens and whose queries, keys and values are made by convolutions."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.layers import DropPath, Mlp, QuickGELU, as_map, linear_rates, mix_values
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CvT", "CvTConfig", "StageConfig"]


class StageConfig(Config):
    """One stage of table 2.

    Attributes:
        patch_size, patch_stride, patch_padding: of the convolution that makes the stage's tokens.
        embed_dim: width D of the tokens.
        depth: number of blocks.
        num_heads: attention heads per block.
        mlp_ratio: width of the feed-forward layer over D.
        qkv_bias: whether the linear maps to query, key and value have a bias.
        class_token: whether a class token is added before the first block.
        projection: what precedes those linear maps: a depthwise convolution and batch norm, or, for keys and values
            only, average pooling.
        kernel_size: of that convolution or pooling.
        stride_q, stride_kv, padding_q, padding_kv: likewise, for queries, and for keys and values.
        drop_path: rate of stochastic depth at the stage's last block; it grows linearly from 0 at its first.
        dropout, attention_dropout: rates in training.
    """

    patch_size: PositiveInt = 3
    patch_stride: PositiveInt = 2
    patch_padding: NonNegativeInt = 1
    embed_dim: PositiveInt
    depth: PositiveInt
    num_heads: PositiveInt
    mlp_ratio: PositiveFloat = 4.0
    qkv_bias: bool = True
    class_token: bool = False
    projection: Literal["dw_bn", "avg"] = "dw_bn"
    kernel_size: PositiveInt = 3
    stride_q: PositiveInt = 1
    stride_kv: PositiveInt = 2
    padding_q: NonNegativeInt = 1
    padding_kv: NonNegativeInt = 1
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _divisible(self) -> StageConfig:
        require_multiple(self, "embed_dim", "num_heads")
        if self.stride_q != 1:
            raise ValueError(
                f"stride_q = {self.stride_q}: with fewer queries than tokens nothing can be added to these"
            )
        return self


CVT_13: tuple[dict[str, Any], ...] = (
    {"patch_size": 7, "patch_stride": 4, "patch_padding": 2, "embed_dim": 64, "depth": 1, "num_heads": 1},
    {"embed_dim": 192, "depth": 2, "num_heads": 3},
    {"embed_dim": 384, "depth": 10, "num_heads": 6, "class_token": True, "drop_path": 0.1},
)


class CvTConfig(Config):
    """What makes one CvT; the defaults are CvT-13.

    Attributes:
        in_channels: channels of the images.
        num_classes: outputs of the linear head; 0: no head, and no logits.
        stages: the stages, in order.
        activation: of the feed-forward layers. The authors trained with ``"quick_gelu"``; transformers runs their
            weights with the exact ``"gelu"``.
        layer_norm_eps: added to the variance by the normalisations.
    """

    in_channels: PositiveInt = 3
    num_classes: NonNegativeInt = 1000
    stages: tuple[StageConfig, ...] = Field(tuple(map(StageConfig.parse, CVT_13)), min_length=1)
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    layer_norm_eps: PositiveFloat = 1e-5

    @model_validator(mode="after")
    def _class_token_is_last(self) -> CvTConfig:
        if any(stage.class_token for stage in self.stages[:-1]):
            raise ValueError("class_token = True: only the last stage's is read")
        return self


class CvT(WeightInitMixin, NexusModule):
    """The convolutional vision transformer.

    Any image size is taken. Outputs: `features`, every block; `pyramid`, every stage, {4, 8, 16}, the last one
    normalised; `tokens`, that last grid in row-major order; `embeddings`, the class token, or the tokens' mean where
    there is none; `logits` where there is a head; `attentions` if asked for (B, heads, queries, keys), of which there
    are fewer keys than queries.
    """

    Config = CvTConfig

    def __init__(self, config: Mapping[str, Any] | CvTConfig) -> None:
        super().__init__(config)
        c: CvTConfig = self.config
        widths = [c.in_channels, *(stage.embed_dim for stage in c.stages)]
        self.stages = nn.ModuleList(Stage(c, stage, inputs) for stage, inputs in zip(c.stages, widths))
        self.norm = nn.LayerNorm(widths[-1], eps=c.layer_norm_eps)
        self.head: nn.Module = nn.Linear(widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        for module in self.modules():
            init_layer(module)

    @property
    def blocks(self) -> list[nn.Module]:
        """The blocks in order."""
        return [block for stage in self.stages for block in stage.get_submodule("blocks").children()]

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Encode images.

        Args:
            images: (B, 3, H, W), preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return the attention weights of every block.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        found: dict[str, Any] = {"features": [], "pyramid": {}, "attentions": []}
        x, stride = images, 1
        for stage, c in zip(cast(Iterable[Stage], self.stages), self.config.stages):
            x, grid = stage.embed(x)
            for block in stage.blocks:
                x, weights = self.run_block(block, x, grid, "attentions" in wanted)
                found["features"].append(as_map(x[:, c.class_token :], grid))
                found["attentions"].append(weights)
            if stage is self.stages[-1]:
                x = self.norm(x)
            cls, x = x[:, : c.class_token], as_map(x[:, c.class_token :], grid)
            stride *= c.patch_stride
            found["pyramid"][stride] = x
        found["tokens"] = x.flatten(2).transpose(1, 2)
        found["embeddings"] = cls[:, 0] if c.class_token else found["tokens"].mean(1)
        return self.finish(found, wanted)


class Stage(nn.Module):
    """Convolutional token embedding (section 3.1), and blocks."""

    def __init__(self, config: CvTConfig, c: StageConfig, inputs: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, c.embed_dim, c.patch_size, stride=c.patch_stride, padding=c.patch_padding)
        self.norm = nn.LayerNorm(c.embed_dim, eps=config.layer_norm_eps)
        self.cls_token = nn.Parameter(torch.empty(1, 1, c.embed_dim)) if c.class_token else None
        self.dropout = nn.Dropout(c.dropout)
        self.blocks = nn.ModuleList(CvTBlock(config, c, rate) for rate in linear_rates(c.drop_path, c.depth))
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)

    def embed(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b n d"], tuple[int, int]]:
        """Turn a map (B, C, H, W) into tokens (B, N, D), the class token first if there is one, and their grid."""
        x = self.proj(x)
        grid = (x.shape[-2], x.shape[-1])
        x = self.norm(x.flatten(2).transpose(1, 2))
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.dropout(x), grid


class CvTBlock(nn.Module):
    """Attention, then a feed-forward layer, each normalised before and added after. (B, N, D) -> (B, N, D)."""

    def __init__(self, config: CvTConfig, c: StageConfig, drop_path: float) -> None:
        super().__init__()
        act = nn.GELU() if config.activation == "gelu" else QuickGELU()
        self.norm1 = nn.LayerNorm(c.embed_dim, eps=config.layer_norm_eps)
        self.attn = ConvolutionalAttention(c)
        self.norm2 = nn.LayerNorm(c.embed_dim, eps=config.layer_norm_eps)
        self.mlp = Mlp(c.embed_dim, int(c.embed_dim * c.mlp_ratio), act=act, dropout=c.dropout)
        self.drop_path1, self.drop_path2 = DropPath(drop_path), DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b n d"], grid: tuple[int, int], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b heads n m"] | None]:
        """Return tokens and, if asked for, attention weights."""
        mixed, weights = self.attn(self.norm1(x), grid, return_weights)
        x = x + self.drop_path1(mixed)
        return x + self.drop_path2(self.mlp(self.norm2(x))), weights


class ConvolutionalAttention(nn.Module):
    """Attention whose query, key and value are convolved first (section 3.2, equation 2).

    Keys and values are convolved with a stride, which leaves fewer of them. A class token is not convolved. The scores
    are divided by the square root of the width of all heads together, as the authors do.
    """

    def __init__(self, c: StageConfig) -> None:
        super().__init__()
        self.c = c
        self.conv_q = depthwise(c, c.padding_q, c.stride_q) if c.projection == "dw_bn" else nn.Identity()
        self.conv_k, self.conv_v = (
            depthwise(c, c.padding_kv, c.stride_kv)
            if c.projection == "dw_bn"
            else nn.AvgPool2d(c.kernel_size, c.stride_kv, c.padding_kv, ceil_mode=True)
            for _ in "kv"
        )
        self.q, self.k, self.v = (nn.Linear(c.embed_dim, c.embed_dim, bias=c.qkv_bias) for _ in "qkv")
        self.proj = nn.Linear(c.embed_dim, c.embed_dim)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self, x: Float[Tensor, "b n d"], grid: tuple[int, int], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b n d"], Float[Tensor, "b heads n m"] | None]:
        """Mix tokens (B, N, D) and, if asked for, return the weights (B, heads, N, M) of the M keys."""
        c = self.c
        cls, plane = x[:, : c.class_token], as_map(x[:, c.class_token :], grid)
        convolved = [conv(plane).flatten(2).transpose(1, 2) for conv in (self.conv_q, self.conv_k, self.conv_v)]
        if c.class_token:
            convolved = [torch.cat([cls, part], dim=1) for part in convolved]
        query, key, value = (
            linear(part).unflatten(-1, (c.num_heads, -1)).transpose(1, 2)  # (B, heads, tokens, head_dim)
            for linear, part in zip((self.q, self.k, self.v), convolved)
        )
        rate = c.attention_dropout if self.training else 0.0
        mixed, weights = mix_values(
            query, key, value, dropout=rate, scale=c.embed_dim**-0.5, return_weights=return_weights
        )
        return self.dropout(self.proj(mixed.transpose(1, 2).flatten(2))), weights


def depthwise(c: StageConfig, padding: int, stride: int) -> nn.Sequential:
    """A depthwise convolution without bias, and its batch norm."""
    dim = c.embed_dim
    conv = nn.Conv2d(dim, dim, c.kernel_size, stride=stride, padding=padding, groups=dim, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(dim)))


def init_layer(module: nn.Module) -> None:
    """Initialise one layer as the authors' code does: linear layers truncated normal, convolutions as PyTorch does."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
