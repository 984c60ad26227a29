"""ResNet, as in He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), table 1 and figure 5."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ResNet", "ResNetConfig"]


class ResNetConfig(Config):
    """Config of `ResNet`; the defaults are ResNet-50.

    Attributes:
        block: ``"basic"``: two 3x3 convolutions (ResNet-18, -34); ``"bottleneck"``: 1x1, 3x3, 1x1 at a quarter of the
            width (figure 5 of the paper).
        depths: blocks in each stage.
        widths: channels that each stage gives.
        strides: stride of each stage, 1 or 2.
        stem: ``"7x7"``: stride-2 convolution and stride-2 max-pool; ``"3x3"``: one stride-1 convolution, for
            pictures of 32 pixels (section 4.2).
        stem_width: channels that the stem gives.
        bottleneck_stride: which convolution of a bottleneck halves the grid: ``"1x1"``, the first, as in the paper,
            Caffe and Keras ("v1"); ``"3x3"``, as in torchvision, timm and most weights of today ("v1.5").
        bn_eps, bn_momentum: of every batch norm; the momentum is the share of the new batch, as PyTorch counts it.
        zero_init_residual: start every block as the identity, by a last batch norm of weight zero (Goyal et al. 2017,
            section 5.1).
        num_classes: logits of the head; 0 for none.
    """

    block: Literal["basic", "bottleneck"] = "bottleneck"
    depths: tuple[PositiveInt, ...] = Field((3, 4, 6, 3), min_length=1)
    widths: tuple[PositiveInt, ...] = (256, 512, 1024, 2048)
    strides: tuple[Literal[1, 2], ...] = (1, 2, 2, 2)
    stem: Literal["7x7", "3x3"] = "7x7"
    stem_width: PositiveInt = 64
    bottleneck_stride: Literal["1x1", "3x3"] = "3x3"
    bn_eps: PositiveFloat = 1e-5
    bn_momentum: PositiveFloat = 0.1
    zero_init_residual: bool = False
    num_classes: NonNegativeInt = 1000

    @model_validator(mode="after")
    def _stages_agree(self) -> ResNetConfig:
        if not len(self.depths) == len(self.widths) == len(self.strides):
            raise ValueError(
                f"depths={self.depths}, widths={self.widths} and strides={self.strides} need one value per stage each"
            )
        if self.block == "bottleneck" and any(width % 4 for width in self.widths):
            raise ValueError(f"widths={self.widths} must be multiples of 4: a bottleneck works at a quarter of them")
        return self


class ResNet(WeightInitMixin, NexusModule):
    """A residual network.

    Any input size is taken. Outputs: `features`, every block; `pyramid`, every stage, {4, 8, 16, 32} with the default
    strides; `tokens`, the last stage's grid in row-major order; `embeddings`, its mean; `logits` where there is a head.
    """

    Config = ResNetConfig

    def __init__(self, config: Mapping[str, Any] | ResNetConfig) -> None:
        super().__init__(config)
        c: ResNetConfig = self.config
        self.stem = Stem(c)
        inputs = (c.stem_width, *c.widths)
        self.stages = nn.ModuleList(
            stage(c, inputs[s], c.widths[s], c.strides[s], depth) for s, depth in enumerate(c.depths)
        )
        self.head: nn.Module = nn.Linear(c.widths[-1], c.num_classes) if c.num_classes else nn.Identity()

        self.init_weights_vision(std=0.01)  # convolutions: He et al. 2015; head: Goyal et al. 2017, section 5.1
        if c.zero_init_residual:
            last = "conv3.bn.weight" if c.block == "bottleneck" else "conv2.bn.weight"
            for block in self.blocks:
                nn.init.zeros_(block.get_parameter(last))

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; a ResNet has none.

        Raises:
            InputError: an output that no model has.
        """
        wanted = self.wanted(outputs, output_attentions)
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}

        x, stride = self.stem(images), self.stem.stride  # (B, C, H/4, W/4), rounded up here and below
        for blocks, step in zip(self.stages, self.config.strides):
            for block in blocks.children():
                x = self.run_block(block, x)
                if "features" in wanted:
                    features.append(x)
            stride *= step
            if "pyramid" in wanted:
                pyramid[stride] = x

        found = {
            "embeddings": x.mean((2, 3)),  # (B, C)
            "tokens": x.flatten(2).transpose(1, 2),  # (B, HW, C)
            "features": features,
            "pyramid": pyramid,
        }
        return self.finish(found, wanted)

    @property
    def blocks(self) -> list[nn.Module]:
        """The residual blocks in order."""
        return [block for blocks in self.stages for block in blocks.children()]


class Stem(nn.Module):
    """The layers before the first stage: (B, 3, H, W) -> (B, C, H/stride, W/stride)."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        large = config.stem == "7x7"
        self.stride = 4 if large else 1
        self.conv = nn.Conv2d(
            3, config.stem_width, 7 if large else 3, stride=2 if large else 1, padding=3 if large else 1, bias=False
        )
        self.bn = nn.BatchNorm2d(config.stem_width, eps=config.bn_eps, momentum=config.bn_momentum)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        x = F.relu(self.bn(self.conv(x)))
        pooled: Tensor = self.pool(x)
        return pooled


def stage(config: ResNetConfig, inputs: int, width: int, stride: int, depth: int) -> nn.Sequential:
    """Blocks of one grid size; the first one changes the grid and the channels."""
    block = Bottleneck if config.block == "bottleneck" else BasicBlock
    first = block(config, inputs, width, stride)
    return nn.Sequential(first, *(block(config, width, width, 1) for _ in range(depth - 1)))


class BasicBlock(nn.Module):
    """y = relu(F(x) + x), F two 3x3 convolutions (figure 5, left)."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(config, inputs, width, 3, stride)
        self.conv2 = conv_bn(config, width, width, 3)
        self.shortcut = shortcut(config, inputs, width, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        residual = F.relu(self.conv1(x))
        residual = self.conv2(residual)
        return F.relu(residual + self.shortcut(x))


class Bottleneck(nn.Module):
    """y = relu(F(x) + x), F a 1x1 that narrows, a 3x3, and a 1x1 that widens (figure 5, right)."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        narrow, early = width // 4, config.bottleneck_stride == "1x1"
        self.conv1 = conv_bn(config, inputs, narrow, 1, stride if early else 1)
        self.conv2 = conv_bn(config, narrow, narrow, 3, 1 if early else stride)
        self.conv3 = conv_bn(config, narrow, width, 1)
        self.shortcut = shortcut(config, inputs, width, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        residual = F.relu(self.conv1(x))
        residual = F.relu(self.conv2(residual))
        residual = self.conv3(residual)
        return F.relu(residual + self.shortcut(x))


def shortcut(config: ResNetConfig, inputs: int, width: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 projection where the shape changes (option B of section 3.3)."""
    return nn.Identity() if inputs == width and stride == 1 else conv_bn(config, inputs, width, 1, stride)


def conv_bn(config: ResNetConfig, inputs: int, width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and its batch norm."""
    conv = nn.Conv2d(inputs, width, kernel, stride=stride, padding=kernel // 2, bias=False)
    bn = nn.BatchNorm2d(width, eps=config.bn_eps, momentum=config.bn_momentum)
    return nn.Sequential(OrderedDict(conv=conv, bn=bn))
