"""GoogLeNet, as in Szegedy et al., "Going Deeper with Convolutions" (arXiv:1409.4842), table 1 and figure 3."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.errors import InputError
from nexus.layers import channels_last, conv_bn
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["GoogLeNet", "GoogLeNetConfig"]

Widths = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt]
"""A row of table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj."""


class GoogLeNetConfig(Config):
    """Config of `GoogLeNet`; the defaults are the paper's.

    Attributes:
        stem_widths: channels of the three convolutions before the first inception module.
        stages: channels inside each inception module, `Widths`, by grid size: 3a-3b, 4a-4e, 5a-5b of table 1.
        batch_norm: a batch norm behind each convolution instead of the stem's local response normalisation (Ioffe and
            Szegedy 2015; torchvision).
        large_kernel: side of the convolution that the paper calls 5x5; torchvision's and TensorFlow's has 3.
        last_pool: side of the max-pool before the last stage; torchvision's has 2.
        aux_blocks: inception modules, counted from 0, that the auxiliary classifiers of section 5 read: 4a and 4d.
        aux_classes: logits of each of them; 0 for no auxiliary classifiers; default: as many as `num_classes`.
        aux_widths: channels of the convolution and of the linear layer of an auxiliary classifier.
        aux_dropout: rate before its last layer.
        dropout: rate before the head.
        num_classes: logits of the head; 0 for none.
    """

    stem_widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (64, 64, 192)
    stages: tuple[tuple[Widths, ...], ...] = (
        ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        (
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ),
        ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    )
    batch_norm: bool = False
    large_kernel: Literal[3, 5] = 5
    last_pool: Literal[2, 3] = 3
    num_classes: NonNegativeInt = 1000
    aux_blocks: tuple[NonNegativeInt, ...] = (2, 5)
    aux_classes: NonNegativeInt = Field(default_factory=lambda values: values.get("num_classes", 0))
    aux_widths: tuple[PositiveInt, PositiveInt] = (128, 1024)
    aux_dropout: float = Field(0.7, ge=0, lt=1)
    dropout: float = Field(0.4, ge=0, lt=1)

    @model_validator(mode="after")
    def _blocks_are_there(self) -> GoogLeNetConfig:
        if len(self.stages) != 3 or not all(self.stages):
            raise ValueError(f"stages={self.stages}: three stages of one inception module or more are needed")
        if self.aux_classes and max(self.aux_blocks, default=0) >= len(self.blocks):
            raise ValueError(f"aux_blocks={self.aux_blocks}: there are {len(self.blocks)} inception modules")
        return self

    @property
    def blocks(self) -> tuple[Widths, ...]:
        """The inception modules of all stages."""
        return tuple(widths for stage in self.stages for widths in stage)

    @property
    def smallest(self) -> int:
        """Side in pixels that the poolings leave one place of."""
        return 15 if self.last_pool == 2 else 31


class GoogLeNet(WeightInitMixin, NexusModule):
    """A GoogLeNet.

    Any input size from 31x31 is taken (15x15 with torchvision's last pool); poolings give half the side, rounded down.
    Outputs: `features`, every inception module; `pyramid`, the stem and every stage, {4, 8, 16, 32}; `tokens`, the last
    grid in row-major order; `embeddings`, its mean; `logits` where there is a head. In training, `aux` has
    ``aux_logits``: (B, aux_classes) of each auxiliary classifier, whose losses the paper adds with a weight of 0.3.
    """

    Config = GoogLeNetConfig

    def __init__(self, config: Mapping[str, Any] | GoogLeNetConfig) -> None:
        super().__init__(config)
        c: GoogLeNetConfig = self.config
        self.stem = Stem(c)
        widths = [c.stem_widths[-1], *(inception_width(block) for block in c.blocks)]
        inputs = iter(widths)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Inception(c, next(inputs), block, pool=pool * (b == 0)) for b, block in enumerate(stage)))
            for stage, pool in zip(c.stages, (3, 3, c.last_pool))
        )
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(widths[-1], c.num_classes) if c.num_classes else nn.Identity()
        self.aux_heads = nn.ModuleList(AuxHead(c, widths[b + 1]) for b in c.aux_blocks if c.aux_classes)
        self.optional_keys = tuple(key for key in self.state_dict() if key.startswith("aux_heads."))
        self.init_weights_vision(std=0.01)  # the paper names no initialisation
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # fan-out would blow up what narrow layers make of wide ones
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; a GoogLeNet has none.

        Raises:
            InputError: an output that no model has, or images that the poolings leave nothing of.
        """
        wanted = self.wanted(outputs, output_attentions)
        (height, width), smallest = images.shape[-2:], self.config.smallest
        if min(height, width) < smallest:
            raise InputError(
                f"images are {height}x{width} pixels; this GoogLeNet needs {smallest}x{smallest} or more: resize them"
            )
        with_aux = self.training and "aux" in wanted and len(self.aux_heads) > 0

        stem = self.stem(channels_last(images))  # (B, 192, H/4, W/4)
        x, found = self.run_maps(stem, 4, wanted | {"features"} if with_aux else wanted)
        if "pyramid" in wanted:
            found["pyramid"] = {4: stem, **found["pyramid"]}
        if with_aux:
            read = [found["features"][block] for block in self.config.aux_blocks]
            found["aux"] = {"aux_logits": [head(x) for head, x in zip(self.aux_heads, read)]}
        found["tokens"] = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        found["embeddings"] = x.mean((2, 3))  # (B, C)
        return self.finish(found, wanted, self.dropout)

    @property
    def blocks(self) -> list[nn.Module]:
        """The inception modules of all stages in order, one entry of `features` each."""
        return [block for stage in self.stages for block in stage.children()]


class Stem(nn.Module):
    """The layers before the first inception module. (B, 3, H, W) -> (B, C, H/4, W/4)."""

    def __init__(self, config: GoogLeNetConfig) -> None:
        super().__init__()
        first, second, third = config.stem_widths
        self.conv1 = conv_layer(config, 3, first, 7, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm1 = nn.Identity() if config.batch_norm else ResponseNorm()
        self.conv2 = conv_layer(config, first, second, 1)
        self.conv3 = conv_layer(config, second, third, 3)
        self.norm2 = nn.Identity() if config.batch_norm else ResponseNorm()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        x = self.norm1(self.pool(self.conv1(x)))
        return self.norm2(self.conv3(self.conv2(x)))  # type: ignore[no-any-return]


class Inception(nn.Module):
    """Figure 2(b): convolutions of three sizes and a max-pool beside one another, behind 1x1 that make them cheap.

    Args:
        config: of the whole network.
        inputs: channels of what comes in.
        widths: see `Widths`.
        pool: side of the stride-2 max-pool in front, with which a stage begins; 0: none.
    """

    def __init__(self, config: GoogLeNetConfig, inputs: int, widths: Widths, *, pool: int) -> None:
        super().__init__()
        width1x1, reduced3x3, width3x3, reduced5x5, width5x5, pooled = widths
        self.stride = 2 if pool else 1
        self.pool = nn.MaxPool2d(pool, stride=2, ceil_mode=True) if pool else nn.Identity()
        self.conv1x1 = conv_layer(config, inputs, width1x1, 1)
        self.reduce3x3 = conv_layer(config, inputs, reduced3x3, 1)
        self.conv3x3 = conv_layer(config, reduced3x3, width3x3, 3)
        self.reduce5x5 = conv_layer(config, inputs, reduced5x5, 1)
        self.conv5x5 = conv_layer(config, reduced5x5, width5x5, config.large_kernel)
        self.pool_proj = conv_layer(config, inputs, pooled, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        x = self.pool(x)
        branches = (
            self.conv1x1(x),
            self.conv3x3(self.reduce3x3(x)),
            self.conv5x5(self.reduce5x5(x)),
            self.pool_proj(F.max_pool2d(x, 3, stride=1, padding=1)),
        )
        return torch.cat(branches, 1)


class AuxHead(nn.Module):
    """An auxiliary classifier, section 5. (B, C, H, W) -> (B, aux_classes).

    The paper averages windows of 5x5 at stride 3, which gives 4x4 of a 224-pixel image; as in torchvision, 4x4 is what
    an image of any size gives.
    """

    def __init__(self, config: GoogLeNetConfig, inputs: int) -> None:
        super().__init__()
        width, hidden = config.aux_widths
        self.conv = conv_layer(config, inputs, width, 1)
        self.fc1 = nn.Linear(width * 4 * 4, hidden)
        self.dropout = nn.Dropout(config.aux_dropout)
        self.fc2 = nn.Linear(hidden, config.aux_classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))  # type: ignore[no-any-return]


def conv_layer(config: GoogLeNetConfig, inputs: int, width: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """A convolution, its batch norm if any, and the ReLU."""
    conv = nn.Conv2d(inputs, width, kernel, stride, kernel // 2, bias=not config.batch_norm)
    if config.batch_norm:
        return conv_bn(conv, nn.ReLU(inplace=True), eps=1e-3)
    return nn.Sequential(OrderedDict(conv=conv, act=nn.ReLU(inplace=True)))


class ResponseNorm(nn.Module):
    """Local response normalisation across channels. The paper gives no figures: those of Krizhevsky et al. 2012.

    x / (2 + 1e-4 * sum of the squares of 5 neighbouring channels)^0.75. Shapes stay. PyTorch's has no bfloat16 on CPUs.
    """

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        squares = F.pad(x * x, (0, 0, 0, 0, 2, 2))
        channels = x.shape[1]
        total = torch.stack([squares[:, shift : shift + channels] for shift in range(5)]).sum(0)
        return x / (2 + 1e-4 * total) ** 0.75


def inception_width(widths: Widths) -> int:
    """Channels that an inception module gives."""
    return widths[0] + widths[2] + widths[4] + widths[5]
