"""EfficientNet, as in Tan and Le, "EfficientNet: Rethinking Model Scaling for CNNs" (arXiv:1905.11946), table 1."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import DropPath
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["EfficientNet", "EfficientNetConfig", "StageConfig"]


class StageConfig(Config):
    """One row of table 1: `depth` MBConv blocks of the same width.

    Attributes:
        expand_ratio: hidden channels of a block, in multiples of its input's.
        kernel_size: of the depthwise convolution.
        stride: of the stage's first block.
        width: channels it gives, before scaling.
        depth: blocks, before scaling.
    """

    expand_ratio: PositiveInt
    kernel_size: Literal[3, 5, 7]
    stride: Literal[1, 2]
    width: PositiveInt
    depth: PositiveInt


B0 = (
    StageConfig(expand_ratio=1, kernel_size=3, stride=1, width=16, depth=1),
    StageConfig(expand_ratio=6, kernel_size=3, stride=2, width=24, depth=2),
    StageConfig(expand_ratio=6, kernel_size=5, stride=2, width=40, depth=2),
    StageConfig(expand_ratio=6, kernel_size=3, stride=2, width=80, depth=3),
    StageConfig(expand_ratio=6, kernel_size=5, stride=1, width=112, depth=3),
    StageConfig(expand_ratio=6, kernel_size=5, stride=2, width=192, depth=4),
    StageConfig(expand_ratio=6, kernel_size=3, stride=1, width=320, depth=1),
)
"""Stages 2 to 8 of EfficientNet-B0 (table 1), which compound scaling makes larger."""


class EfficientNetConfig(Config):
    """Config of `EfficientNet`; the defaults are EfficientNet-B0.

    Attributes:
        width_coefficient: scales all widths, which are then rounded to multiples of `width_divisor`.
        depth_coefficient: scales the depths of all stages, rounded up.
        width_divisor: unit of widths.
        stages: the network that is scaled.
        stem_width, top_width: channels of the first convolution and of the last, 1x1 one, before scaling.
        fix_stem_and_top: leave the stem, the top, and the depths of the first and last stage unscaled, as Lite does.
        activation: ``"swish"``, or ``"relu6"`` in Lite.
        squeeze_ratio: channels inside squeeze-and-excitation over those that enter the block; 0 for none, as in Lite.
        padding: of the stride-2 convolutions. ``"same"``: TensorFlow's, by the size of each input, one more at the
            bottom and right where the sum is odd. ``"fixed"``: the same-padding of even sizes whatever the size, but in
            `symmetric_blocks`, whose input was odd at the training resolution: transformers'. ``"symmetric"``:
            torchvision's, and timm's for its own weights.
        symmetric_blocks: numbers of blocks, see `padding`.
        bn_eps, bn_momentum: of every batch norm; the momentum is the share of the new batch, as PyTorch counts it.
        drop_path: rate of stochastic depth behind the last block; it grows linearly from 0 at the first.
        dropout: rate before the head.
        num_classes: logits of the head; 0 for none.
    """

    width_coefficient: PositiveFloat = 1.0
    depth_coefficient: PositiveFloat = 1.0
    width_divisor: PositiveInt = 8
    stages: tuple[StageConfig, ...] = Field(B0, min_length=1)
    stem_width: PositiveInt = 32
    top_width: PositiveInt = 1280
    fix_stem_and_top: bool = False
    activation: Literal["swish", "relu6"] = "swish"
    squeeze_ratio: float = Field(0.25, ge=0, le=1)
    padding: Literal["same", "fixed", "symmetric"] = "same"
    symmetric_blocks: tuple[NonNegativeInt, ...] = ()
    bn_eps: PositiveFloat = 1e-3
    bn_momentum: PositiveFloat = 0.01
    drop_path: float = Field(0.2, ge=0, lt=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    num_classes: NonNegativeInt = 1000

    @model_validator(mode="after")
    def _symmetric_blocks_are_read(self) -> EfficientNetConfig:
        if self.symmetric_blocks and self.padding != "fixed":
            raise ValueError(f"symmetric_blocks needs padding='fixed', not {self.padding!r}")
        return self

    def scaled_width(self, width: int) -> int:
        """Scale a width and round it to the divisor, but never below 0.9 of it."""
        exact, unit = width * self.width_coefficient, self.width_divisor
        rounded = max(unit, int(exact + unit / 2) // unit * unit)
        return rounded + unit if rounded < 0.9 * exact else rounded

    def scaled_ends(self) -> tuple[int, int]:
        """Return the widths of the stem and of the top."""
        if self.fix_stem_and_top:
            return self.stem_width, self.top_width
        return self.scaled_width(self.stem_width), self.scaled_width(self.top_width)

    def scaled_depths(self) -> tuple[int, ...]:
        """Return the number of blocks in each stage."""
        depths = [math.ceil(stage.depth * self.depth_coefficient) for stage in self.stages]
        if self.fix_stem_and_top:
            depths[0], depths[-1] = self.stages[0].depth, self.stages[-1].depth
        return tuple(depths)


class EfficientNet(WeightInitMixin, NexusModule):
    """An EfficientNet.

    Any input size is taken. Outputs: `features`, every block; `pyramid`, the last block at each of the strides
    {4, 8, 16, 32}; `tokens`, the grid behind the top convolution in row-major order; `embeddings`, its mean; `logits`
    where there is a head.
    """

    Config = EfficientNetConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | EfficientNetConfig) -> None:
        super().__init__(config)
        c: EfficientNetConfig = self.config
        stem_width, top_width = c.scaled_ends()
        self.stem = conv_bn(c, 3, stem_width, kernel=3, stride=2)
        self.blocks = nn.ModuleList(build_blocks(c, stem_width))
        self.top = conv_bn(c, c.scaled_width(c.stages[-1].width), top_width, kernel=1)
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(top_width, c.num_classes) if c.num_classes else nn.Identity()
        for module in self.modules():
            init_layer(module)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all.
            output_attentions: accepted for all models alike; an EfficientNet has none.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}

        x, stride = self.stem(images), 2  # (B, C, H/2, W/2), rounded up here and below
        for block in self.blocks:
            x = self.run_block(block, x)
            stride *= cast(int, block.stride)
            if "features" in wanted:
                features.append(x)
            if "pyramid" in wanted and stride >= 4:
                pyramid[stride] = x

        found: dict[str, Any] = {"features": features, "pyramid": pyramid}
        if wanted & {"tokens", "embeddings", "logits"}:
            x = self.top(x)
            found["tokens"] = x.flatten(2).transpose(1, 2)  # (B, HW, C)
            found["embeddings"] = x.mean((2, 3))  # (B, C)
        return self.finish(found, wanted, self.dropout)


def build_blocks(config: EfficientNetConfig, inputs: int) -> list[MBConv]:
    """Build all stages, scaled."""
    depths = config.scaled_depths()
    total = sum(depths)
    blocks: list[MBConv] = []
    for stage, depth in zip(config.stages, depths):
        width = config.scaled_width(stage.width)
        for index in range(depth):
            stride = stage.stride if index == 0 else 1
            # The authors divide by the number of blocks, so that the last one stays below the full rate.
            drop_path = config.drop_path * len(blocks) / total
            symmetric = len(blocks) in config.symmetric_blocks
            blocks.append(MBConv(config, stage, inputs, width, stride, drop_path, symmetric))
            inputs = width
    return blocks


class MBConv(nn.Module):
    """Mobile inverted bottleneck: widen, convolve each channel, weigh the channels, narrow, add (Sandler et al. 2018).

    (B, C, H, W) -> (B, width, H / stride, W / stride).
    """

    def __init__(
        self,
        config: EfficientNetConfig,
        stage: StageConfig,
        inputs: int,
        width: int,
        stride: int,
        drop_path: float,
        symmetric: bool,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.residual = stride == 1 and inputs == width
        hidden = inputs * stage.expand_ratio
        squeezed = max(1, int(inputs * config.squeeze_ratio))
        self.expand = conv_bn(config, inputs, hidden, kernel=1) if stage.expand_ratio > 1 else nn.Identity()
        self.depthwise = conv_bn(
            config, hidden, hidden, kernel=stage.kernel_size, stride=stride, groups=hidden, symmetric=symmetric
        )
        self.squeeze_excite = SqueezeExcite(config, hidden, squeezed) if config.squeeze_ratio else nn.Identity()
        self.project = conv_bn(config, hidden, width, kernel=1, activate=False)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        y: Tensor = self.project(self.squeeze_excite(self.depthwise(self.expand(x))))
        return x + self.drop_path(y) if self.residual else y


class SqueezeExcite(nn.Module):
    """Weigh each channel by what the whole picture has in all channels (Hu et al. 2018)."""

    def __init__(self, config: EfficientNetConfig, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = activation(config)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        weights: Tensor = self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True))))  # (B, C, 1, 1)
        return x * weights.sigmoid()


def conv_bn(
    config: EfficientNetConfig,
    inputs: int,
    width: int,
    *,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    symmetric: bool = False,
    activate: bool = True,
) -> nn.Sequential:
    """A convolution without bias, its batch norm, and the activation."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if stride == 1 or symmetric or config.padding == "symmetric":
        layers["conv"] = nn.Conv2d(inputs, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    else:
        layers["conv"] = SameConv2d(inputs, width, kernel, stride, groups, any_size=config.padding == "same")
    layers["bn"] = nn.BatchNorm2d(width, eps=config.bn_eps, momentum=config.bn_momentum)
    if activate:
        layers["act"] = activation(config)
    return nn.Sequential(layers)


class SameConv2d(nn.Conv2d):
    """A strided convolution that gives ceil(size / stride), as TensorFlow's "SAME" padding does.

    Args:
        any_size: pad by the size of the input; False: always as a multiple of the stride is padded.
    """

    def __init__(self, inputs: int, width: int, kernel: int, stride: int, groups: int, *, any_size: bool) -> None:
        super().__init__(inputs, width, kernel, stride, groups=groups, bias=False)
        self.any_size = any_size

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        left, right = self.pads(input.shape[3], self.kernel_size[1], self.stride[1])
        top, bottom = self.pads(input.shape[2], self.kernel_size[0], self.stride[0])
        return super().forward(F.pad(input, (left, right, top, bottom)))

    def pads(self, size: int, kernel: int, stride: int) -> tuple[int, int]:
        """Return the padding before and behind one axis."""
        total = kernel - stride + (-size % stride if self.any_size else 0)
        return total // 2, total - total // 2


def activation(config: EfficientNetConfig) -> nn.Module:
    """The activation of the whole network."""
    return nn.ReLU6() if config.activation == "relu6" else nn.SiLU()


def init_layer(module: nn.Module) -> None:
    """Initialise one layer as the authors' code does.

    Convolutions: normal over the fan-out, a depthwise one's being its window (He et al. 2015). Head: uniform over the
    number of classes. Biases: 0.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
