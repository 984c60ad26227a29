"""The block of mobile networks: wide inside, narrow between blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from nexus.layers.drop_path import DropPath

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["InvertedResidual", "SqueezeExcite"]


class InvertedResidual(nn.Module):
    """Widen, convolve each channel, weigh the channels, narrow, add (MBConv; Sandler et al. 2018, figure 4b).

    (B, C, H, W) -> (B, width, H / stride, W / stride).

    Args:
        expand: 1x1 convolution that widens; a fused block convolves here.
        depthwise: convolution of each channel.
        squeeze_excite: see `SqueezeExcite`.
        project: 1x1 convolution that narrows; its output stays linear.
        stride: of the block, kept for those who count the size of the grid.
        residual: whether the input is added to the output.
        drop_path: rate of stochastic depth.

    A part that is None is left out.
    """

    def __init__(
        self,
        *,
        expand: nn.Module | None = None,
        depthwise: nn.Module | None = None,
        squeeze_excite: nn.Module | None = None,
        project: nn.Module | None = None,
        stride: int,
        residual: bool,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.stride, self.residual = stride, residual
        self.expand = expand or nn.Identity()
        self.depthwise = depthwise or nn.Identity()
        self.squeeze_excite = squeeze_excite or nn.Identity()
        self.project = project or nn.Identity()
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        y: Tensor = self.project(self.squeeze_excite(self.depthwise(self.expand(x))))
        return x + self.drop_path(y) if self.residual else y


class SqueezeExcite(nn.Module):
    """Weigh each channel by what the whole picture has in all channels (Hu et al. 2018). (B, C, H, W) -> the same.

    Args:
        channels: C.
        squeezed: channels between the two layers.
        act: activation between the two layers.
        gate: what turns the output of the second one into weights; by default the sigmoid.
    """

    def __init__(self, channels: int, squeezed: int, act: nn.Module, gate: nn.Module | None = None) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.act = act
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate or nn.Sigmoid()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        weights: Tensor = self.gate(self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True)))))  # (B, C, 1, 1)
        return x * weights
