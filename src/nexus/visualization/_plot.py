"""Plots by matplotlib, without its global state: no pyplot, no style that leaks in or out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nexus.errors import require
from nexus.visualization._canvas import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BLUE", "DPI", "GREEN", "VERMILION", "label_ends", "plain", "plotted"]

# From the palette of Okabe and Ito, "Color Universal Design" (2008): told apart by colour-blind readers.
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"

DPI = 144


def plotted(size: tuple[int, int], paint: Callable[[Figure], None]) -> Image.Image:
    """Return what `paint` draws on an empty figure of `size` (width, height) pixels.

    The figure starts from matplotlib's own defaults, whatever style the caller's notebook or settings file has.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    style = require("matplotlib.style", "train")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style.context("default"):
        figure = Figure((size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor=LIGHT.page)
        figure.set_layout_engine("constrained", w_pad=0.16, h_pad=0.1)
        canvas = FigureCanvasAgg(figure)
        paint(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def plain(axes: Axes, title: str) -> None:
    """Give axes a title at the left, light grid lines behind the data, and no box."""
    axes.set_title(title, loc="left", fontsize=10.5, color=LIGHT.text)
    axes.tick_params(labelsize=8.5, colors=LIGHT.muted, length=0)
    axes.grid(color=LIGHT.line, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def label_ends(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write (value, text, colour) beside the right edge at the height of its value, moved apart where they meet."""
    low, high = axes.get_ylim()
    line = 24 / (axes.figure.bbox.height * axes.get_position().height)  # pixels of a line, as a share of the axes
    at = -np.inf
    for value, text, colour in sorted(labels):
        at = max(at + line, (value - low) / (high - low))
        axes.annotate(text, (1, at), (8, 0), "axes fraction", "offset points", color=colour, fontsize=9.5, va="center")
