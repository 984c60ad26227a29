"""Mobile-Former, as in Chen et al. 2022 (arXiv:2108.05895), sections 3.1 and 3.2, and the authors' code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config, require_multiple
from nexus.layers import DropPath, Mlp, conv2d, conv_bn, mix_values
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["BlockConfig", "MobileFormer", "MobileFormerConfig"]


class BlockConfig(Config):
    """One row of table 1 of the paper.

    Attributes:
        kind: ``"lite"``: a depthwise and a 1x1 convolution, without tokens; ``"mobile"``: a Mobile-Former block;
            ``"down"``: one whose Mobile part makes the grid coarser.
        width: channels it gives.
        expand_ratio: hidden channels over those that enter.
        expand_again: of ``"down"``: hidden channels behind the coarser grid, over `width`.
        stride: of the block.
    """

    kind: Literal["lite", "mobile", "down"]
    width: PositiveInt
    expand_ratio: PositiveInt
    expand_again: PositiveInt = 4
    stride: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _mobile_keeps_the_grid(self) -> BlockConfig:
        if self.kind == "mobile" and self.stride != 1:
            raise ValueError(f"a block of the kind 'mobile' has stride 1, not {self.stride}; take 'down'")
        return self


M294 = tuple(
    BlockConfig.parse({"kind": kind, "width": width, "expand_ratio": expand, "stride": stride})
    for kind, width, expand, stride in (
        ("lite", 16, 2, 1),
        ("down", 24, 6, 2),
        ("mobile", 24, 4, 1),
        ("down", 48, 6, 2),
        ("mobile", 48, 4, 1),
        ("down", 96, 6, 2),
        ("mobile", 96, 4, 1),
        ("mobile", 128, 6, 1),
        ("mobile", 128, 6, 1),
        ("down", 192, 6, 2),
        ("mobile", 192, 6, 1),
        ("mobile", 192, 6, 1),
    )
)
"""Mobile-Former-294M (table 1)."""


class MobileFormerConfig(Config):
    """What makes one Mobile-Former; the defaults are Mobile-Former-294M.

    Attributes:
        stem_width: channels of the first convolution.
        blocks: table 1 of the paper.
        num_tokens: tokens M of Former.
        token_dim: their width D.
        bridge_heads: heads of the attention between Mobile and Former.
        former_heads: heads of the attention among the tokens.
        groups: of the 1x1 convolutions; channels are shuffled between them where there is more than one (26M).
        top_ratio: channels of the last convolution over those that the last block gives.
        head_width: width of the layer before the head.
        drop_path: rate of stochastic depth at the last block; it grows linearly.
        dropout: rate before the head.
        num_classes: outputs of the linear head; 0: no head, and no logits.
    """

    stem_width: PositiveInt = 16
    blocks: tuple[BlockConfig, ...] = Field(M294, min_length=1)
    num_tokens: PositiveInt = 6
    token_dim: PositiveInt = 192
    bridge_heads: PositiveInt = 2
    former_heads: PositiveInt = 4
    groups: PositiveInt = 1
    top_ratio: PositiveInt = 6
    head_width: PositiveInt = 1920
    drop_path: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    num_classes: NonNegativeInt = 1000

    @model_validator(mode="after")
    def _heads_divide(self) -> MobileFormerConfig:
        require_multiple(self, "token_dim", "former_heads")
        for width in (self.stem_width, *(block.width for block in self.blocks)):
            for name in ("bridge_heads", "groups"):
                if width % getattr(self, name):
                    raise ValueError(f"a width of {width} is not a multiple of {name} = {getattr(self, name)}")
        return self


class MobileFormer(WeightInitMixin, NexusModule):
    """Mobile-Former.

    Any image size is taken. Outputs: `features`, every block; `pyramid`, the last block at each of the strides
    {4, 8, 16, 32}; `tokens`, the grid behind the last convolution in row-major order; `embeddings`, what the head
    reads, of the mean of that grid beside the first token of Former; `logits` where there is a head; in `aux` the
    ``prefix_tokens`` of Former, (B, M, D) behind every block; and, if asked for, `attentions` from these to the
    positions of the map, (B, heads, M, H * W), of every block that has a bridge.
    """

    Config = MobileFormerConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | MobileFormerConfig) -> None:
        super().__init__(config)
        c: MobileFormerConfig = self.config
        last = c.blocks[-1].width
        self.former_tokens = nn.Parameter(torch.zeros(c.num_tokens, c.token_dim))
        self.stem = conv_bn(conv2d(3, c.stem_width, 3, stride=2), nn.ReLU6())
        self.blocks = nn.ModuleList(build_blocks(c))
        self.to_former = MobileToFormer(c, last, c.drop_path)
        self.shuffle = shuffle(c.groups, c)
        self.top = conv_bn(conv2d(last, last * c.top_ratio, 1, groups=c.groups), nn.ReLU6())
        self.fc = nn.Linear(last * c.top_ratio + c.token_dim, c.head_width)
        self.fc_bn = nn.BatchNorm1d(c.head_width)
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(c.head_width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_as_authors()

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all but `attentions`.
            output_attentions: also return what the tokens look at.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}
        prefix: list[Tensor] = []
        attentions: list[Tensor] = []

        x, stride = self.stem(images), 2  # (B, C, H/2, W/2), rounded up here and below
        tokens = self.former_tokens.expand(images.shape[0], -1, -1)  # (B, M, D)
        for block in self.blocks:
            x, tokens, weights = self.run_block(block, x, tokens, "attentions" in wanted)
            stride *= block.stride  # type: ignore[operator, assignment]
            if "features" in wanted:
                features.append(x)
            prefix.append(tokens)
            if weights is not None:
                attentions.append(weights)
            if "pyramid" in wanted and stride >= 4:
                pyramid[stride] = x

        found: dict[str, Any] = {
            "features": features,
            "pyramid": pyramid,
            "aux": {"prefix_tokens": prefix},
            "attentions": attentions,
        }
        if wanted & {"tokens", "embeddings", "logits"}:
            tokens, _ = self.to_former(x, tokens)
            x = self.top(self.shuffle(x))
            found["tokens"] = x.flatten(2).transpose(1, 2)  # (B, HW, C)
            found["embeddings"] = self.join(x, tokens)
        return self.finish(found, wanted, self.dropout)

    def join(self, x: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b m d"]) -> Float[Tensor, "b width"]:
        """Return what the head reads, from the final map and the final tokens."""
        both = torch.cat([F.hardswish(x.mean((2, 3))), tokens[:, 0]], dim=1)
        return F.hardswish(self.fc_bn(self.fc(both)))

    def init_as_authors(self) -> None:
        """Initialise as the authors' code: He normal convolutions, linear layers of 0.01, tokens of 1."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.former_tokens)


