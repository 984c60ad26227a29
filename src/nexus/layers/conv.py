"""Convolutions, with the padding, the batch norm and the activation that belong to them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "Padding",
    "SameConv2d",
    "channels_last",
    "conv2d",
    "conv_bn",
    "lay_out",
    "make_divisible",
    "prefers_channels_last",
]

Padding = Literal["same", "fixed", "symmetric"]
"""Of strided convolutions. ``"same"``: TensorFlow's, by the size of each input, one more at the bottom and right where
the sum is odd. ``"fixed"``: that of even sizes, whatever the size. ``"symmetric"``: half the kernel all around."""


class SameConv2d(nn.Conv2d):
    """A strided convolution without bias, with TensorFlow's "SAME" padding: it gives ceil(size / stride).

    Args:
        any_size: pad by the size of the input; False: always as a multiple of the stride is padded.
    """

    def __init__(
        self, inputs: int, width: int, kernel: int, stride: int, *, groups: int = 1, any_size: bool = True
    ) -> None:
        super().__init__(inputs, width, kernel, stride, groups=groups, bias=False)
        self.any_size = any_size

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b channels rows columns"]:
        left, right = self.pads(input.shape[3], self.kernel_size[1], self.stride[1])
        top, bottom = self.pads(input.shape[2], self.kernel_size[0], self.stride[0])
        return super().forward(F.pad(input, (left, right, top, bottom)))

    def pads(self, size: int, kernel: int, stride: int) -> tuple[int, int]:
        """Return the padding before and behind one axis."""
        total = kernel - stride + (-size % stride if self.any_size else 0)
        return total // 2, total - total // 2


def conv2d(
    inputs: int, width: int, kernel: int, *, stride: int = 1, groups: int = 1, padding: Padding = "symmetric"
) -> nn.Conv2d:
    """Return a convolution without bias that gives size / stride, rounded up; with ``"fixed"``, rounded down."""
    if stride == 1 or padding == "symmetric":
        return nn.Conv2d(inputs, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return SameConv2d(inputs, width, kernel, stride, groups=groups, any_size=padding == "same")


def conv_bn(
    conv: nn.Conv2d, act: nn.Module | None = None, *, eps: float = 1e-5, momentum: float = 0.1
) -> nn.Sequential:
    """Return a convolution, its batch norm, and the activation, named `conv`, `bn` and `act`.

    Args:
        conv: without bias, which the norm would take away.
        act: None where the output stays linear.
        eps, momentum: of the norm; the momentum is the share of the new batch, as PyTorch counts it.
    """
    layers = OrderedDict[str, nn.Module](conv=conv, bn=nn.BatchNorm2d(conv.out_channels, eps=eps, momentum=momentum))
    if act is not None:
        layers["act"] = act
    return nn.Sequential(layers)


def channels_last(images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Return the images with the channels of a pixel side by side in memory, the format that convolutions like best.

    What they give has it too, and so all maps of a network whose first convolution gets its images this way.
    """
    return images.contiguous(memory_format=torch.channels_last)


def prefers_channels_last(module: nn.Module) -> bool:
    """Whether a module is faster with its kernels in that format, too: one whose convolutions overlap.

    That of a patch embedding, which is a matrix product, does not care.
    """
    return any(isinstance(part, nn.Conv2d) and part.kernel_size != part.stride for part in module.modules())


def lay_out(module: nn.Module, channels_last: bool | None = None) -> None:
    """Bring a module's kernels into the memory format in which it is fastest, or into the one that is asked for."""
    wanted = prefers_channels_last(module) if channels_last is None else channels_last
    module.to(memory_format=torch.channels_last if wanted else torch.contiguous_format)  # type: ignore[call-overload]


def make_divisible(width: int | float, divisor: int = 8) -> int:
    """Round a number of channels to a multiple of `divisor`, but never down by more than a tenth."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded
