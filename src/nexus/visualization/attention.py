"""Where a transformer looks: the class token's attention per head, and attention rollout over all layers.

Input is the output ``attentions`` of a model called with ``output_attentions=True``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from nexus.errors import InputError
from nexus.visualization._canvas import LIGHT, Palette, draw_table
from nexus.visualization._colours import colourize
from nexus.visualization._grid import grid_of
from nexus.visualization.heatmap import overlay

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["attention_rollout", "cls_attention", "draw_attention", "plot_attention_maps"]


def cls_attention(
    attention: Tensor | NDArray[np.floating], prefix: int = 1, grid: tuple[int, int] | None = None
) -> NDArray[np.float32]:
    """Return how much the class token attends to every patch, head by head.

    Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (arXiv 2104.14294), figure 1.

    Args:
        attention: (B, heads, P + N, P + N) of one layer, usually the last; rows sum to 1.
        prefix: P, the number of tokens before the patches: the class token first, then registers.
        grid: (h, w) of the patches; None for a square grid.

    Returns:
        (B, heads, h, w): the class token's row, without the prefix tokens (so it sums to at most 1).

    Raises:
        InputError: the shape is not that of an attention matrix, or `prefix` or `grid` does not fit it.
    """
    weights = _checked(attention, prefix)
    rows, columns = grid_of(weights.shape[-1] - prefix, grid)
    return weights[:, :, 0, prefix:].reshape(*weights.shape[:2], rows, columns).float().numpy()


def attention_rollout(
    attentions: Sequence[Tensor | NDArray[np.floating]], prefix: int = 1, grid: tuple[int, int] | None = None
) -> NDArray[np.float32]:
    """Follow attention through all layers: the product of each layer's mean over heads, mixed with the skip connection.

    Source: Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (arXiv 2005.00928), equation 1:
    each layer is 0.5 A + 0.5 I, whose rows sum to 1 again.

    Args:
        attentions: the model's ``attentions``, L x (B, heads, P + N, P + N), first layer first.
        prefix: P, the number of tokens before the patches.
        grid: (h, w) of the patches; None for a square grid.

    Returns:
        (B, h, w): the share of the class token that comes from each patch.

    Raises:
        InputError: there is no layer, or the shapes do not fit.
    """
    if len(attentions) == 0:
        raise InputError("attention rollout needs the attention of at least one layer, got none")
    first = _checked(attentions[0], prefix)
    flow = torch.zeros(first.shape[0], 1, first.shape[-1], dtype=torch.float64)
    flow[:, :, 0] = 1
    for attention in reversed(attentions):  # from the class token of the last layer down: a row, never a full product
        mixed = _checked(attention, prefix).mean(1)
        flow = 0.5 * (flow @ mixed) + 0.5 * flow
    rows, columns = grid_of(first.shape[-1] - prefix, grid)
    return flow[:, 0, prefix:].reshape(len(flow), rows, columns).float().numpy()


def draw_attention(
    photo: Image.Image,
    maps: NDArray[np.floating],
    *,
    names: Sequence[str] = (),
    side: int = 222,
    palette: Palette = LIGHT,
) -> Image.Image:
    """Draw a photograph and its maps side by side.

    Args:
        photo: the picture as the model saw it.
        maps: (K, h, w), e.g. one image of `cls_attention`.
        names: K heads of the columns; none numbers them as heads.
        side: longer side of every panel, in pixels.
        palette: colours of the page.

    Raises:
        InputError: `maps` is not (K, h, w), or the number of names is not K.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or len(names) not in (0, len(maps)):
        raise InputError(
            f"maps must be (K, h, w) with K names or none, got the shape {maps.shape} and {len(names)} names"
        )
    scale = side / max(photo.size)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    small = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    heads = [("Photograph", "as the model sees it")]
    for index, heat in enumerate(maps):
        heads.append((names[index] if names else f"Head {index + 1}", f"largest {heat.max():.3f}"))
    return draw_table([[small, *(overlay(small, heat) for heat in maps)]], heads=heads, captions=(), palette=palette)


def plot_attention_maps(
    outputs: Mapping[str, Any], num_layers: int = 4, *, image: int = 0, side: int = 148, palette: Palette = LIGHT
) -> Image.Image:
    """Draw where the class token looks in the last layers: a row per layer, a column per head.

    Args:
        outputs: what a model returned with ``output_attentions=True``.
        num_layers: how many layers, counted from the last.
        image: which image of the batch.
        side: longer side of every panel, in pixels.
        palette: colours of the page.

    Raises:
        InputError: there are no attentions among the outputs, or fewer than `num_layers`.
    """
    attentions, features = outputs.get("attentions"), outputs.get("features")
    if not attentions or not features:
        raise InputError("these outputs hold no attentions; call the model with output_attentions=True")
    if not 1 <= num_layers <= len(attentions):
        raise InputError(f"num_layers={num_layers} must be 1..{len(attentions)}, the number of the model's layers")
    grid = tuple(features[-1].shape[-2:])
    prefix = attentions[-1].shape[-1] - grid[0] * grid[1]
    rows = [cls_attention(layer[image : image + 1], prefix, grid)[0] for layer in attentions[-num_layers:]]
    scale = side / max(grid)
    size = (round(grid[1] * scale), round(grid[0] * scale))
    panels = [
        [Image.fromarray(colourize(heat / heat.max())).resize(size, Image.Resampling.NEAREST) for heat in row]
        for row in rows
    ]
    heads = [(f"Head {number}", "") for number in range(1, len(rows[0]) + 1)]
    layers = [f"layer {len(attentions) - num_layers + number}" for number in range(num_layers)]
    return draw_table(panels, heads=heads, captions=layers, palette=palette)


def _checked(attention: Tensor | NDArray[np.floating], prefix: int) -> Tensor:
    weights = torch.as_tensor(attention).detach().to("cpu", torch.float64)
    if weights.ndim != 4 or weights.shape[-1] != weights.shape[-2]:
        raise InputError(f"attention must be (images, heads, tokens, tokens), got the shape {tuple(weights.shape)}")
    if not 1 <= prefix < weights.shape[-1]:
        raise InputError(f"prefix={prefix} must be at least 1 (the class token) and below {weights.shape[-1]} tokens")
    return weights