def build_blocks(config: MobileFormerConfig) -> list[nn.Module]:
    """Build all rows of table 1."""
    blocks: list[nn.Module] = []
    inputs = config.stem_width
    for number, block in enumerate(config.blocks, 1):
        drop_path = config.drop_path * number / len(config.blocks)
        if block.kind == "lite":
            blocks.append(LiteBlock(config, block, inputs))
        else:
            blocks.append(MobileFormerBlock(config, block, inputs, drop_path))
        inputs = block.width
    return blocks


class LiteBlock(nn.Module):
    """A depthwise convolution that widens and a 1x1 one that narrows; the tokens pass by.

    (B, C, H, W) -> (B, width, H / stride, W / stride).
    """

    def __init__(self, config: MobileFormerConfig, block: BlockConfig, inputs: int) -> None:
        super().__init__()
        hidden = inputs * block.expand_ratio
        self.stride = block.stride
        self.residual = block.stride == 1 and inputs == block.width
        self.depthwise = conv_bn(conv2d(inputs, hidden, 3, stride=block.stride, groups=inputs), nn.ReLU6())
        self.shuffle = shuffle(inputs, config)
        self.project = conv_bn(conv2d(hidden, block.width, 1, groups=config.groups))

    def forward(
        self, x: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b m d"], _return_weights: bool = False
    ) -> tuple[Float[Tensor, "b width rows columns"], Float[Tensor, "b m d"], None]:
        y: Tensor = self.project(self.shuffle(self.depthwise(x)))
        return (x + y if self.residual else y), tokens, None


