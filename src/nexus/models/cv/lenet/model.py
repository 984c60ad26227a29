"""LeNet-5, as in LeCun et al., "Gradient-based learning applied to document recognition" (1998), section II.B.

As it is built today: every map of C3 reads all maps of S2 (the paper's table I leaves some out), subsampling has no
weights, and the last layer is linear instead of radial basis functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from nexus.config import Config
from nexus.errors import InputError
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.types import ModelOutput

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LeNet", "LeNetConfig"]

SMALLEST = 32
"""Side of the images in the paper, of which C5 makes one cell."""


class LeNetConfig(Config):
    """Config of `LeNet`; the defaults are LeNet-5.

    Attributes:
        in_channels: channels of the images: 1 in the paper.
        widths: maps of the convolutions C1, C3 and C5.
        hidden_dim: width of the linear layer F6.
        activation: behind each layer but the last; the paper's is a scaled hyperbolic tangent.
        pool: how S2 and S4 make one of 2x2 places.
        num_classes: logits of the head; 0 for none.
    """

    in_channels: PositiveInt = 1
    widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (6, 16, 120)
    hidden_dim: PositiveInt = 84
    activation: Literal["tanh", "relu"] = "tanh"
    pool: Literal["average", "max"] = "average"
    num_classes: NonNegativeInt = 10


class LeNet(WeightInitMixin, NexusModule):
    """A LeNet-5.

    Images of 32x32 pixels give C5 one cell. Larger ones are taken, too, as C5 is a convolution: F6 then reads the mean
    of its cells. Nothing is padded, so the grids are a few cells smaller than the size over the stride. Outputs:
    `features` and `pyramid`, S2 and S4, {2, 4}; `tokens`, S4 in row-major order; `embeddings`, F6; `logits` where there
    is a head.
    """

    Config = LeNetConfig
    blocks: nn.ModuleList

    def __init__(self, config: Mapping[str, Any] | LeNetConfig) -> None:
        super().__init__(config)
        c: LeNetConfig = self.config
        self.blocks = nn.ModuleList([ConvPool(c, c.in_channels, c.widths[0]), ConvPool(c, c.widths[0], c.widths[1])])
        self.conv3 = nn.Conv2d(c.widths[1], c.widths[2], 5)
        self.fc = nn.Linear(c.widths[2], c.hidden_dim)
        self.act = activation(c)
        self.head: nn.Module = nn.Linear(c.hidden_dim, c.num_classes) if c.num_classes else nn.Identity()
        for module in self.modules():
            init_layer(module)

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, C, H, W) float, preprocessed; C is `in_channels`.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; a LeNet has none.

        Raises:
            InputError: an output that no model has, or images of another number of channels or too small.
        """
        wanted = self.wanted(outputs, output_attentions)
        self._check(images)
        features: list[Tensor] = []

        x = images
        for block in self.blocks:
            x = self.run_block(block, x)
            features.append(x)

        found: dict[str, Any] = {
            "tokens": x.flatten(2).transpose(1, 2),  # (B, HW, C)
            "features": features,
            "pyramid": {2: features[0], 4: features[1]},
        }
        if wanted & {"embeddings", "logits"}:
            x = self.act(self.conv3(x)).mean((2, 3))  # (B, 120)
            found["embeddings"] = self.act(self.fc(x))  # (B, 84)
        return self.finish(found, wanted)

    def _check(self, images: Tensor) -> None:
        height, width = images.shape[-2:]
        if images.shape[1] != self.config.in_channels:
            raise InputError(
                f"images have {images.shape[1]} channels, this LeNet reads in_channels={self.config.in_channels}"
            )
        if min(height, width) < SMALLEST:
            raise InputError(
                f"images are {height}x{width} pixels; LeNet needs {SMALLEST}x{SMALLEST} or more: resize or pad them"
            )


class ConvPool(nn.Module):
    """A 5x5 convolution, the activation, and the 2x2 subsampling: C1 and S2, or C3 and S4."""

    def __init__(self, config: LeNetConfig, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 5)
        self.act = activation(config)
        self.max = config.pool == "max"

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        x = self.act(self.conv(x))
        return F.max_pool2d(x, 2) if self.max else F.avg_pool2d(x, 2)


def activation(config: LeNetConfig) -> nn.Module:
    """The activation of the whole network."""
    return nn.Tanh() if config.activation == "tanh" else nn.ReLU()


def init_layer(module: nn.Module) -> None:
    """Initialise one layer as in the paper's appendix A: uniform in ±2.4 over the number of inputs; biases 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        bound = 2.4 / module.weight[0].numel()
        nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
