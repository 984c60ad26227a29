"""EfficientNet, as in table 1 of Tan and Le 2019 (arXiv:1905.11946), and V2, as in table 4 of arXiv:2104.00298."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import InvertedResidual, Padding, SqueezeExcite, channels_last, conv2d, conv_bn, make_divisible
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["EfficientNet", "EfficientNetConfig", "StageConfig"]


class StageConfig(Config):
    """One row of table 1: `depth` MBConv blocks of the same width.

    Attributes:
        expand_ratio: hidden channels of a block, in multiples of its input's.
        kernel_size: of the depthwise convolution, or of the one that takes its place.
        stride: of the stage's first block.
        width: channels it gives, before scaling.
        depth: blocks, before scaling.
        fused: Fused-MBConv (V2, figure 2): one dense convolution expands and convolves, and no channels are weighed.
    """

    expand_ratio: PositiveInt
    kernel_size: Literal[3, 5, 7]
    stride: Literal[1, 2]
    width: PositiveInt
    depth: PositiveInt
    fused: bool = False


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
        padding: of the stride-2 convolutions. ``"same"``: TensorFlow's, the authors'. ``"fixed"``: transformers', which
            lists the `symmetric_blocks`, whose input was odd at the training resolution. ``"symmetric"``: that of
            torchvision, and of timm for its own weights. See `nexus.layers.conv`.
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
    padding: Padding = "same"
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
        return make_divisible(width * self.width_coefficient, self.width_divisor)

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
        self.stem = layer(c, conv2d(3, stem_width, 3, stride=2, padding=c.padding))
        self.blocks = nn.ModuleList(build_blocks(c, stem_width))
        self.top = layer(c, conv2d(c.scaled_width(c.stages[-1].width), top_width, 1))
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(top_width, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_mobile()

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
        x, found = self.run_maps(self.stem(channels_last(images)), 2, wanted)
        if wanted & {"tokens", "embeddings", "logits"}:
            x = self.top(x)
            found["tokens"] = x.flatten(2).transpose(1, 2)  # (B, HW, C)
            found["embeddings"] = x.mean((2, 3))  # (B, C)
        return self.finish(found, wanted, self.dropout)


def build_blocks(config: EfficientNetConfig, inputs: int) -> list[InvertedResidual]:
    """Build all stages, scaled."""
    depths = config.scaled_depths()
    total = sum(depths)
    blocks: list[InvertedResidual] = []
    for stage, depth in zip(config.stages, depths):
        width = config.scaled_width(stage.width)
        for index in range(depth):
            stride = stage.stride if index == 0 else 1
            # The authors divide by the number of blocks, so that the last one stays below the full rate.
            drop_path = config.drop_path * len(blocks) / total
            padding = "symmetric" if len(blocks) in config.symmetric_blocks else config.padding
            parts = fused_parts if stage.fused else separable_parts
            blocks.append(
                InvertedResidual(
                    **parts(config, stage, inputs, width, stride, padding),
                    stride=stride,
                    residual=stride == 1 and inputs == width,
                    drop_path=drop_path,
                )
            )
            inputs = width
    return blocks


def separable_parts(
    config: EfficientNetConfig, stage: StageConfig, inputs: int, width: int, stride: int, padding: Padding
) -> dict[str, nn.Module | None]:
    """The parts of MBConv."""
    hidden = inputs * stage.expand_ratio
    squeezed = max(1, int(inputs * config.squeeze_ratio))
    depthwise = conv2d(hidden, hidden, stage.kernel_size, stride=stride, groups=hidden, padding=padding)
    return {
        "expand": layer(config, conv2d(inputs, hidden, 1)) if stage.expand_ratio > 1 else None,
        "depthwise": layer(config, depthwise),
        "squeeze_excite": SqueezeExcite(hidden, squeezed, activation(config)) if config.squeeze_ratio else None,
        "project": layer(config, conv2d(hidden, width, 1), activate=False),
    }


def fused_parts(
    config: EfficientNetConfig, stage: StageConfig, inputs: int, width: int, stride: int, padding: Padding
) -> dict[str, nn.Module | None]:
    """The parts of Fused-MBConv; a single convolution where it does not expand."""
    hidden = inputs * stage.expand_ratio if stage.expand_ratio > 1 else width
    expand = conv2d(inputs, hidden, stage.kernel_size, stride=stride, padding=padding)
    return {
        "expand": layer(config, expand),
        "project": layer(config, conv2d(hidden, width, 1), activate=False) if stage.expand_ratio > 1 else None,
    }


def layer(config: EfficientNetConfig, conv: nn.Conv2d, *, activate: bool = True) -> nn.Sequential:
    """A convolution with its batch norm and the activation."""
    return conv_bn(conv, activation(config) if activate else None, eps=config.bn_eps, momentum=config.bn_momentum)


def activation(config: EfficientNetConfig) -> nn.Module:
    """The activation of the whole network."""
    return (nn.ReLU6 if config.activation == "relu6" else nn.SiLU)(inplace=True)
