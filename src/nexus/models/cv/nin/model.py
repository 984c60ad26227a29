"""Network in Network, as in Lin et al. (arXiv:1312.4400), figure 2 and section 3."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.errors import InputError
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["NiN", "NiNConfig"]


class NiNConfig(Config):
    """Config of `NiN`; the defaults are the network for CIFAR-10.

    Attributes:
        widths: channels of the convolution and the 1x1 layers of each mlpconv block. The paper's last 1x1 layer, with
            one map per class, is the `head`.
        kernels, strides: of each block's convolution.
        pools: what halves the grid behind each block but the last.
        dropout: rate behind each of these.
        num_classes: logits of the head; 0 for none.
    """

    widths: tuple[tuple[PositiveInt, ...], ...] = Field(((192, 160, 96), (192, 192, 192), (192, 192)), min_length=1)
    kernels: tuple[PositiveInt, ...] = (5, 5, 3)
    strides: tuple[PositiveInt, ...] = (1, 1, 1)
    pools: tuple[Literal["max", "average"], ...] = ("max", "average")
    dropout: float = Field(0.5, ge=0, lt=1)
    num_classes: NonNegativeInt = 10

    @model_validator(mode="after")
    def _blocks_agree(self) -> NiNConfig:
        blocks = len(self.widths)
        if not blocks == len(self.kernels) == len(self.strides) == len(self.pools) + 1:
            raise ValueError(
                f"widths={self.widths}, kernels={self.kernels} and strides={self.strides} need one value per block "
                f"each, and pools={self.pools} one less"
            )
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels={self.kernels} must be odd")
        return self


class NiN(WeightInitMixin, NexusModule):
    """A Network in Network.

    Any input size from 4x4 is taken; a pooling makes n places of 2n and of 2n + 1. Outputs: `features` and `pyramid`,
    every mlpconv block, {1, 2, 4}; `tokens`, the last of them in row-major order; `embeddings`, its mean; `logits`
    where there is a head.

    The mean over the map of each class, which the paper feeds to the softmax, is the head of the mean: both are linear.
    Therefore no ReLU stands between them, as it does in the authors' network.
    """

    Config = NiNConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | NiNConfig) -> None:
        super().__init__(config)
        c: NiNConfig = self.config
        inputs = (3, *(widths[-1] for widths in c.widths))
        self.blocks = nn.ModuleList(
            mlpconv(inputs[b], c.widths[b], c.kernels[b], c.strides[b]) for b in range(len(c.widths))
        )
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(inputs[-1], c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision(std=0.05)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; a NiN has none.

        Raises:
            InputError: an output that no model has, or images that the poolings leave nothing of.
        """
        wanted = self.wanted(outputs, output_attentions)
        smallest = 2 ** len(self.config.pools) * math.prod(self.config.strides)
        if min(images.shape[-2:]) < smallest:
            raise InputError(
                f"images are {images.shape[-2]}x{images.shape[-1]} pixels; this NiN needs {smallest}x{smallest} or "
                "more: resize them"
            )
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}

        x, stride = images, 1
        for number, (block, step) in enumerate(zip(self.blocks, self.config.strides)):
            if number > 0:
                x = self.dropout(halved(x, self.config.pools[number - 1]))  # (B, C, H/2, W/2)
                stride *= 2
            x = self.run_block(block, x)
            stride *= step
            features.append(x)
            pyramid[stride] = x

        found = {
            "embeddings": x.mean((2, 3)),  # (B, C)
            "tokens": x.flatten(2).transpose(1, 2),  # (B, HW, C)
            "features": features,
            "pyramid": pyramid,
        }
        return self.finish(found, wanted)


def mlpconv(inputs: int, widths: tuple[int, ...], kernel: int, stride: int) -> nn.Sequential:
    """A convolution and 1x1 layers, each with its ReLU: a small network that slides over the map (equation 2)."""
    layers: list[nn.Module] = []
    for number, width in enumerate(widths):
        conv = nn.Conv2d(inputs, width, 1) if number else nn.Conv2d(inputs, width, kernel, stride, kernel // 2)
        layers += [conv, nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers)


def halved(x: Float[Tensor, "b c h w"], pool: str) -> Float[Tensor, "b c rows columns"]:
    """Pool windows of 3x3 at every second place, of which the last may reach over the edge, as Caffe's do."""
    if pool == "max":
        return F.max_pool2d(x, 3, stride=2, ceil_mode=True)
    return F.avg_pool2d(x, 3, stride=2, ceil_mode=True)
