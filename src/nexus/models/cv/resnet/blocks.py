"""Residual blocks and their shortcuts: He et al. 2015, sections 3.2 and 3.3 and figure 5.

The wider, grouped and smoother kinds are those of Zagoruyko and Komodakis 2016, Xie et al. 2016 and He et al. 2018.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

    from nexus.models.cv.resnet.model import ResNetConfig

__all__ = ["BasicBlock", "Bottleneck", "batch_norm", "conv_bn", "shortcut"]


class BasicBlock(nn.Module):
    """y = relu(F(x) + x), F two 3x3 convolutions (figure 5, left)."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(config, inputs, width, 3, stride)
        self.conv2 = conv_bn(config, width, width, 3)
        self.shortcut = shortcut(config, inputs, width, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        residual = F.relu(self.conv1(x), inplace=True)
        residual = self.conv2(residual)
        if self.shortcut is not None:
            residual += self.shortcut(x)
        return F.relu(residual, inplace=True)


class Bottleneck(nn.Module):
    """y = relu(F(x) + x), F a 1x1 that narrows, a 3x3, and a 1x1 that widens (figure 5, right)."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        narrow, (first, second) = config.bottleneck_width(width), config.bottleneck_strides(stride)
        self.conv1 = conv_bn(config, inputs, narrow, 1, first)
        self.conv2 = conv_bn(config, narrow, narrow, 3, second, config.groups)
        self.conv3 = conv_bn(config, narrow, width, 1)
        self.shortcut = shortcut(config, inputs, width, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        residual = F.relu(self.conv1(x), inplace=True)
        residual = F.relu(self.conv2(residual), inplace=True)
        residual = self.conv3(residual)
        if self.shortcut is not None:
            residual += self.shortcut(x)
        return F.relu(residual, inplace=True)


def shortcut(config: ResNetConfig, inputs: int, width: int, stride: int) -> nn.Module | None:
    """What is added to F(x): the identity where the shape stays, else as `config.shortcut` says; None: nothing."""
    if config.shortcut == "none":
        return None
    if inputs == width and stride == 1:
        return nn.Identity()
    if config.shortcut == "zero_pad":
        return ZeroPad(width - inputs, stride)
    if config.shortcut == "avg_pool":
        return projection(config, inputs, width, stride=1, pool=stride > 1)
    return projection(config, inputs, width, stride)


def projection(config: ResNetConfig, inputs: int, width: int, stride: int, *, pool: bool = False) -> nn.Sequential:
    """A 1x1 convolution, behind 2x2 average pooling or not; its norm where the block has none of its own in front."""
    layers = OrderedDict[str, nn.Module]()
    if pool:
        layers["pool"] = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
    layers["conv"] = nn.Conv2d(inputs, width, 1, stride=stride, bias=False)
    if not config.preactivation:
        layers["bn"] = batch_norm(config, width)
    return nn.Sequential(layers)


class ZeroPad(nn.Module):
    """Every stride-th place, and channels of zeros behind those there are (option A of section 3.3).

    (B, C, H, W) -> (B, C + added, H / stride, W / stride).
    """

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        return F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))


def conv_bn(
    config: ResNetConfig, inputs: int, width: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution without bias, and its batch norm."""
    conv = nn.Conv2d(inputs, width, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=batch_norm(config, width)))


def batch_norm(config: ResNetConfig, width: int) -> nn.BatchNorm2d:
    """A batch norm of the whole network's kind."""
    return nn.BatchNorm2d(width, eps=config.bn_eps, momentum=config.bn_momentum)
