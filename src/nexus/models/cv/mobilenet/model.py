"""MobileNet V1, V2 and V3: table 1 of arXiv:1704.04861, table 2 of arXiv:1801.04381, tables 1 and 2 of 1905.02244."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import InvertedResidual, SqueezeExcite, channels_last, conv2d, conv_bn, make_divisible
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "MobileNetV1",
    "MobileNetV1Config",
    "MobileNetV2",
    "MobileNetV2Config",
    "MobileNetV3",
    "MobileNetV3Config",
]

Activation = Literal["relu", "relu6", "hard_swish"]


class MobileNetConfig(Config):
    """What the configs of all MobileNets have.

    Attributes:
        width_coefficient: scales all widths, which are then rounded to multiples of `width_divisor` (alpha in V1).
        width_divisor: unit of widths.
        stem_width: channels of the first convolution, before scaling.
        fix_stem: leave the stem unscaled.
        activation: of the whole network where nothing else is said.
        padding: of the stride-2 convolutions. ``"same"``: TensorFlow's, the authors'; ``"symmetric"``: torchvision's,
            and timm's for its own weights.
        bn_eps, bn_momentum: of every batch norm; the momentum is the share of the new batch, as PyTorch counts it.
        dropout: rate before the head.
        num_classes: logits of the head; 0 for none.
    """

    width_coefficient: PositiveFloat = 1.0
    width_divisor: PositiveInt = 8
    stem_width: PositiveInt = 32
    fix_stem: bool = False
    activation: Activation = "relu6"
    padding: Literal["same", "symmetric"] = "same"
    bn_eps: PositiveFloat = 1e-3
    bn_momentum: PositiveFloat = 0.01
    dropout: float = Field(0.2, ge=0, lt=1)
    num_classes: NonNegativeInt = 1000

    def scaled_width(self, width: int) -> int:
        """Scale a width and round it to the divisor."""
        return make_divisible(width * self.width_coefficient, self.width_divisor)

    def scaled_stem(self) -> int:
        """Return the width of the stem."""
        return self.stem_width if self.fix_stem else self.scaled_width(self.stem_width)


class MobileNet(WeightInitMixin, NexusModule):
    """What all MobileNets do: stem, blocks, top, mean, head.

    Any input size is taken. Outputs: `features`, every block; `pyramid`, the last block at each of the strides
    {4, 8, 16, 32}; `tokens`, the grid behind the last convolution in row-major order; `embeddings`, what the head
    reads; `logits` where there is a head.
    """

    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | MobileNetConfig) -> None:
        super().__init__(config)
        c: MobileNetConfig = self.config
        stem_width = c.scaled_stem()
        self.stem = layer(c, conv2d(3, stem_width, 3, stride=2, padding=c.padding))
        self.blocks = nn.ModuleList()
        width = self.add_blocks(stem_width)
        self.top: nn.Module = nn.Identity()
        width = self.add_top(width)
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_mobile()

    def add_blocks(self, inputs: int) -> int:
        """Build `blocks` and return the width of the last one."""
        raise NotImplementedError

    def add_top(self, inputs: int) -> int:
        """Build what lies between the blocks and the head, and return the width that the head reads."""
        return inputs

    def pool(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width"]:
        """Return what the head reads, from the final grid."""
        return x.mean((2, 3))

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: keys of `ModelOutput` to compute; None: all.
            output_attentions: accepted for all models alike; a MobileNet has none.

        Raises:
            InputError: an unknown output.
        """
        wanted = self.wanted(outputs, output_attentions)
        x, found = self.run_maps(self.stem(channels_last(images)), 2, wanted)
        if wanted & {"tokens", "embeddings", "logits"}:
            x = self.top(x)
            found["tokens"] = x.flatten(2).transpose(1, 2)  # (B, HW, C)
            found["embeddings"] = self.pool(x)
        return self.finish(found, wanted, self.dropout)


# -- V1 ---------------------------------------------------------------------------------------------------------------


class MobileNetV1Config(MobileNetConfig):
    """Config of `MobileNetV1`; the defaults are the authors' 1.0 MobileNet-224.

    Attributes:
        widths: channels that each block gives, before scaling.
        strides: of each block.
    """

    bn_momentum: PositiveFloat = 0.0003
    dropout: float = Field(0.001, ge=0, lt=1)
    widths: tuple[PositiveInt, ...] = Field((64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024), min_length=1)
    strides: tuple[Literal[1, 2], ...] = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)

    @model_validator(mode="after")
    def _one_of_each_per_block(self) -> MobileNetV1Config:
        if len(self.widths) != len(self.strides):
            raise ValueError(f"widths has {len(self.widths)} entries, strides has {len(self.strides)}: one per block")
        return self


