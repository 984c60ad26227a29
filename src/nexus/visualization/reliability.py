"""The reliability diagram: how often a classifier is right when it says how sure it is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nexus.errors import InputError
from nexus.visualization._canvas import LIGHT
from nexus.visualization._plot import BLUE, VERMILION, plain, plotted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_reliability"]

SIZE = (900, 1080)


def draw_reliability(bins: Iterable[tuple[float, float, int]], *, title: str = "") -> Image.Image:
    """Draw accuracy over confidence, and below it how many pictures were judged so surely.

    A classifier whose probabilities are true lies on the diagonal. Each bin is a dot and its distance from the diagonal
    a line: in vermilion where the classifier is over-confident, in blue where it is under-confident. The heading has
    the expected calibration error, the mean length of these lines over all pictures.

    Source: Guo et al., "On Calibration of Modern Neural Networks" (arXiv 1706.04599), figure 1 and equation 3.

    Args:
        bins: (mean confidence, accuracy, number of pictures) of each bin, both shares in 0..1. Empty bins are left out,
            whatever their shares.
        title: above the picture.

    Returns:
        RGB, 900 x 1080 pixels.

    Raises:
        InputError: no bin has a picture, or a share is not in 0..1.
        MissingDependencyError: matplotlib is not installed.
    """
    listed = np.array(list(bins), dtype=np.float64).reshape(-1, 3)
    filled = listed[listed[:, 2] > 0]
    if not len(filled):
        raise InputError("no bin has a picture, so there is no calibration to draw")
    if not ((filled[:, :2] >= 0) & (filled[:, :2] <= 1)).all():
        raise InputError("confidence and accuracy of a bin are shares in 0..1 (not percent)")
    return plotted(SIZE, partial(_paint, filled, 1 / len(listed), title))


def _paint(bins: NDArray[np.float64], width: float, title: str, figure: Figure) -> None:
    upper, lower = figure.subplots(2, sharex=True, gridspec_kw={"height_ratios": (4, 1)})
    figure.suptitle(title, x=0.04, ha="left", fontsize=13, color=LIGHT.text)
    _paint_accuracy(upper, bins)
    _paint_counts(lower, bins, width)
    for axis in (lower.xaxis, lower.yaxis, upper.yaxis):
        axis.set_major_formatter(lambda share, _: f"{100 * share:.4g}%")  # 2.5% is a tick, too
    lower.set_xlabel("confidence", fontsize=9.5, color=LIGHT.muted)


def _paint_accuracy(axes: Axes, bins: NDArray[np.float64]) -> None:
    confidence, accuracy, count = bins.T
    error = np.average(abs(accuracy - confidence), weights=count)
    colours = np.where(accuracy < confidence, VERMILION, BLUE)
    axes.plot((0, 1), (0, 1), color=LIGHT.muted, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(confidence, accuracy, confidence, colors=colours, linewidth=5, alpha=0.35)
    axes.plot(confidence, accuracy, color=LIGHT.text, linewidth=1)
    axes.scatter(confidence, accuracy, s=42, color=colours, zorder=3, clip_on=False)
    behind = {"facecolor": LIGHT.page, "edgecolor": "none", "alpha": 0.85, "pad": 2}
    axes.text(0.98, 0.03, "over-confident", color=VERMILION, fontsize=9.5, ha="right", bbox=behind, zorder=4)
    axes.text(0.02, 0.95, "under-confident", color=BLUE, fontsize=9.5, bbox=behind, zorder=4)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    plain(axes, f"Accuracy by confidence; expected calibration error {error:.1%}")


def _paint_counts(axes: Axes, bins: NDArray[np.float64], width: float) -> None:
    axes.bar(bins[:, 0], bins[:, 2] / bins[:, 2].sum(), 0.55 * width, color=LIGHT.muted)
    plain(axes, f"Share of {bins[:, 2].sum():,.0f} pictures")
    axes.grid(visible=False, axis="x")
