"""Residual blocks with full pre-activation: norm and ReLU before each convolution, and nothing behind the addition
(He et al. 2016, "Identity Mappings in Deep Residual Networks", arXiv:1603.05027, figure 4(e)).

Where the shape changes, the shortcut projects what the first norm and ReLU give, as in the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from nexus.models.cv.resnet.blocks import batch_norm, shortcut

if TYPE_CHECKING:
    from jaxtyping import Float

    from nexus.models.cv.resnet.model import ResNetConfig

__all__ = ["PreactBasicBlock", "PreactBottleneck"]


class PreactBlock(nn.Module):
    """y = F(x) + x, F what a subclass has in `residual`."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = batch_norm(config, inputs)
        self.shortcut = shortcut(config, inputs, width, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        active = F.relu(self.bn1(x))
        residual: Tensor = self.residual(active)
        if self.shortcut is None:
            return residual
        added: Tensor = self.shortcut(x if isinstance(self.shortcut, nn.Identity) else active)
        return residual + added

    def residual(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        """F behind its first norm and ReLU."""
        raise NotImplementedError


class PreactBasicBlock(PreactBlock):
    """F two 3x3 convolutions."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__(config, inputs, width, stride)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = batch_norm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def residual(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        return self.conv2(F.relu(self.bn2(self.conv1(x))))  # type: ignore[no-any-return]


class PreactBottleneck(PreactBlock):
    """F a 1x1 that narrows, a 3x3, and a 1x1 that widens."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__(config, inputs, width, stride)
        narrow, (first, second) = config.bottleneck_width(width), config.bottleneck_strides(stride)
        self.conv1 = nn.Conv2d(inputs, narrow, 1, stride=first, bias=False)
        self.bn2 = batch_norm(config, narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride=second, padding=1, groups=config.groups, bias=False)
        self.bn3 = batch_norm(config, narrow)
        self.conv3 = nn.Conv2d(narrow, width, 1, bias=False)

    def residual(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        x = self.conv1(x)
        x = self.conv2(F.relu(self.bn2(x)))
        return self.conv3(F.relu(self.bn3(x)))  # type: ignore[no-any-return]
