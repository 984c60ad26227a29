"""How good a classifier is on labelled pictures: overall, by class, in its confidence, and where it fails worst."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.sources import OnSkip
from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError, InputError, require
from nexus.evaluation.calibration import COLDEST, HOTTEST, temperature_scaling
from nexus.evaluation.matching import match_classes
from nexus.evaluation.views import stream_logits
from nexus.metrics.classification import (
    Calibration,
    ClassificationMeter,
    ClassificationScores,
    MultiLabelMeter,
    MultiLabelScores,
    PerClass,
    negative_log_likelihood,
    softmax,
    wilson_interval,
)
from nexus.results import CalibrationBin, ClassReport, EvaluateResult, Mistake, Progress, Skipped, printable

__all__ = ["Tally", "evaluate_classifier"]

MISTAKES = 50
"""How many of the worst mistakes are kept."""


def evaluate_classifier(
    predictor: Predictor,
    data: LabelledImages,
    *,
    sizes: Sequence[int] = (),
    flip: bool = False,
    temperature: bool = False,
    among_data: bool = False,
    mistakes: int = MISTAKES,
    seed: int = 0,
    on_skip: OnSkip | None = None,
    progress: Progress | None = None,
) -> EvaluateResult:
    """Score a model with a head on labelled pictures.

    It runs through the predictor, on any engine, in memory that does not grow with the pictures, but for the logits of
    multi-label models (average precision ranks all pictures) and with `temperature`: 4 bytes per picture and class.

    Args:
        predictor: of a model with a head. Its classes are found among the data's by `match_classes`.
        data: the pictures. One without a label does not count.
        sizes: sides of the input at which each picture is looked at; the probabilities are averaged.
        flip: look at the mirror image, too, and average.
        temperature: also say what temperature scaling would change.
        among_data: choose among the data's own classes only, as is done for ImageNet-A and ImageNet-R.
        mistakes: how many of the worst mistakes to keep.
        seed: of the halves that a temperature is fitted on and judged by.
        on_skip: told of each picture that cannot be read, at once; the result has them all.
        progress: called after every batch.

    Raises:
        InputError: the model has no head, its classes are not the data's, or no labelled picture can be read.
        ConfigError: a size is not positive, or there twice; a temperature for pictures of several classes.
        EngineError: see `Predictor.stream`.
    """
    start = time.perf_counter()
    predictor.require_head()
    if temperature and data.multi_label:
        raise ConfigError(f"temperature: {data.origin} has pictures of several classes; leave it out")
    if temperature or data.multi_label:
        require("sklearn.metrics", "train")  # before the work, not after it
    labelled, skipped = with_labels(data), list[Skipped]()
    tally: Tally | None = None

    def skip(one: Skipped) -> None:
        skipped.append(one)
        if on_skip is not None:
            on_skip(one)

    stream = stream_logits(
        predictor,
        data.subset(labelled).sources,
        sizes=sizes,
        flip=flip,
        multi_label=data.multi_label,
        on_skip=skip,
        progress=progress,
    )
    for places, logits, ran_on in stream:
        if tally is None:
            matching = match_classes(data, predictor.model.labels, logits.shape[1], predictor.name)
            scored, columns = matching.select(data)
            notes = [matching.note, _about_others(len(columns), logits.shape[1], among_data or data.multi_label)]
            if not (among_data or data.multi_label):
                scored, columns = matching.renumber(data), np.arange(logits.shape[1])
            tally = Tally(scored, mistakes=mistakes, keep_logits=temperature)
        tally.update(labelled[places], logits[:, columns])
        engine = ran_on  # the last one: with auto, it may change on the way
    if tally is None:
        raise nothing_read(data, skipped)
    scaled = temperature_scaling(*tally.kept(), seed) if tally.keeps_logits else None
    if scaled is not None and scaled.temperature in (COLDEST, HOTTEST):
        notes.append(f"no temperature is the best for {scaled.fitted_on} pictures: take more of them")
    return tally.result(
        protocol="head",
        model=predictor.name,
        notes=tuple(note for note in notes if note),
        skipped=tuple(skipped),
        engine=engine,
        temperature=scaled,
        seconds=time.perf_counter() - start,
    )


class Tally:
    """Scores of pictures of a dataset, in batches, in any order.

    Args:
        data: the pictures; logits come in the order of its classes.
        mistakes: how many of the worst mistakes to keep.
        keep_logits: keep all logits, for `kept`.
    """

    def __init__(self, data: LabelledImages, *, mistakes: int = MISTAKES, keep_logits: bool = False) -> None:
        self.data, self.most, self.keeps_logits = data, mistakes, keep_logits
        several = data.multi_label
        self.meter = MultiLabelMeter(len(data.classes)) if several else ClassificationMeter(len(data.classes))
        self._mistakes: list[_Wrong] = []
        self._kept: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def update(self, numbers: NDArray[np.int64], logits: NDArray[Any]) -> None:
        """Add a batch.

        Args:
            numbers: (b,) of pictures of the data, which have labels.
            logits: (b, K).

        Raises:
            InputError: the logits are not finite, or of another number of classes.
        """
        targets = self.data.targets[numbers]
        self.meter.update(logits, targets)
        found = _several_mistakes(logits, targets) if self.data.multi_label else _mistakes(logits, targets)
        self._mistakes += [wrong._replace(number=int(numbers[wrong.number])) for wrong in found]
        self._mistakes = sorted(self._mistakes, key=lambda one: (-one.loss, one.number))[: self.most]
        if self.keeps_logits:
            self._kept.append((numbers, np.asarray(logits, dtype=np.float32)))

    def kept(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return all logits (N, K) and their targets (N,)."""
        numbers = np.concatenate([numbers for numbers, _ in self._kept])
        return np.concatenate([logits for _, logits in self._kept]), self.data.targets[numbers]

    def result(self, **described: Any) -> EvaluateResult:
        """Return everything that was found.

        Args:
            described: what else the result says: model, protocol, ...

        Raises:
            InputError: nothing was scored.
        """
        scores = self.meter.compute()
        figures = (
            _several(scores, self.data.classes)
            if isinstance(scores, MultiLabelScores)
            else _single(scores, self.data.classes)
        )
        return EvaluateResult(
            **{
                "data": self.data.origin,
                "count": scores.count,
                "macro_f1": scores.macro_f1,
                "multi_label": self.data.multi_label,
                "mistakes": tuple(self._mistake(one) for one in self._mistakes),
                **figures,
                **described,
            }
        )

    def _mistake(self, wrong: _Wrong) -> Mistake:
        true, predicted = (
            ", ".join(self.data.classes[number] for number in numbers) for numbers in (wrong.true, wrong.predicted)
        )
        return Mistake(
            source=self.data.name(wrong.number),
            index=wrong.number,
            true=true,
            predicted=predicted,
            confidence=wrong.confidence,
            loss=wrong.loss,
        )


