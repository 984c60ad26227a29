"""The modules of Inception V3: branches that read the same map, their channels behind one another.

The names of the paper's figures and of the authors' code: A is `large_grid`, B `narrow_reduction`, C `factorised_grid`,
D `wide_reduction`, E `small_grid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from nexus.layers import conv_bn

if TYPE_CHECKING:
    from jaxtyping import Float

    from nexus.models.cv.inception.model import InceptionV3Config

__all__ = [
    "Branches",
    "conv_layer",
    "factorised_grid",
    "large_grid",
    "narrow_reduction",
    "small_grid",
    "wide_reduction",
]

LOW, HIGH = (1, 3), (3, 1)
ROW, COLUMN = (1, 7), (7, 1)
"""Kernels, rows and columns, of one dimension: two of them see what a square one sees."""


class Branches(nn.Module):
    """Branches side by side. (B, C, H, W) -> (B, width, H / stride, W / stride).

    Args:
        width: channels of all branches together.
        stride: how much coarser the map is that they give.
        branches: by name, in the order of their channels.
    """

    def __init__(self, width: int, stride: int = 1, **branches: nn.Module) -> None:
        super().__init__()
        self.width, self.stride = width, stride
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width rows columns"]:
        return torch.cat([branch(x) for branch in self.children()], 1)


def large_grid(config: InceptionV3Config, inputs: int, pooled: int) -> Branches:
    """A, figure 5, with a 5x5 beside the two 3x3; `pooled` channels come from the pooling branch."""
    one, five, reduced5, three, reduced3, pooled = map(config.width, (64, 64, 48, 96, 64, pooled))
    return Branches(
        one + five + three + pooled,
        conv1x1=conv_layer(inputs, one, 1),
        conv5x5=nn.Sequential(conv_layer(inputs, reduced5, 1), conv_layer(reduced5, five, 5)),
        double3x3=nn.Sequential(
            conv_layer(inputs, reduced3, 1), conv_layer(reduced3, three, 3), conv_layer(three, three, 3)
        ),
        pool=nn.Sequential(average_pool(config), conv_layer(inputs, pooled, 1)),
    )


def narrow_reduction(config: InceptionV3Config, inputs: int) -> Branches:
    """B, figure 10: half the side; what the pooling gives stays as it is."""
    one, reduced, three = map(config.width, (384, 64, 96))
    return Branches(
        one + three + inputs,
        stride=2,
        conv3x3=conv_layer(inputs, one, 3, stride=2, padded=False),
        double3x3=nn.Sequential(
            conv_layer(inputs, reduced, 1),
            conv_layer(reduced, three, 3),
            conv_layer(three, three, 3, stride=2, padded=False),
        ),
        pool=nn.MaxPool2d(3, stride=2),
    )


def factorised_grid(config: InceptionV3Config, inputs: int, narrow: int) -> Branches:
    """C, figure 6: 7x7 as 1x7 and 7x1, once and twice; `narrow` channels inside."""
    width, narrow = config.width(192), config.width(narrow)
    return Branches(
        4 * width,
        conv1x1=conv_layer(inputs, width, 1),
        conv7x7=nn.Sequential(
            conv_layer(inputs, narrow, 1), conv_layer(narrow, narrow, ROW), conv_layer(narrow, width, COLUMN)
        ),
        double7x7=nn.Sequential(
            conv_layer(inputs, narrow, 1),
            conv_layer(narrow, narrow, COLUMN),
            conv_layer(narrow, narrow, ROW),
            conv_layer(narrow, narrow, COLUMN),
            conv_layer(narrow, width, ROW),
        ),
        pool=nn.Sequential(average_pool(config), conv_layer(inputs, width, 1)),
    )


def wide_reduction(config: InceptionV3Config, inputs: int) -> Branches:
    """D: half the side, with 7x7 factorised in front of one of the strided 3x3."""
    width, three = map(config.width, (192, 320))
    return Branches(
        three + width + inputs,
        stride=2,
        conv3x3=nn.Sequential(conv_layer(inputs, width, 1), conv_layer(width, three, 3, stride=2, padded=False)),
        conv7x7=nn.Sequential(
            conv_layer(inputs, width, 1),
            conv_layer(width, width, ROW),
            conv_layer(width, width, COLUMN),
            conv_layer(width, width, 3, stride=2, padded=False),
        ),
        pool=nn.MaxPool2d(3, stride=2),
    )


def small_grid(config: InceptionV3Config, inputs: int, pool: Literal["average", "max"]) -> Branches:
    """E, figure 7: branches that fork at their ends into 1x3 and 3x1."""
    one, three, reduced, pooled = map(config.width, (320, 384, 448, 192))
    pooling = average_pool(config) if pool == "average" else nn.MaxPool2d(3, stride=1, padding=1)
    return Branches(
        one + 4 * three + pooled,
        conv1x1=conv_layer(inputs, one, 1),
        conv3x3=nn.Sequential(conv_layer(inputs, three, 1), fork(three)),
        double3x3=nn.Sequential(conv_layer(inputs, reduced, 1), conv_layer(reduced, three, 3), fork(three)),
        pool=nn.Sequential(pooling, conv_layer(inputs, pooled, 1)),
    )


def fork(width: int) -> Branches:
    """A 3x3 as 1x3 and 3x1 beside each other."""
    return Branches(2 * width, low=conv_layer(width, width, LOW), high=conv_layer(width, width, HIGH))


def average_pool(config: InceptionV3Config) -> nn.AvgPool2d:
    """The 3x3 average of a pooling branch."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=config.pool_counts_padding)


def conv_layer(
    inputs: int, width: int, kernel: int | tuple[int, int], *, stride: int = 1, padded: bool = True
) -> nn.Sequential:
    """A convolution, its batch norm and the ReLU; `padded`: sides stay, or are divided by the stride."""
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (rows // 2, columns // 2) if padded else 0
    return conv_bn(
        nn.Conv2d(inputs, width, (rows, columns), stride, padding, bias=False), nn.ReLU(inplace=True), eps=1e-3
    )
