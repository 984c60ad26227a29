"""From an image to tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from nexus.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["PatchEmbed", "as_map"]


class PatchEmbed(nn.Module):
    """Cut images into square patches and project each to a token (Dosovitskiy et al. 2021, equation 1).

    Args:
        in_channels: channels C of the images.
        dim: width D of the tokens.
        patch_size: side of a patch in pixels.
        bias: whether the projection has one.
    """

    def __init__(self, in_channels: int, dim: int, patch_size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size, bias=bias)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d rows columns"]:
        """Turn images (B, C, H, W) into a grid of tokens (B, D, H / patch_size, W / patch_size).

        Raises:
            InputError: the images have another number of channels, or a side that is no multiple of the patch.
        """
        if images.ndim != 4 or images.shape[1] != self.proj.in_channels:
            raise InputError(
                f"images have the shape {tuple(images.shape)}, not (batch, {self.proj.in_channels}, height, width)"
            )
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            near = "x".join(str(max(round(side / self.patch_size), 1) * self.patch_size) for side in (height, width))
            raise InputError(
                f"images are {height}x{width} pixels; both sides must be multiples of the patch size, "
                f"{self.patch_size}: resize or crop them, e.g. to {near}"
            )
        return self.proj(images)  # type: ignore[no-any-return]


def as_map(tokens: Float[Tensor, "b n d"], grid: tuple[int, int]) -> Float[Tensor, "b d rows columns"]:
    """View row-major patch tokens (B, rows * columns, D) as a map (B, D, rows, columns)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, *grid)