def with_labels(data: LabelledImages) -> NDArray[np.int64]:
    """Return the numbers of the pictures that have a label.

    Raises:
        InputError: none has one.
    """
    labelled = np.arange(len(data)) if data.multi_label else np.flatnonzero(data.targets >= 0)
    if not len(labelled):
        raise InputError(f"{data.origin} has no pictures with labels, so there is nothing to hold answers against")
    return labelled


def nothing_read(data: LabelledImages, skipped: Sequence[Skipped]) -> InputError:
    """Return the error for when no picture could be read, with the first reason."""
    reason = f" ({printable(skipped[0].source)}: {skipped[0].reason})" if skipped else ""
    return InputError(f"no picture could be read from {data.origin}{reason}")


class _Wrong(NamedTuple):
    """A picture that was called wrongly: how badly, which, what it is, what it was called, how surely."""

    loss: float
    number: int
    true: Sequence[int]
    predicted: Sequence[int]
    confidence: float


def _mistakes(logits: NDArray[Any], targets: NDArray[np.int64]) -> Iterator[_Wrong]:
    """The rows that are wrong."""
    probabilities = softmax(logits)
    predicted = probabilities.argmax(1)
    for row in np.flatnonzero(predicted != targets).tolist():
        true, called = int(targets[row]), int(predicted[row])
        loss = negative_log_likelihood(logits[row : row + 1], targets[row : row + 1])
        yield _Wrong(loss, row, [true], [called], float(probabilities[row, called]))