class MobileNetV1(MobileNet):
    """MobileNet V1: depthwise separable convolutions, nothing else."""

    Config = MobileNetV1Config

    def add_blocks(self, inputs: int) -> int:
        c: MobileNetV1Config = self.config
        for width, stride in zip(c.widths, c.strides):
            self.blocks.append(Separable(c, inputs, c.scaled_width(width), stride))
            inputs = c.scaled_width(width)
        return inputs


class Separable(nn.Module):
    """A convolution in two steps: of each channel, then across channels (V1, figure 3, right).

    (B, C, H, W) -> (B, width, H / stride, W / stride).
    """

    def __init__(self, config: MobileNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        depthwise = conv2d(inputs, inputs, 3, stride=stride, groups=inputs, padding=config.padding)
        self.depthwise = layer(config, depthwise)
        self.pointwise = layer(config, conv2d(inputs, width, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


# -- V2 ---------------------------------------------------------------------------------------------------------------


class V2Stage(Config):
    """One row of table 2 of the paper: `depth` blocks of the same width.

    Attributes:
        expand_ratio: hidden channels of a block, in multiples of its input's (t).
        width: channels it gives, before scaling (c).
        depth: blocks (n).
        stride: of the stage's first block (s).
    """

    expand_ratio: PositiveFloat = 6.0
    width: PositiveInt
    depth: PositiveInt = 1
    stride: Literal[1, 2]


V2_STAGES = (
    V2Stage(expand_ratio=1.0, width=16, depth=1, stride=1),
    V2Stage(width=24, depth=2, stride=2),
    V2Stage(width=32, depth=3, stride=2),
    V2Stage(width=64, depth=4, stride=2),
    V2Stage(width=96, depth=3, stride=1),
    V2Stage(width=160, depth=3, stride=2),
    V2Stage(width=320, depth=1, stride=1),
)


class MobileNetV2Config(MobileNetConfig):
    """Config of `MobileNetV2`; the defaults are the authors' MobileNetV2 1.0.

    Attributes:
        stages: table 2 of the paper.
        top_width: channels of the last convolution, which is scaled only to be larger.
        expand_always: expand also where `expand_ratio` is 1, as MXNet's MobileNetV2 does.
    """

    bn_momentum: PositiveFloat = 0.003
    stages: tuple[V2Stage, ...] = Field(V2_STAGES, min_length=1)
    top_width: PositiveInt = 1280
    expand_always: bool = False


class MobileNetV2(MobileNet):
    """MobileNet V2: inverted residuals with linear bottlenecks."""

    Config = MobileNetV2Config

    def add_blocks(self, inputs: int) -> int:
        c: MobileNetV2Config = self.config
        for stage in c.stages:
            width = c.scaled_width(stage.width)
            for index in range(stage.depth):
                hidden = make_divisible(inputs * stage.expand_ratio, c.width_divisor)
                expand = c.expand_always or hidden != inputs
                stride = stage.stride if index == 0 else 1
                depthwise = conv2d(hidden, hidden, 3, stride=stride, groups=hidden, padding=c.padding)
                block = InvertedResidual(
                    expand=layer(c, conv2d(inputs, hidden, 1)) if expand else None,
                    depthwise=layer(c, depthwise),
                    project=layer(c, conv2d(hidden, width, 1), None),
                    stride=stride,
                    residual=stride == 1 and inputs == width,
                )
                self.blocks.append(block)
                inputs = width
        return inputs

    def add_top(self, inputs: int) -> int:
        c: MobileNetV2Config = self.config
        width = max(c.top_width, c.scaled_width(c.top_width))
        self.top = layer(c, conv2d(inputs, width, 1))
        return width


# -- V3 ---------------------------------------------------------------------------------------------------------------


class V3Block(Config):
    """One row of tables 1 and 2 of the paper.

    Attributes:
        kernel_size: of the depthwise convolution.
        expand_ratio: hidden channels over those that enter (exp size / #channels of the row before).
        width: channels it gives, before scaling (#out).
        squeeze: whether it weighs the channels (SE).
        activation: NL.
        stride: s.
    """

    kernel_size: Literal[3, 5] = 3
    expand_ratio: PositiveFloat
    width: PositiveInt
    squeeze: bool = False
    activation: Activation = "relu"
    stride: Literal[1, 2] = 1


V3_LARGE = tuple(
    V3Block.parse(
        {
            "kernel_size": kernel,
            "expand_ratio": hidden / inputs,
            "width": width,
            "squeeze": squeeze,
            "activation": activation,
            "stride": stride,
        }
    )
    for inputs, kernel, hidden, width, squeeze, activation, stride in (
        (16, 3, 16, 16, False, "relu", 1),
        (16, 3, 64, 24, False, "relu", 2),
        (24, 3, 72, 24, False, "relu", 1),
        (24, 5, 72, 40, True, "relu", 2),
        (40, 5, 120, 40, True, "relu", 1),
        (40, 5, 120, 40, True, "relu", 1),
        (40, 3, 240, 80, False, "hard_swish", 2),
        (80, 3, 200, 80, False, "hard_swish", 1),
        (80, 3, 184, 80, False, "hard_swish", 1),
        (80, 3, 184, 80, False, "hard_swish", 1),
        (80, 3, 480, 112, True, "hard_swish", 1),
        (112, 3, 672, 112, True, "hard_swish", 1),
        (112, 5, 672, 160, True, "hard_swish", 2),
        (160, 5, 960, 160, True, "hard_swish", 1),
        (160, 5, 960, 160, True, "hard_swish", 1),
    )
)
"""Table 1 of the paper, with the channels that enter a block before its kernel."""


class MobileNetV3Config(MobileNetConfig):
    """Config of `MobileNetV3`; the defaults are MobileNetV3-Large 1.0.

    Attributes:
        blocks: table 1 or 2 of the paper.
        top_ratio: channels of the last convolution over those that the last block gives.
        head_width: channels of the layer behind the mean; never scaled down.
        activation: of stem, top and that layer.
    """

    stem_width: PositiveInt = 16
    activation: Activation = "hard_swish"
    blocks: tuple[V3Block, ...] = Field(V3_LARGE, min_length=1)
    top_ratio: PositiveInt = 6
    head_width: PositiveInt = 1280


class MobileNetV3(MobileNet):
    """MobileNet V3: inverted residuals found by search, with squeeze-and-excitation and hard-swish."""

    Config = MobileNetV3Config

    def add_blocks(self, inputs: int) -> int:
        c: MobileNetV3Config = self.config
        for block in c.blocks:
            width = c.scaled_width(block.width)
            self.blocks.append(searched_block(c, block, inputs, width))
            inputs = width
        return inputs

    def add_top(self, inputs: int) -> int:
        c: MobileNetV3Config = self.config
        width = inputs * c.top_ratio
        self.top = layer(c, conv2d(inputs, width, 1), c.activation)
        self.fc = nn.Linear(width, c.head_width)
        self.act = ACTIVATIONS[c.activation]()
        return c.head_width

    def pool(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width"]:
        """Return what the head reads, from the final grid: one more layer on its mean (section 5.1)."""
        return self.act(self.fc(x.mean((2, 3))))  # type: ignore[no-any-return]


def searched_block(config: MobileNetV3Config, block: V3Block, inputs: int, width: int) -> InvertedResidual:
    """An inverted residual of V3."""
    hidden = make_divisible(inputs * block.expand_ratio, config.width_divisor)
    depthwise = conv2d(hidden, hidden, block.kernel_size, stride=block.stride, groups=hidden, padding=config.padding)
    squeezed = make_divisible(hidden / 4, config.width_divisor)
    return InvertedResidual(
        expand=layer(config, conv2d(inputs, hidden, 1), block.activation) if hidden != inputs else None,
        depthwise=layer(config, depthwise, block.activation),
        squeeze_excite=SqueezeExcite(hidden, squeezed, nn.ReLU(), nn.Hardsigmoid()) if block.squeeze else None,
        project=layer(config, conv2d(hidden, width, 1), None),
        stride=block.stride,
        residual=block.stride == 1 and inputs == width,
    )


# -- parts ------------------------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "hard_swish": nn.Hardswish}


def layer(config: MobileNetConfig, conv: nn.Conv2d, activation: str | None = "default") -> nn.Sequential:
    """A convolution with its batch norm and an activation; None: it stays linear."""
    name = config.activation if activation == "default" else activation
    return conv_bn(conv, ACTIVATIONS[name]() if name else None, eps=config.bn_eps, momentum=config.bn_momentum)
