"""Curves of a run: what stands where, in words and in pixels, and that matplotlib's global state is left alone."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nexus.errors import InputError
from nexus.visualization import draw_curves, training_curves
from nexus.visualization._plot import BLUE, GREEN, VERMILION
from nexus.visualization.training_curves import running_mean

matplotlib = pytest.importorskip("matplotlib")


def run(epochs: int = 4, steps: int = 10) -> list[dict[str, Any]]:
    """A run of which the third epoch is the best, interrupted after the first."""
    records: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
            records.append({"kind": "step", "step": step, "epoch": epoch, "loss": 2.0 / step, "lr": 1e-3 * step})
        measured = {"val_loss": 1.0 / epoch, "val_top1": 0.9 - 0.1 * abs(epoch - 3), "val_top5": 0.95}
        records.append({"kind": "epoch", "step": epoch * steps, "epoch": epoch, "train_loss": 0.5, **measured})
    return [*records, {"kind": "resume", "step": steps}]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every figure that is drawn."""
    seen: list[Any] = []
    plotted = training_curves.plotted

    def keeping(size: tuple[int, int], paint: Any) -> Image.Image:
        return plotted(size, lambda figure: (paint(figure), seen.append(figure)))

    monkeypatch.setattr(training_curves, "plotted", keeping)
    return seen


def words(figure: Any) -> list[str]:
    texts = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.xaxis.label)]
    return [text for text in texts if text]


def test_the_picture_says_how_the_run_went(figures: list[Any]) -> None:
    page = draw_curves(run(), title="resnet18 on digits")
    assert page.size == (1200, 1120)
    (figure,) = figures
    said = {"train 0.0500", "val 0.250", "top-1 80.0%", "top-5 95.0%", "best: 90.0% after epoch 3", "resumed", "epoch"}
    assert set(words(figure)) == said
    assert figure.get_suptitle() == "resnet18 on digits"
    assert [axes.get_title("left") for axes in figure.axes][::2] == ["Loss", "Learning rate"]


def test_values_after_an_epoch_stand_at_its_end(figures: list[Any]) -> None:
    draw_curves(run())
    losses, accuracies, rates = figures[0].axes
    _, smooth, val, *_ = losses.lines
    np.testing.assert_allclose(val.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(smooth.get_xdata(), np.arange(1, 41) / 10)
    top1, top5, resumed, best = accuracies.lines
    assert (top1.get_color(), top5.get_color()) == (VERMILION, GREEN)
    np.testing.assert_allclose(top1.get_ydata(), [0.7, 0.8, 0.9, 0.8])
    assert (resumed.get_xdata()[0], best.get_xdata()[0]) == (1, 3)
    np.testing.assert_allclose(rates.lines[0].get_ydata(), 1e-3 * np.arange(1, 41))


def test_curves_are_drawn_in_their_colours() -> None:
    pixels = np.asarray(draw_curves(run())).astype(int)
    upper, lower = pixels[:430], pixels[430:860]

    def count(panel: np.ndarray, colour: str) -> int:
        return int((abs(panel - Image.new("RGB", (1, 1), colour).getpixel((0, 0))).max(-1) < 12).sum())

    assert count(upper, BLUE) > 1000
    assert count(upper, VERMILION) > 1000
    assert count(upper, GREEN) == 0
    assert count(lower, GREEN) > 1000
    dark = (pixels.max(-1) < 60).sum(0)  # by column: the line of the best epoch goes through all panels
    assert dark.max() > 700


def test_another_value_may_decide_the_best_epoch(figures: list[Any]) -> None:
    draw_curves(run(), monitor="val_loss")
    assert "best: 0.250 after epoch 4" in words(figures[0])


def test_an_epoch_that_is_not_over_goes_beyond_the_last_that_is(figures: list[Any]) -> None:
    draw_curves([*run(2), *({"kind": "step", "step": step, "loss": 1.0, "lr": 0.1} for step in range(21, 26))])
    assert figures[0].axes[0].lines[1].get_xdata()[-1] == pytest.approx(2.5)


def test_the_first_steps_are_counted_as_steps(figures: list[Any]) -> None:
    page = draw_curves(run()[:5])
    assert page.height == 430 + 260  # nothing was measured yet: no panel for accuracy
    assert words(figures[0]) == ["train 0.400", "step"]


def test_several_labels_have_a_mean_average_precision(figures: list[Any]) -> None:
    records = [{"kind": "epoch", "step": n, "train_loss": 1.0, "val_map": 0.1 * n} for n in (1, 2)]
    draw_curves(records)
    assert {"mAP 20.0%", "best: 20.0% after epoch 2", "train 1.00"} <= set(words(figures[0]))


def test_values_that_are_not_finite_are_left_out(figures: list[Any]) -> None:
    bad = [
        {"kind": "step", "step": 41 + n, "loss": loss, "lr": 0.1} for n, loss in enumerate((math.nan, math.inf, None))
    ]
    draw_curves(run() + bad)
    assert len(figures[0].axes[0].lines[0].get_xdata()) == 40


def test_labels_at_one_height_are_moved_apart(figures: list[Any]) -> None:
    records = run()
    for record in records:
        if record["kind"] == "epoch":
            record["val_top5"] = record["val_top1"]
    draw_curves(records)
    one, other, *_ = (text.xy[1] for text in figures[0].axes[1].texts)
    assert other - one > 0.05


@pytest.mark.parametrize("loss", [0.0, 1.0])
def test_a_run_of_one_step_can_be_drawn(loss: float) -> None:
    draw_curves([{"kind": "step", "step": 1, "loss": loss, "lr": 0.0}])


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(InputError, match="no training loss"):
        draw_curves([{"kind": "epoch", "step": 3, "val_loss": 1.0}])


def test_the_running_mean_is_centred() -> None:
    values = np.random.default_rng(0).random(11)
    naive = [values[max(0, n - 2) : n + 3].mean() for n in range(11)]
    np.testing.assert_allclose(running_mean(values, 5), naive)
    np.testing.assert_allclose(running_mean(values, 1), values)


def test_matplotlib_keeps_its_global_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def settings() -> dict[str, Any]:
        return {key: matplotlib.rcParams[key] for key in matplotlib.rcParams if key != "backend"}

    usual = draw_curves(run()).tobytes()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would fail
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "lines.linestyle": "--"}):
        before = settings()
        assert draw_curves(run()).tobytes() == usual
        assert settings() == before
