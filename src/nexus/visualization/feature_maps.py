"""The channels of a feature map, as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from nexus.errors import InputError
from nexus.visualization._canvas import LIGHT, Palette, draw_table
from nexus.visualization._colours import colourize

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["visualize_feature_maps"]


def visualize_feature_maps(
    features: Tensor | NDArray[np.floating],
    most: int = 16,
    *,
    image: int = 0,
    columns: int = 4,
    side: int = 148,
    palette: Palette = LIGHT,
) -> Image.Image:
    """Draw the channels that vary most over an image, each from its smallest value (dark) to its largest (light).

    Args:
        features: (B, C, H, W), e.g. one entry of the output ``features``.
        most: how many channels.
        image: which image of the batch.
        columns: panels side by side.
        side: longer side of every panel, in pixels.
        palette: colours of the page.

    Raises:
        InputError: `features` is not (B, C, H, W) of finite values.
    """
    array = torch.as_tensor(features).detach().to("cpu", torch.float32).numpy()
    if array.ndim != 4 or 0 in array.shape or not np.isfinite(array).all():
        raise InputError(f"features must be (images, channels, height, width), finite; got the shape {array.shape}")
    maps = array[image]
    order = np.argsort(-maps.var(axis=(1, 2)), kind="stable")[:most]
    scale = side / max(maps.shape[1:])
    size = (max(1, round(maps.shape[2] * scale)), max(1, round(maps.shape[1] * scale)))
    panels = [_panel(maps[channel], size) for channel in order]
    blank = Image.new("RGB", size, palette.page)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    captions = [", ".join(map(str, order[start : start + columns])) for start in range(0, len(panels), columns)]
    heads = [("Channels", f"{len(panels)} of {len(maps)} that vary most"), *[("", "")] * (columns - 1)]
    return draw_table(rows, heads=heads, captions=captions, palette=palette)


def _panel(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    span = values.max() - values.min()
    unit = (values - values.min()) / span if span > 0 else np.zeros_like(values)
    return Image.fromarray(colourize(unit)).resize(size, Image.Resampling.NEAREST)
