"""The course of a training run: loss, accuracy and learning rate over the epochs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nexus.errors import InputError
from nexus.visualization._canvas import LIGHT
from nexus.visualization._plot import BLUE, GREEN, VERMILION, label_ends, plain, plotted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_curves"]

_WIDTH, _PANEL, _STRIP = 1200, 430, 260  # pixels; the learning rate has a strip, everything else a panel
_WINDOWS = 40  # the smoothed curve is a mean over this part of the run

_MONITORED = ("val_top1", "val_map", "val_loss")  # the first that a run has decides which epoch is its best
_ACCURACIES = {"val_top1": ("top-1", VERMILION), "val_top5": ("top-5", GREEN), "val_map": ("mAP", VERMILION)}

_DOTTED: dict[str, Any] = {"linewidth": 1.8, "marker": "o", "markersize": 4, "clip_on": False}

Points = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
"""x (steps or epochs) and y of a curve, both (N,)."""


def draw_curves(records: Sequence[Mapping[str, Any]], *, title: str = "", monitor: str | None = None) -> Image.Image:
    """Draw a run's loss, accuracy and learning rate.

    Each step's loss is drawn pale and its centred running mean, over a fortieth of the run, in full colour. What was
    measured after an epoch stands at the end of that epoch. The best epoch is marked in all three.

    Args:
        records: lines of a run's ``metrics.jsonl``: of kind ``"step"`` (step, loss, lr), ``"epoch"`` (step, train_loss,
            val_loss, and val_top1, val_top5 or val_map in 0..1) and ``"resume"`` (step: where an interrupted run went
            on). Values that are absent or not finite are left out.
        title: above the picture.
        monitor: the key by which the best epoch is chosen, the smallest of a loss and the largest of all else; None is
            ``val_top1``, ``val_map`` or ``val_loss``, whichever is there first.

    Returns:
        RGB, 1200 pixels wide.

    Raises:
        InputError: no record has a loss.
        MissingDependencyError: matplotlib is not installed.
    """
    run = _Run.read(records)
    if not any(len(x) for x, _ in (run.curve("step", "loss"), run.curve("epoch", "train_loss"))):
        raise InputError("there is no training loss among these records, so there are no curves to draw")
    accurate = any(len(run.curve("epoch", key)[1]) for key in _ACCURACIES)
    painters = [_paint_losses, *([_paint_accuracies] if accurate else []), _paint_rates]
    size = (_WIDTH, _PANEL * (len(painters) - 1) + _STRIP)
    return plotted(size, partial(_paint, run, painters, title, monitor))


@dataclass(frozen=True)
class _Run:
    """The records by kind, and the step at which each epoch ended.

    Attributes:
        records: kind -> records, in order.
        ends: (E + 1,) steps: 0, then the end of each epoch.
    """

    records: Mapping[str, Sequence[Mapping[str, Any]]]
    ends: NDArray[np.float64]

    @classmethod
    def read(cls, records: Sequence[Mapping[str, Any]]) -> _Run:
        kinds = {kind: [one for one in records if one["kind"] == kind] for kind in ("step", "epoch", "resume")}
        return cls(kinds, np.array([0.0, *(one["step"] for one in kinds["epoch"])]))

    @property
    def by_epoch(self) -> bool:
        return len(self.ends) > 1

    def place(self, steps: Sequence[float]) -> NDArray[np.float64]:
        """Return steps as epochs, with those of an epoch that is still running; as they are before the first ends."""
        if not self.by_epoch:
            return np.asarray(steps, dtype=np.float64)
        length = self.ends[-1] - self.ends[-2]
        ends = np.append(self.ends, self.ends[-1] + length)
        return np.interp(steps, ends, np.arange(len(ends)))

    def curve(self, kind: str, key: str) -> Points:
        pairs = [(one["step"], one[key]) for one in self.records[kind] if _is_number(one.get(key))]
        return self.place([step for step, _ in pairs]), np.array([value for _, value in pairs], dtype=np.float64)

    def best(self, monitor: str | None) -> tuple[float, str] | None:
        """Return where the best epoch ended, the first of equals, and what to say of it."""
        for key in [monitor] if monitor else _MONITORED:
            x, y = self.curve("epoch", key)
            if len(y):
                lowest = key.endswith("loss")
                at = int(y.argmin() if lowest else y.argmax())
                said = f"{y[at]:#.3g}" if lowest else f"{y[at]:.1%}"
                return float(x[at]), f"best: {said} after epoch {round(x[at])}"
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _paint(
    run: _Run, painters: Sequence[Callable[[Axes, _Run], None]], title: str, monitor: str | None, figure: Figure
) -> None:
    heights = [_PANEL] * (len(painters) - 1) + [_STRIP]
    panels = figure.subplots(len(painters), sharex=True, gridspec_kw={"height_ratios": heights})
    for axes, paint in zip(panels, painters, strict=True):
        axes.margins(x=0)
        paint(axes, run)
    panels[-1].set_xlabel("epoch" if run.by_epoch else "step", fontsize=9.5, color=LIGHT.muted)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    panels[-1].set_xlim(0)
    figure.suptitle(title, x=0.03, ha="left", fontsize=13, color=LIGHT.text)
    _mark(run, monitor, panels)


def _paint_losses(axes: Axes, run: _Run) -> None:
    x, raw = run.curve("step", "loss")
    if len(raw):
        smooth = running_mean(raw, math.ceil(len(raw) / _WINDOWS))
        axes.plot(x, raw, color=BLUE, alpha=0.25, linewidth=0.8)
    else:  # a head that is trained on stored features is measured by epoch only
        x, smooth = run.curve("epoch", "train_loss")
    axes.plot(x, smooth, color=BLUE, linewidth=1.8)
    labels = [(float(smooth[-1]), f"train {smooth[-1]:#.3g}", BLUE)]
    x, val = run.curve("epoch", "val_loss")
    if len(val):
        axes.plot(x, val, color=VERMILION, **_DOTTED)
        labels.append((float(val[-1]), f"val {val[-1]:#.3g}", VERMILION))
    # A few wild steps would press everything else to the floor: they may leave the picture at the top.
    top = max([*smooth, *val, np.quantile(raw, 0.99) if len(raw) else 0.0])
    axes.set_ylim(0, 1.06 * top or 1)
    plain(axes, "Loss")
    label_ends(axes, labels)


def _paint_accuracies(axes: Axes, run: _Run) -> None:
    labels = []
    for key, (name, colour) in _ACCURACIES.items():
        x, y = run.curve("epoch", key)
        if len(y):
            axes.plot(x, y, color=colour, **_DOTTED)
            labels.append((float(y[-1]), f"{name} {y[-1]:.1%}", colour))
    plain(axes, "Accuracy on the validation pictures")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")  # 37.5% is a tick, too
    label_ends(axes, labels)


def _paint_rates(axes: Axes, run: _Run) -> None:
    axes.plot(*run.curve("step", "lr"), color=LIGHT.muted, linewidth=1.8)
    axes.set_ylim(0)
    plain(axes, "Learning rate")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2g}")


def _mark(run: _Run, monitor: str | None, panels: Sequence[Axes]) -> None:
    """Draw a line through all panels at the best epoch, and a dotted one wherever the run was resumed."""
    for at in run.place([one["step"] for one in run.records["resume"]]):
        for axes in panels:
            axes.axvline(at, color=LIGHT.muted, linewidth=1, linestyle=":")
        _write_beside(panels[0], at, "resumed", LIGHT.muted)
    if best := run.best(monitor):
        for axes in panels:
            axes.axvline(best[0], color=LIGHT.text, linewidth=1)
        _write_beside(panels[-2], *best, LIGHT.text)


def _write_beside(axes: Axes, at: float, text: str, colour: str) -> None:
    """Write a word at the foot of a vertical line, on the side where there is more room."""
    left = at > sum(axes.get_xlim()) / 2
    axes.annotate(
        text,
        (at, 0.04),
        (-5 if left else 5, 0),
        axes.get_xaxis_transform(),
        "offset points",
        color=colour,
        fontsize=9,
        ha="right" if left else "left",
        bbox={"facecolor": LIGHT.page, "edgecolor": "none", "pad": 1.5},
    )


def running_mean(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Return the mean of (N,) values over a window centred on each, which is cut off at both ends."""
    sums = np.concatenate([[0.0], values.cumsum()])
    middle = np.arange(len(values))
    first, last = np.maximum(middle - window // 2, 0), np.minimum(middle + window // 2 + 1, len(values))
    means: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return means