class MobileFormerBlock(nn.Module):
    """Mobile -> Former, Former, Mobile, Former -> Mobile (figure 3 of the paper).

    (B, C, H, W), (B, M, D) -> (B, width, H / stride, W / stride), (B, M, D).
    """

    def __init__(self, config: MobileFormerConfig, block: BlockConfig, inputs: int, drop_path: float) -> None:
        super().__init__()
        self.stride = block.stride
        self.to_former = MobileToFormer(config, inputs, drop_path)
        self.former = Former(config, drop_path)
        self.mobile = (MobileDown if block.kind == "down" else Mobile)(config, block, inputs, drop_path)
        self.to_mobile = FormerToMobile(config, block.width, drop_path)

    def forward(
        self, x: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b m d"], return_weights: bool = False
    ) -> tuple[
        Float[Tensor, "b width rows columns"], Float[Tensor, "b m d"], Float[Tensor, "b heads m positions"] | None
    ]:
        """Return the map, the tokens and, if asked for, what the tokens look at in `x`, (B, heads, M, H * W)."""
        tokens, weights = self.to_former(x, tokens, return_weights)
        tokens = self.former(tokens)
        x = self.mobile(x, tokens[:, 0])
        return self.to_mobile(x, tokens), tokens, weights


# -- the bridge and Former --------------------------------------------------------------------------------------------


class MobileToFormer(nn.Module):
    """The tokens look at the map, whose positions are keys and values as they are (equation 1).

    (B, C, H, W), (B, M, D) -> (B, M, D). Each token also weighs the channels of what it takes.
    """

    def __init__(self, config: MobileFormerConfig, dim: int, drop_path: float) -> None:
        super().__init__()
        self.num_heads = config.bridge_heads
        self.q = nn.Linear(config.token_dim, dim)
        self.gate = nn.Linear(config.token_dim, dim)
        self.proj = nn.Linear(dim, config.token_dim)
        self.norm = nn.LayerNorm(config.token_dim)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b m d"], return_weights: bool = False
    ) -> tuple[Float[Tensor, "b m d"], Float[Tensor, "b heads m positions"] | None]:
        query, key = heads(self.q(tokens), self.num_heads), heads(positions(x), self.num_heads)
        mixed, weights = mix_values(query, key, key, return_weights=return_weights)
        taken = mixed.transpose(1, 2).flatten(2) * (2 * F.hardsigmoid(self.gate(tokens)))  # (B, M, C)
        return self.norm(tokens + self.drop_path(self.proj(taken))), weights


class Former(nn.Module):
    """A transformer block over the tokens, normalised behind each sum, with keys and values as they are.

    (B, M, D) -> (B, M, D).
    """

    def __init__(self, config: MobileFormerConfig, drop_path: float) -> None:
        super().__init__()
        self.num_heads = config.former_heads
        self.q = nn.Linear(config.token_dim, config.token_dim)
        self.proj = nn.Linear(config.token_dim, config.token_dim)
        self.norm1 = nn.LayerNorm(config.token_dim)
        self.mlp = Mlp(config.token_dim, 2 * config.token_dim)
        self.norm2 = nn.LayerNorm(config.token_dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
        query, key = heads(self.q(tokens), self.num_heads), heads(tokens, self.num_heads)
        mixed, _ = mix_values(query, key, key)
        tokens = self.norm1(tokens + self.drop_path(self.proj(mixed.transpose(1, 2).flatten(2))))
        return self.norm2(tokens + self.mlp(tokens))  # type: ignore[no-any-return]


class FormerToMobile(nn.Module):
    """The positions of the map, queries as they are, look at the tokens (equation 2).

    (B, C, H, W), (B, M, D) -> (B, C, H, W).
    """

    def __init__(self, config: MobileFormerConfig, dim: int, drop_path: float) -> None:
        super().__init__()
        self.num_heads = config.bridge_heads
        self.k = nn.Linear(config.token_dim, dim)
        self.v = nn.Linear(config.token_dim, dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "b c h w"], tokens: Float[Tensor, "b m d"]) -> Float[Tensor, "b c h w"]:
        key, value = heads(self.k(tokens), self.num_heads), heads(self.v(tokens), self.num_heads)
        mixed, _ = mix_values(heads(positions(x), self.num_heads), key, value)
        return x + self.drop_path(mixed.transpose(2, 3).reshape(x.shape))  # type: ignore[no-any-return]


