"""AlexNet, as in Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (arXiv:1404.5997), and
with `groups` and `response_norm` as in Krizhevsky et al. 2012, figure 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from nexus.config import Config
from nexus.errors import InputError
from nexus.layers import channels_last
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["AlexNet", "AlexNetConfig", "ResponseNorm"]

SMALLEST = 63
"""Side of the smallest image that the three poolings leave something of."""


class AlexNetConfig(Config):
    """Config of `AlexNet`; the defaults are torchvision's.

    Attributes:
        widths: channels of the five convolutions; (96, 256, 384, 384, 256) in 2012.
        groups: of the second, fourth and fifth convolution; 2 in 2012, one half on each of two GPUs.
        response_norm: normalise each place of the first two maps by its neighbours in five channels (section 3.3 of
            2012).
        pool_side: rows and columns to which the last grid is averaged in front of the linear layers, so that they take
            images of any size; 6 leaves the grid of a 224-pixel image as it is.
        hidden_dim: width of the two linear layers before the head.
        dropout: rate in front of each of them.
        num_classes: logits of the head; 0 for none.
    """

    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 192, 384, 256, 256)
    groups: Literal[1, 2] = 1
    response_norm: bool = False
    pool_side: PositiveInt = 6
    hidden_dim: PositiveInt = 4096
    dropout: float = Field(0.5, ge=0, lt=1)
    num_classes: NonNegativeInt = 1000

    @model_validator(mode="after")
    def _groups_divide(self) -> AlexNetConfig:
        if self.groups == 2 and any(width % 2 for width in self.widths):
            raise ValueError(f"widths={self.widths} must be even for groups=2")
        return self


class AlexNet(WeightInitMixin, NexusModule):
    """An AlexNet.

    Any input size from 63x63 is taken. The first convolution and the poolings are not padded, so the grids are up to a
    cell or two smaller than the size over the stride. Outputs: `features`, the five convolutions, each behind its ReLU;
    `pyramid`, what the three poolings give, {8, 16, 32}; `tokens`, the last of them in row-major order; `embeddings`,
    what the second linear layer gives; `logits` where there is a head.
    """

    Config = AlexNetConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | AlexNetConfig) -> None:
        super().__init__(config)
        c: AlexNetConfig = self.config
        self.blocks = nn.ModuleList(
            [
                ConvLayer(3, c.widths[0], 11, stride=4, padding=2, response_norm=c.response_norm),
                ConvLayer(c.widths[0], c.widths[1], 5, groups=c.groups, response_norm=c.response_norm),
                ConvLayer(c.widths[1], c.widths[2], 3),
                ConvLayer(c.widths[2], c.widths[3], 3, groups=c.groups),
                ConvLayer(c.widths[3], c.widths[4], 3, groups=c.groups),
            ]
        )
        self.fc1 = nn.Linear(c.widths[-1] * c.pool_side**2, c.hidden_dim)
        self.fc2 = nn.Linear(c.hidden_dim, c.hidden_dim)
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(c.hidden_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision(std=0.01)  # section 5 of 2012; convolutions: He et al. 2015, as ReLUs follow

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; an AlexNet has none.

        Raises:
            InputError: an output that no model has, or images that the poolings leave nothing of.
        """
        wanted = self.wanted(outputs, output_attentions)
        if min(images.shape[-2:]) < SMALLEST:
            raise InputError(
                f"images are {images.shape[-2]}x{images.shape[-1]} pixels; AlexNet needs {SMALLEST}x{SMALLEST} or "
                "more: resize them"
            )
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}

        x = channels_last(images)
        for number, block in enumerate(self.blocks, start=1):
            x = self.run_block(block, x)
            features.append(x)
            if number in (1, 2, 5):
                x = F.max_pool2d(x, 3, stride=2)
                pyramid[{1: 8, 2: 16, 5: 32}[number]] = x

        found: dict[str, Any] = {
            "tokens": x.flatten(2).transpose(1, 2),  # (B, HW, C)
            "features": features,
            "pyramid": pyramid,
        }
        if wanted & {"embeddings", "logits"}:
            x = F.adaptive_avg_pool2d(x, self.config.pool_side).flatten(1)
            x = F.relu(self.fc1(self.dropout(x)))
            found["embeddings"] = F.relu(self.fc2(self.dropout(x)))  # (B, hidden_dim)
        return self.finish(found, wanted)


class ConvLayer(nn.Module):
    """A convolution, the ReLU, and the response normalisation if any."""

    def __init__(
        self,
        inputs: int,
        width: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        response_norm: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, kernel, stride, kernel // 2 if padding is None else padding, groups=groups)
        self.norm = ResponseNorm() if response_norm else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        return self.norm(F.relu(self.conv(x)))  # type: ignore[no-any-return]


class ResponseNorm(nn.Module):
    """Local response normalisation: weaken a place by what neighbouring channels have there (section 3.3 of 2012).

    b_i = a_i / (k + alpha * sum of a_j^2)^beta, over the `size` channels j around i. (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        channels, reach = x.shape[1], self.size // 2
        squares = F.pad(x.square(), (0, 0, 0, 0, reach, reach))
        total = torch.stack([squares[:, i : i + channels] for i in range(self.size)]).sum(0)
        return x / (self.k + self.alpha * total) ** self.beta
