"""What a training would do, and what came of it."""

from __future__ import annotations

from typing import Any

from nexus.results.base import Name, Result, Skipped
from nexus.results.evaluation import EvaluateResult
from nexus.results.text import duration, printable, scaled

__all__ = ["DryRun", "TrainResult"]


class DryRun(Result):
    """What `nexus.train` would do.

    Attributes:
        mode, model: what would be trained.
        config: the resolved settings.
        classes: names, in the order of the logits.
        images, validated: pictures to learn from and to measure on.
        parameters, trainable: of the model.
        precision: of the forward and backward pass.
        steps_per_epoch: optimiser steps.
        seconds_per_epoch: by the median of ten measured steps.
        memory: highest number of bytes in use during these.
        warnings: what is unusual about it.
    """

    mode: str
    model: str
    config: dict[str, Any]
    classes: tuple[str, ...]
    images: int
    validated: int
    parameters: int
    trainable: int
    precision: str
    steps_per_epoch: int
    seconds_per_epoch: float
    memory: int
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """The settings, then what they would take."""
        frozen = self.parameters - self.trainable
        return [
            *_settings(self.config),
            "",
            f"{self.mode} of {self.model} on {self.images:,} pictures of {len(self.classes)} classes, measured on "
            f"{self.validated:,}",
            f"parameters: {scaled(self.trainable)} trained, {scaled(frozen)} frozen; computed in {self.precision}",
            self._time(),
            f"memory: {self.memory / 2**30:.1f} GiB",
            *(f"warning: {warning}" for warning in self.warnings),
        ]

    def _time(self) -> str:
        once, epochs = duration(self.seconds_per_epoch), self.config["epochs"]
        if not self.steps_per_epoch:
            return f"time: {once} for the features of all pictures, of those that are not known yet"
        in_all = duration(epochs * self.seconds_per_epoch)
        return f"time: {once} an epoch of {self.steps_per_epoch} steps, {in_all} for {epochs}"


def _settings(config: dict[str, Any], prefix: str = "") -> list[str]:
    """Nested settings, one a line, as ``--set`` takes them."""
    lines = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            lines += _settings(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {value}")
    return lines


class TrainResult(Result):
    """What came of `nexus.train`.

    Attributes:
        folder: of the run; every verb takes it as `model`.
        mode: ``"probe"``, ``"finetune"`` or ``"scratch"``.
        model: what the run began with.
        classes: names, in the order of the logits.
        images: pictures that were learnt from.
        best_epoch: after how many epochs the kept model was reached; 0 for a probe.
        seconds: from start to end of this session.
        evaluation: the kept model on the validation pictures; None where there are none.
        few_shot: accuracy with fewer pictures, where it was asked for.
        files: in the folder, to look at.
        warnings: what was unusual about the run.
        skipped: pictures that could not be read, and why.
        published: its address on the hub, where it was sent there.
    """

    folder: Name
    mode: str
    model: str
    classes: tuple[str, ...]
    images: int
    best_epoch: int = 0
    seconds: float
    evaluation: EvaluateResult | None = None
    few_shot: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    published: str | None = None

    def lines(self) -> list[str]:
        """How good it is, and what to do with it."""
        folder = printable(self.folder)
        return [
            f"{self.mode} of {self.model}: {len(self.classes)} classes, {self.images:,} pictures, "
            f"{duration(self.seconds)}",
            *self._measured(),
            *self.few_shot,
            f"wrote {folder}: {', '.join(self.files)}",
            f"use it: nexus classify PICTURES --model {folder}",
            *([f"published: {self.published}"] if self.published else []),
        ]

    def _measured(self) -> list[str]:
        return (
            []
            if self.evaluation is None
            else [f"on {self.evaluation.count:,} others: {line}" for line in self.evaluation.headlines()]
        )