def _several_mistakes(logits: NDArray[Any], targets: NDArray[np.bool_]) -> Iterator[_Wrong]:
    """The rows with a wrong decision."""
    values, decided = logits.astype(np.float64), logits > 0
    losses = np.logaddexp(0, np.where(targets, -values, values))
    wrong = decided != targets
    for row in np.flatnonzero(wrong.any(1)).tolist():
        surest = np.abs(values[row, wrong[row]]).max()
        true, called = (np.flatnonzero(shown[row]).tolist() for shown in (targets, decided))
        yield _Wrong(float(losses[row].sum()), row, true, called, float(1 / (1 + np.exp(-surest))))


def _single(scores: ClassificationScores, names: Sequence[str]) -> dict[str, Any]:
    confusion = scores.confusion
    there = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    wrong = confusion * (1 - np.eye(len(names), dtype=np.int64))
    taken_for = [names[wrong[row].argmax()] if wrong[row].any() else None for row in there]
    top1 = scores.top_k[1]
    return {
        "top1": top1,
        "top1_interval": wilson_interval(round(top1 * scores.count), scores.count),
        "top5": scores.top_k[5] if len(names) > 5 else None,
        "balanced_accuracy": scores.balanced_accuracy,
        "loss": scores.loss,
        "brier": scores.brier,
        "calibration_error": scores.calibration.error,
        "bins": _bins(scores.calibration),
        "classes": _reports(scores.classes, names, there, taken_for=taken_for),
        "confusion": confusion[np.ix_(there, there)],
    }


def _several(scores: MultiLabelScores, names: Sequence[str]) -> dict[str, Any]:
    there = np.arange(len(names))
    return {
        "mean_average_precision": _number(scores.mean_average_precision),
        "micro_f1": scores.micro_f1,
        "exact_match": scores.exact_match,
        "loss": scores.loss,
        "classes": _reports(scores.classes, names, there, average_precision=map(_number, scores.average_precision)),
    }


def _reports(scores: PerClass, names: Sequence[str], there: NDArray[np.intp], **more: Iterable[Any]) -> tuple[Any, ...]:
    """Reports of the classes `there`; `more` has further values of each of them."""
    further = zip(*more.values(), strict=True)
    return tuple(
        ClassReport(
            name=names[number],
            **{name: column[number].item() for name, column in scores._asdict().items()},
            **dict(zip(more, values, strict=True)),
        )
        for number, values in zip(there, further, strict=True)
    )


def _bins(found: Calibration) -> tuple[CalibrationBin, ...]:
    columns = (found.edges, found.edges[1:], found.count, found.confidence, found.accuracy)
    return tuple(
        CalibrationBin(
            lower=lower, upper=upper, count=count, confidence=_number(confidence), accuracy=_number(accuracy)
        )
        for lower, upper, count, confidence, accuracy in zip(*(column.tolist() for column in columns))
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _about_others(own: int, outputs: int, chosen: bool) -> str:
    """What to say where the model knows more classes than the data has."""
    if own == outputs:
        return ""
    if chosen:
        return f"of the model's {outputs} classes only the {own} of the data were looked at"
    return (
        f"the model tells apart {outputs} classes, the data has {own} of them; calling a picture one of the others "
        "counts as a mistake"
    )
