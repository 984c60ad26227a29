"""How good a classifier is on labelled pictures."""

from __future__ import annotations

from nexus.results.base import Array, Name, Result, Skipped
from nexus.results.text import aligned, printable, probability, wrapped

__all__ = ["CalibrationBin", "ClassReport", "EvaluateResult", "Mistake", "ProtocolRow", "TemperatureScaling"]


class ClassReport(Result):
    """How one class fares.

    Attributes:
        name: the class.
        support: pictures of it.
        precision: of what was called so, the share that is, 0..1.
        recall: of its pictures, the share that was called so, 0..1: the accuracy of the class.
        f1: harmonic mean of the two.
        average_precision: of pictures that may show several classes, 0..1; None otherwise, or without positives.
        taken_for: what its pictures are most often called wrongly; None where that never happens.
    """

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    average_precision: float | None = None
    taken_for: str | None = None


class CalibrationBin(Result):
    """Pictures of which the model was about equally sure.

    Attributes:
        lower, upper: bounds of the confidence, 0..1; the upper one is included.
        count: pictures.
        confidence: their mean confidence; None without pictures.
        accuracy: the share that is right; None without pictures.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


class TemperatureScaling(Result):
    """What dividing the logits by one number does to the confidence; the answers stay the same.

    Attributes:
        temperature: that number, fitted on some of the pictures; above 1 the model was too sure.
        fitted_on, measured_on: how many pictures it was fitted on, and how many others it was judged by.
        error_before, error_after: expected calibration error on the latter.
        loss_before, loss_after: negative log-likelihood on the latter, in nats.
    """

    temperature: float
    fitted_on: int
    measured_on: int
    error_before: float
    error_after: float
    loss_before: float
    loss_after: float


class Mistake(Result):
    """A picture that was called wrongly.

    Attributes:
        source: the picture.
        index: its number in the dataset.
        true, predicted: class names; with several classes per picture, all of them with commas between.
        confidence: probability of the class that was predicted, 0..1; with several, of the least right decision.
        loss: cross-entropy in nats.
    """

    source: Name
    index: int
    true: str
    predicted: str
    confidence: float
    loss: float


class ProtocolRow(Result):
    """One setting of an evaluation protocol.

    Attributes:
        setting: what was varied.
        top1: share of pictures, 0..1, that are right; with several classes per picture, of all yes or no decisions.
        top5: top-5 accuracy; None where it was not looked at.
    """

    setting: str
    top1: float
    top5: float | None = None


class EvaluateResult(Result):
    """How good a classifier is on labelled pictures. All shares are of 1.

    Attributes:
        protocol: ``"head"`` (the model's own), ``"knn"`` or ``"linear"`` (on its features).
        model: what gave the logits or the features.
        data: the labelled pictures.
        count: how many of them were scored.
        multi_label: whether a picture may show several classes; then `mean_average_precision`, `micro_f1`, `macro_f1`
            and `exact_match` are there, else all others.
        top1: share of pictures whose class is the most probable one.
        top1_interval: its 95 % interval (E. B. Wilson, 1927).
        top5: whose class is among the five most probable ones; None for five classes or fewer.
        balanced_accuracy: mean recall of the classes that occur.
        macro_f1: mean F1 of the classes that occur or were predicted.
        micro_f1, exact_match: at probability 0.5.
        mean_average_precision: over the classes that occur.
        loss: negative log-likelihood in nats; None for votes of neighbours, which may be 0.
        brier: squared distance of the probabilities from the truth, 0..2.
        calibration_error: expected calibration error, see `bins`.
        bins: 15 of equal width.
        temperature: what temperature scaling would change, if it was asked for.
        classes: those that occur or were predicted.
        confusion: (C, C) pictures: rows are the true ones of `classes`, columns the predicted ones.
        settings: all settings of the protocol; none for the model's own head.
        setting: the one that all else is about.
        mistakes: the worst, worst first.
        notes: what to know when comparing these figures with others.
        skipped: what could not be read, and why.
        engine: what ran the model.
        seconds: from start to end.
        files: what was written.
    """

    protocol: str
    model: str
    data: Name
    count: int
    multi_label: bool
    top1: float | None = None
    top1_interval: tuple[float, float] | None = None
    top5: float | None = None
    balanced_accuracy: float | None = None
    macro_f1: float
    micro_f1: float | None = None
    exact_match: float | None = None
    mean_average_precision: float | None = None
    loss: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    bins: tuple[CalibrationBin, ...] = ()
    temperature: TemperatureScaling | None = None
    classes: tuple[ClassReport, ...]
    confusion: Array | None = None
    settings: tuple[ProtocolRow, ...] = ()
    setting: str | None = None
    mistakes: tuple[Mistake, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    engine: str = ""
    seconds: float = 0.0
    files: tuple[Name, ...] = ()

    def lines(self) -> list[str]:
        """Overall figures, calibration, settings of the protocol, the worst classes, the worst mistakes.

        All settings in the order in which they were tried, or of many the best, the chosen one first. A star marks it.
        """
        said = [f"{self.model} ({self.protocol}) on {printable(self.data)}: {self.count} pictures"]
        said += self.headlines() + self._calibration() + self._settings() + self._worst_classes()
        if self.mistakes:
            said += ["", "worst mistakes:"]
            said += [
                f"  {printable(one.source)}: {one.true}, called {one.predicted or 'nothing'} "
                f"({probability(one.confidence)})"
                for one in self.mistakes[:MOST_SHOWN]
            ]
        notes = [f"note: {note}" for note in self.notes]
        return [*said, *([""] if notes else []), *wrapped(notes, further="  "), *self.written()]

    def written(self) -> list[str]:
        """One line per file."""
        return [f"wrote {printable(path)}" for path in self.files]

    def headlines(self) -> list[str]:
        """The overall figures, in a line."""
        if self.top1 is None or self.top1_interval is None:
            return [
                f"mAP {self.mean_average_precision or 0:.1%}, micro F1 {self.micro_f1 or 0:.3f}, macro F1 "
                f"{self.macro_f1:.3f}, exact match {self.exact_match or 0:.1%}"
            ]
        low, high = self.top1_interval
        top5 = "" if self.top5 is None else f", top-5 {self.top5:.1%}"
        return [
            f"top-1 {self.top1:.1%} (95 % interval {low:.1%} to {high:.1%}){top5}, mean of the classes "
            f"{self.balanced_accuracy:.1%}, macro F1 {self.macro_f1:.3f}"
        ]

    def _calibration(self) -> list[str]:
        if self.calibration_error is None:
            return []
        sure = sum(one.count * (one.confidence or 0) for one in self.bins) / self.count
        loss = "" if self.loss is None else f", negative log-likelihood {self.loss:.3f}"
        said = [
            f"calibration: ECE {self.calibration_error:.3f} (mean confidence {sure:.1%}){loss}, Brier {self.brier:.3f}"
        ]
        if (scaled := self.temperature) is not None:
            said.append(
                f"temperature {scaled.temperature:.3g}, fitted on {scaled.fitted_on} pictures; on the other "
                f"{scaled.measured_on}: ECE {scaled.error_before:.3f} -> {scaled.error_after:.3f}, negative "
                f"log-likelihood {scaled.loss_before:.3f} -> {scaled.loss_after:.3f}"
            )
        return said

    def _settings(self) -> list[str]:
        if not self.settings:
            return []
        best = sorted(self.settings, key=lambda one: (one.setting != self.setting, -one.top1))[:MOST_SHOWN]
        shown, title = (self.settings, "SETTING") if len(best) == len(self.settings) else (best, "BEST SETTINGS")
        rows = [
            ("*" if one.setting == self.setting else "", one.setting, f"{one.top1:.1%}", f"{one.top5 or 0:.1%}")
            for one in shown
        ]
        head = ("", title, "TOP-1", "TOP-5")
        columns = 3 if shown[0].top5 is None else 4
        return ["", *aligned([row[:columns] for row in (head, *rows)], right={2, 3})]

    def _worst_classes(self) -> list[str]:
        wrong = [one for one in self.classes if one.support and one.recall < 1]
        rows = [
            (one.name, str(one.support), f"{one.recall:.1%}", f"{one.precision:.1%}", one.taken_for or "")
            for one in sorted(wrong, key=lambda one: one.recall)[:MOST_SHOWN]
        ]
        head = ("WORST CLASSES", "PICTURES", "RECALL", "PRECISION", "TAKEN FOR")
        return ["", *aligned([head, *rows], right={1, 2, 3})] if rows else []


MOST_SHOWN = 10
"""Worst classes and mistakes that are printed; ``--json`` has all."""
