"""VGG, as in Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(arXiv:1409.1556), table 1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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

__all__ = ["VGG", "VGGConfig"]


class VGGConfig(Config):
    """Config of `VGG`; the defaults are VGG-16, the paper's D.

    Attributes:
        depths: 3x3 convolutions in each stage.
        widths: channels of each stage.
        batch_norm: a batch norm behind each convolution, which the paper did not have yet.
        pool_side: rows and columns to which the last grid is averaged in front of the linear layers, so that they take
            images of any size; 7 leaves the grid of a 224-pixel image as it is.
        hidden_dim: width of the two linear layers before the head.
        dropout: rate behind each of them.
        num_classes: logits of the head; 0 for none.
    """

    depths: tuple[PositiveInt, ...] = Field((2, 2, 3, 3, 3), min_length=1)
    widths: tuple[PositiveInt, ...] = (64, 128, 256, 512, 512)
    batch_norm: bool = False
    pool_side: PositiveInt = 7
    hidden_dim: PositiveInt = 4096
    dropout: float = Field(0.5, ge=0, lt=1)
    num_classes: NonNegativeInt = 1000

    @model_validator(mode="after")
    def _stages_agree(self) -> VGGConfig:
        if len(self.depths) != len(self.widths):
            raise ValueError(f"depths={self.depths} and widths={self.widths} need one value per stage each")
        return self


class VGG(WeightInitMixin, NexusModule):
    """A VGG.

    Any input size from 32x32 is taken (with five stages); a row or column that does not fill a 2x2 window of a pooling
    is left out. Grids of more than 7x7 are averaged before the linear layers, as in torchvision. Outputs: `features`,
    every convolution behind its ReLU, as perceptual losses read them; `pyramid`, every stage behind its pooling,
    {2, 4, 8, 16, 32}; `tokens`, the last of them in row-major order; `embeddings`, what the second linear layer gives;
    `logits` where there is a head.
    """

    Config = VGGConfig

    def __init__(self, config: Mapping[str, Any] | VGGConfig) -> None:
        super().__init__(config)
        c: VGGConfig = self.config
        inputs = (3, *c.widths)
        self.stages = nn.ModuleList(
            nn.Sequential(*(conv_layer(c, inputs[s] if b == 0 else c.widths[s], c.widths[s]) for b in range(depth)))
            for s, depth in enumerate(c.depths)
        )
        self.fc1 = nn.Linear(c.widths[-1] * c.pool_side**2, c.hidden_dim)
        self.fc2 = nn.Linear(c.hidden_dim, c.hidden_dim)
        self.dropout = nn.Dropout(c.dropout)
        self.head: nn.Module = nn.Linear(c.hidden_dim, c.num_classes) if c.num_classes else nn.Identity()
        self.init_weights_vision(std=0.01)  # section 3.1; convolutions: He et al. 2015, who made deep ones trainable

    def forward(
        self, images: Float[Tensor, "b c h w"], *, outputs: Sequence[str] | None = None, output_attentions: bool = False
    ) -> ModelOutput:
        """Run the network.

        Args:
            images: (B, 3, H, W) float, preprocessed.
            outputs: names of the outputs to compute, see `nexus.types.ModelOutput`; None: all.
            output_attentions: accepted for all models alike; a VGG has none.

        Raises:
            InputError: an output that no model has, or images that the poolings leave nothing of.
        """
        wanted = self.wanted(outputs, output_attentions)
        smallest = 2 ** len(self.stages)
        if min(images.shape[-2:]) < smallest:
            raise InputError(
                f"images are {images.shape[-2]}x{images.shape[-1]} pixels; this VGG needs {smallest}x{smallest} or "
                "more: resize them"
            )
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}

        x = channels_last(images)
        for level, blocks in enumerate(self.stages, start=1):
            for block in blocks.children():
                x = self.run_block(block, x)
                if "features" in wanted:
                    features.append(x)
            x = F.max_pool2d(x, 2)  # (B, C, H / 2^level, W / 2^level), rounded down
            if "pyramid" in wanted:
                pyramid[2**level] = x

        found: dict[str, Any] = {
            "tokens": x.flatten(2).transpose(1, 2),  # (B, HW, C)
            "features": features,
            "pyramid": pyramid,
        }
        if wanted & {"embeddings", "logits"}:
            x = F.adaptive_avg_pool2d(x, self.config.pool_side).flatten(1)
            x = self.dropout(F.relu(self.fc1(x)))
            found["embeddings"] = F.relu(self.fc2(x))  # (B, hidden_dim)
        return self.finish(found, wanted, self.dropout)

    @property
    def blocks(self) -> list[nn.Module]:
        """The convolutions in order, each with its ReLU."""
        return [block for blocks in self.stages for block in blocks.children()]


def conv_layer(config: VGGConfig, inputs: int, width: int) -> nn.Sequential:
    """A 3x3 convolution, its batch norm if any, and the ReLU."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=nn.Conv2d(inputs, width, 3, padding=1))
    if config.batch_norm:
        layers["bn"] = nn.BatchNorm2d(width)
    layers["act"] = nn.ReLU()
    return nn.Sequential(layers)