def positions(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b positions c"]:
    """View a map as a row of positions, (B, HW, C)."""
    return x.flatten(2).transpose(1, 2)


def heads(x: Float[Tensor, "b n d"], count: int) -> Float[Tensor, "b heads n e"]:
    """Split the channels, (B, N, D) -> (B, heads, N, D / heads)."""
    return x.unflatten(2, (count, -1)).transpose(1, 2)  # type: ignore[no-any-return, no-untyped-call]


# -- Mobile -----------------------------------------------------------------------------------------------------------


class DynamicReLU(nn.Module):
    """max(a1 x, a2 x), the slopes of each channel being a function of a token (Chen et al. 2020, DY-ReLU-B).

    (B, C, H, W), (B, D) -> (B, C, H, W); a1 is within 0..2, a2 within -1..1.
    """

    def __init__(self, token_dim: int, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(token_dim, token_dim // 4)
        self.fc2 = nn.Linear(token_dim // 4, 2 * channels)

    def forward(self, x: Float[Tensor, "b c h w"], token: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        slopes = 2 * F.hardsigmoid(self.fc2(F.relu(self.fc1(token)))) - 1  # within -1..1
        first, second = slopes[:, :, None, None].chunk(2, dim=1)  # each (B, C, 1, 1)
        return torch.maximum(x * (first + 1), x * second)


class Mobile(nn.Module):
    """An inverted bottleneck with dynamic activations: (B, C, H, W), (B, D) -> (B, width, H, W)."""

    def __init__(self, config: MobileFormerConfig, block: BlockConfig, inputs: int, drop_path: float) -> None:
        super().__init__()
        hidden = inputs * block.expand_ratio
        self.residual = inputs == block.width
        self.expand = conv_bn(conv2d(inputs, hidden, 1, groups=config.groups))
        self.shuffle = shuffle(config.groups, config)
        self.act1 = DynamicReLU(config.token_dim, hidden)
        self.depthwise = conv_bn(conv2d(hidden, hidden, 3, groups=hidden))
        self.act2 = DynamicReLU(config.token_dim, hidden)
        self.project = conv_bn(conv2d(hidden, block.width, 1, groups=config.groups))
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b c h w"], token: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b width rows columns"]:
        y = self.act1(self.shuffle(self.expand(x)), token)
        y = self.act2(self.depthwise(y), token)
        y = self.shuffle(self.project(y))
        return x + self.drop_path(y) if self.residual else y  # type: ignore[no-any-return]


class MobileDown(nn.Module):
    """Mobile where the grid gets coarser: a depthwise convolution that widens and strides, a 1x1 one that narrows, and
    the same again behind it, as a residual (section 3.2). (B, C, H, W), (B, D) -> (B, width, H / stride, W / stride).
    """

    def __init__(self, config: MobileFormerConfig, block: BlockConfig, inputs: int, drop_path: float) -> None:
        super().__init__()
        wide, hidden = inputs * block.expand_ratio, block.width * block.expand_again
        self.residual = block.stride == 1 and inputs == block.width
        self.down = conv_bn(conv2d(inputs, wide, 3, stride=block.stride, groups=inputs))
        self.shuffle1 = shuffle(inputs, config)
        self.act1 = DynamicReLU(config.token_dim, wide)
        self.narrow = conv_bn(conv2d(wide, block.width, 1, groups=config.groups))
        self.depthwise = conv_bn(conv2d(block.width, hidden, 3, groups=block.width))
        self.shuffle2 = shuffle(block.width, config)
        self.act2 = DynamicReLU(config.token_dim, hidden)
        self.project = conv_bn(conv2d(hidden, block.width, 1, groups=config.groups))
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "b c h w"], token: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b width rows columns"]:
        y = self.narrow(self.act1(self.shuffle1(self.down(x)), token))
        z = self.act2(self.shuffle2(self.depthwise(y)), token)
        return y + self.drop_path(self.project(z))  # type: ignore[no-any-return]


def shuffle(groups: int, config: MobileFormerConfig) -> nn.Module:
    """Mix the channels of groups, where 1x1 convolutions are grouped (Zhang et al. 2018, ShuffleNet)."""
    return nn.ChannelShuffle(groups) if config.groups > 1 else nn.Identity()
