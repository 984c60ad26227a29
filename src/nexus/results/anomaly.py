"""Which pictures are odd."""

from __future__ import annotations

from nexus.results.base import Name, Result, Shown
from nexus.results.text import aligned, printable

__all__ = ["AnomalyMetrics", "AnomalyResult", "JudgedPicture"]


class AnomalyMetrics(Result):
    """How well scores tell odd pictures from normal ones, where it is known which is which.

    Attributes:
        pictures, odd: how many there are, and how many of them are odd.
        image_auroc: chance that an odd picture scores above a normal one, 0..1.
        best_f1, best_f1_threshold: highest F1 of any threshold, 0..1, and that threshold.
        pixel_auroc: as `image_auroc`, of pixels; None without masks.
        aupro: area under the per-region overlap curve up to a false positive rate of 0.3, 0..1; None without masks.
    """

    pictures: int
    odd: int
    image_auroc: float
    best_f1: float
    best_f1_threshold: float
    pixel_auroc: float | None = None
    aupro: float | None = None

    def lines(self) -> list[str]:
        """Two lines at most."""
        said = [
            f"{self.odd} of {self.pictures} are known to be odd: AUROC {self.image_auroc:.4f}, best F1 "
            f"{self.best_f1:.4f} (at threshold {self.best_f1_threshold:.4g})"
        ]
        if self.pixel_auroc is not None and self.aupro is not None:
            said.append(f"where they are odd: AUROC of pixels {self.pixel_auroc:.4f}, AUPRO {self.aupro:.4f}")
        return said


class JudgedPicture(Result):
    """How odd one picture is.

    Attributes:
        source: the picture.
        score: its distance from what is normal, from 0.
        odd: whether that reaches the threshold.
        kind: what is known of it: the name of its folder, ``"good"`` for a normal one; None where nothing is.
        heatmap: the picture of where it is odd, if that was asked for.
    """

    source: Name
    score: float
    odd: bool
    kind: str | None = None
    heatmap: Name | None = None


class AnomalyResult(Shown):
    """Which pictures are odd, the oddest first.

    Attributes:
        model: what described the patches.
        normals: how many normal pictures the bank was made of.
        patches: how many patches it holds.
        threshold: scores from here on are odd.
        calibrated: normal pictures that the threshold was found with, each left out once; 0 where it was given.
        pictures: what was judged, by score.
        metrics: how right the scores are, where that is known.
        bank: the file with the memory bank, if it was saved.
        notes: what should be known of the scores.
    """

    model: str
    normals: int
    patches: int
    threshold: float
    calibrated: int
    pictures: tuple[JudgedPicture, ...]
    metrics: AnomalyMetrics | None = None
    bank: Name | None = None
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One line per picture, the oddest first, then what they were compared with."""
        rows = [("odd" if one.odd else "-", f"{one.score:.2f}", printable(one.source)) for one in self.pictures]
        odd = sum(one.odd for one in self.pictures)
        found = f" (found with {self.calibrated} normal pictures)" if self.calibrated else ""
        said = aligned(rows, right={1})
        said.append(f"{odd} of {len(self.pictures)} pictures are odd at threshold {self.threshold:.2f}{found}")
        said += self.metrics.lines() if self.metrics else []
        said += self.notes
        drawn = [one.heatmap for one in self.pictures if one.heatmap]
        said += [f"wrote {len(drawn)} heat maps, {printable(drawn[0])} first"] if drawn else []
        return said + self.written() + ([f"wrote {printable(self.bank)}"] if self.bank else [])
