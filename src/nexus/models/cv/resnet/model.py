"""ResNet, as in He et al., "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), table 1 and figure 5.

The blocks are in `blocks.py`, those of the second version ("Identity Mappings in Deep Residual Networks",
arXiv:1603.05027) in `preactivation.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.layers import channels_last
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.models.cv.resnet.blocks import BasicBlock, Bottleneck, batch_norm, conv_bn
from nexus.models.cv.resnet.preactivation import PreactBasicBlock, PreactBottleneck
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
        stem: ``"7x7"``: stride-2 convolution and stride-2 max-pool; ``"deep"``: three 3x3 convolutions, the first of
            stride 2, and the max-pool (the "D" of He et al. 2018, figure 2(b)); ``"3x3"``: one stride-1 convolution,
            for pictures of 32 pixels (section 4.2).
        stem_width: channels that the stem gives.
        stem_norm: batch norm and ReLU behind the stem's last convolution; timm's second versions have none there.
        input_norm: batch norm of the images themselves, as in the second versions of Gluon.
        shortcut: what is added where a block changes the shape. ``"projection"``: a 1x1 convolution (option B of
            section 3.3); ``"zero_pad"``: places and channels left out and filled with zeros (option A);
            ``"avg_pool"``: a 1x1 convolution of 2x2 averages ("D", figure 2(c)); ``"none"``: nothing is added anywhere:
            the plain networks of section 3.3.
        groups: of a bottleneck's 3x3 convolution: the cardinality of ResNeXt (Xie et al. 2016).
        width_per_group: channels of each group, where the stage's width over 4 is 64; twice as many make a wide ResNet
            (Zagoruyko and Komodakis 2016).
        preactivation: norm and ReLU before each convolution instead of behind it, and once more behind the last block
            (version 2).
        bottleneck_stride: which convolution of a bottleneck halves the grid: ``"1x1"``, the first, as in the paper,
            Caffe and Keras ("v1"); ``"3x3"``, as in torchvision, timm and most weights of today ("v1.5").
        bn_eps, bn_momentum: of every batch norm; the momentum is the share of the new batch, as PyTorch counts it.
        zero_init_residual: start every block as its shortcut, by a last batch norm of weight zero (Goyal et al. 2017,
            section 5.1), or, with `preactivation`, a last convolution.
        num_classes: logits of the head; 0 for none.
    """

    block: Literal["basic", "bottleneck"] = "bottleneck"
    depths: tuple[PositiveInt, ...] = Field((3, 4, 6, 3), min_length=1)
    widths: tuple[PositiveInt, ...] = (256, 512, 1024, 2048)
    strides: tuple[Literal[1, 2], ...] = (1, 2, 2, 2)
    stem: Literal["7x7", "deep", "3x3"] = "7x7"
    stem_width: PositiveInt = 64
    stem_norm: bool = True
    input_norm: bool = False
    shortcut: Literal["projection", "zero_pad", "avg_pool", "none"] = "projection"
    groups: PositiveInt = 1
    width_per_group: PositiveInt = 64
    preactivation: bool = False
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
        if self.block == "basic" and (self.groups, self.width_per_group) != (1, 64):
            raise ValueError(
                f"groups={self.groups} and width_per_group={self.width_per_group} say how wide a bottleneck is inside; "
                "basic blocks have none: leave them out, or use block='bottleneck'"
            )
        if self.block == "bottleneck" and not all(self.bottleneck_width(width) for width in self.widths):
            raise ValueError(f"width_per_group={self.width_per_group} leaves no channel inside widths={self.widths}")
        if self.stem == "deep" and self.stem_width % 2:
            raise ValueError(f"stem_width={self.stem_width} must be even: a deep stem begins with half of it")
        return self

    @model_validator(mode="after")
    def _shortcut_is_possible(self) -> ResNetConfig:
        if self.shortcut == "zero_pad" and list(self.widths) != sorted((self.stem_width, *self.widths))[1:]:
            raise ValueError(
                f"shortcut='zero_pad' adds channels, but stem_width={self.stem_width} and widths={self.widths} fall"
            )
        if self.shortcut == "none" and self.zero_init_residual:
            raise ValueError("zero_init_residual=True with shortcut='none' gives a network of zeros")
        return self

    def bottleneck_width(self, width: int) -> int:
        """Channels inside a bottleneck that gives `width`."""
        return width // 4 * self.width_per_group // 64 * self.groups

    def bottleneck_strides(self, stride: int) -> tuple[int, int]:
        """Strides of the first two convolutions of a bottleneck."""
        return (stride, 1) if self.bottleneck_stride == "1x1" else (1, stride)


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
        self.norm = final_norm(c)
        self.head: nn.Module = nn.Linear(c.widths[-1], c.num_classes) if c.num_classes else nn.Identity()

        self.init_weights_vision(std=0.01)  # convolutions: He et al. 2015; head: Goyal et al. 2017, section 5.1
        if c.zero_init_residual:
            last = f"conv{3 if c.block == 'bottleneck' else 2}" + (".weight" if c.preactivation else ".bn.weight")
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

        x, stride = self.stem(channels_last(images)), self.stem.stride  # (B, C, H/4, W/4), rounded up here and below
        for blocks, step in zip(self.stages, self.config.strides):
            for block in blocks.children():
                x = self.run_block(block, x)
                if "features" in wanted:
                    features.append(x)
            stride *= step
            if "pyramid" in wanted:
                pyramid[stride] = x

        x = self.norm(x)
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
        width, small = config.stem_width, config.stem == "3x3"
        self.stride = 1 if small else 4
        self.input_norm = batch_norm(config, 3) if config.input_norm else nn.Identity()
        self.deep = nn.ModuleList()
        if config.stem == "deep":
            self.deep.append(conv_bn(config, 3, width // 2, 3, stride=2))
            self.deep.append(conv_bn(config, width // 2, width // 2, 3))
            self.conv = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        elif small:
            self.conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        else:
            self.conv = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn = batch_norm(config, width) if config.stem_norm else nn.Identity()
        self.act = nn.ReLU(inplace=True) if config.stem_norm else nn.Identity()
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        x = self.input_norm(x)
        for layer in self.deep:
            x = F.relu(layer(x), inplace=True)
        x = self.act(self.bn(self.conv(x)))
        return self.pool(x)  # type: ignore[no-any-return]


def stage(config: ResNetConfig, inputs: int, width: int, stride: int, depth: int) -> nn.Sequential:
    """Blocks of one grid size; the first one changes the grid and the channels."""
    block: type[nn.Module]
    if config.preactivation:
        block = PreactBottleneck if config.block == "bottleneck" else PreactBasicBlock
    else:
        block = Bottleneck if config.block == "bottleneck" else BasicBlock
    first = block(config, inputs, width, stride)
    return nn.Sequential(first, *(block(config, width, width, 1) for _ in range(depth - 1)))


def final_norm(config: ResNetConfig) -> nn.Module:
    """What pre-activation leaves to do behind the last block."""
    if not config.preactivation:
        return nn.Identity()
    return nn.Sequential(OrderedDict(bn=batch_norm(config, config.widths[-1]), act=nn.ReLU()))
