"""The reliability diagram: dots where the bins are, colours that say which way a bin errs, the error in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from nexus.errors import InputError
from nexus.visualization import draw_reliability, reliability
from nexus.visualization._plot import BLUE, VERMILION

BINS = [(float("nan"), float("nan"), 0), (0.4, 0.6, 10), (0.7, 0.7, 20), (0.9, 0.5, 70)]


def test_the_picture_says_how_far_confidence_can_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    plotted = reliability.plotted
    monkeypatch.setattr(
        reliability, "plotted", lambda size, paint: plotted(size, lambda figure: (paint(figure), seen.append(figure)))
    )
    assert draw_reliability(BINS, title="Digits").size == (900, 1080)
    upper, lower = seen[0].axes
    assert seen[0].get_suptitle() == "Digits"
    assert "error 30.0%" in upper.get_title("left")  # 0.1 * 0.2 + 0.7 * 0.4
    assert lower.get_title("left") == "Share of 100 pictures"
    dots = upper.collections[1]
    np.testing.assert_allclose(dots.get_offsets(), [(0.4, 0.6), (0.7, 0.7), (0.9, 0.5)])
    assert [to_hex(colour) for colour in dots.get_facecolors()] == [BLUE, BLUE, VERMILION]
    np.testing.assert_allclose([bar.get_height() for bar in lower.patches], [0.1, 0.2, 0.7])


def test_a_bin_that_is_too_sure_is_vermilion() -> None:
    def count(bins: list[tuple[float, float, int]], colour: str) -> int:
        wanted = Image.new("RGB", (1, 1), colour).getpixel((0, 0))
        return int((abs(np.asarray(draw_reliability(bins)).astype(int) - wanted).max(-1) < 12).sum())

    assert count([(0.9, 0.5, 1)], VERMILION) > count([(0.5, 0.9, 1)], VERMILION) + 100
    assert count([(0.5, 0.9, 1)], BLUE) > count([(0.9, 0.5, 1)], BLUE) + 100


@pytest.mark.parametrize(
    ("bins", "message"), [([], "no bin"), ([(0.5, 0.5, 0)], "no bin"), ([(90.0, 50.0, 3)], "not percent")]
)
def test_bins_that_cannot_be_drawn_are_named(bins: list[tuple[float, float, int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw_reliability(bins)
