"""From what a user asks of ``nexus train`` to a run: data, model, trainer, report."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nexus.commands._predictor import load_source, model_name
from nexus.errors import ConfigError, require
from nexus.results import DryRun, Progress, ProgressEvent, TrainResult

if TYPE_CHECKING:
    import torch

    from nexus.datasets.splits import Splits
    from nexus.models.base import NexusModule
    from nexus.objectives import Objective
    from nexus.training.config import TrainConfig
    from nexus.training.run_folder import RunFolder
    from nexus.training.trainer import State, Trainer

__all__ = ["TrainingRequest", "default_folder", "describe_data", "read_data", "with_unlabelled"]

HELD_OUT = 0.1
"""Share of each class that is measured on where the data brings no validation pictures."""

MEASURED_STEPS = 10


@dataclass(frozen=True)
class TrainingRequest:
    """A run with the trainer, as it was asked for, with its data found.

    Attributes:
        mode: whether the weights are trained ones or random.
        splits: what to learn from, and what to measure on.
        config: the resolved settings.
        out: folder of the run.
        parallel: how several processes share the work.
        track: names of further loggers; None: those that are installed.
        options: values of `RunOptions`.
    """

    mode: Literal["finetune", "scratch"]
    splits: Splits
    config: TrainConfig
    out: Path
    parallel: Literal["none", "ddp", "fsdp"]
    track: Sequence[str] | None
    options: Mapping[str, Any]

    def run(self) -> TrainResult:
        """Train, then measure the best model and draw what came of it.

        Raises:
            NexusError: the run cannot begin, or cannot go on.
        """
        from nexus.commands._report import report
        from nexus.distributed import launch
        from nexus.engines import resolve_device
        from nexus.training.loggers import build_loggers
        from nexus.training.run_folder import RunFolder

        began, data = time.monotonic(), self.splits.train
        require("matplotlib", "train")  # before the work, not after it
        with launch.process_group(resolve_device(self.options["device"])) as device:
            folder, first = RunFolder(self.out), launch.is_main()
            trainer = self.trainer(folder, device)
            if first:
                RunFolder.open(self.out, self.described(trainer.config))
            launch.barrier()
            warnings = self.warn(trainer.model, aloud=first)
            if first:
                trainer.loggers = build_loggers(self.track, folder.path, trainer.config.to_dict())
            state = fit(trainer)
        known: dict[str, Any] = {"mode": self.mode, "model": self.base, "best_epoch": state.best_epoch}
        known |= {"warnings": tuple(warnings), "seconds": time.monotonic() - began}
        if not first:
            return TrainResult(folder=str(self.out), classes=data.classes, images=len(data), **known)
        return report(folder, self.splits, self.options, loggers=trainer.loggers, **known)

    def estimate(self) -> DryRun:
        """Measure a few steps, and keep nothing of them."""
        from nexus.engines import resolve_device
        from nexus.training.run_folder import RunFolder

        with tempfile.TemporaryDirectory() as folder:
            trainer = self.trainer(RunFolder(folder), resolve_device(self.options["device"]))
            seconds, memory = trainer.measure(MEASURED_STEPS)
        parameters = list(trainer.model.parameters())
        return DryRun(
            mode=self.mode,
            model=self.base,
            config=trainer.config.to_dict(),
            classes=self.splits.train.classes,
            images=len(self.splits.train),
            validated=len(self.splits.val or ()),
            parameters=sum(parameter.numel() for parameter in parameters),
            trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
            precision=trainer.precision.name,
            steps_per_epoch=trainer.loader.steps,
            seconds_per_epoch=seconds * trainer.loader.steps,
            memory=memory,
            warnings=tuple(self.warn(trainer.model)),
        )

    def trainer(self, folder: RunFolder, device: torch.device) -> Trainer:
        """Build the model and all that trains it.

        Raises:
            NexusError: the model cannot be had, or cannot be trained so.
        """
        from nexus.training.trainer import Trainer

        model = self.model()
        return Trainer(
            model,
            self.objective(),
            self.config,
            self.splits.train,
            self.splits.val,
            folder,
            device=device,
            parallel=self.parallel,
            workers=self.options["workers"],
            strict=self.options["strict"],
            progress=self.options["progress"],
        )

    def model(self) -> NexusModule:
        """Load or build the model, with a head for the classes."""
        from nexus.training.build import fresh_model, prepare

        if self.mode == "finetune":
            model = load_source(self.options)
        elif self.options["model"] is None:
            raise ConfigError("say model= to train from random weights: a variant's name (`nexus models`), or a module")
        else:
            model = fresh_model(self.options["model"], self.config.model, self.config.seed)
        return prepare(model, self.splits.train.classes, self.config, size=self.options["size"])

    def objective(self) -> Objective:
        """What is minimised: the labels' loss, or with a teacher's answers in it.

        Raises:
            ConfigError: there are pictures without a label, and no teacher; or with one, several classes per picture.
        """
        from nexus.objectives import Distillation, Supervised

        data, c = self.splits.train, self.config
        unlabelled = 0 if data.multi_label else int((data.targets < 0).sum())
        if unlabelled and (c.teacher is None or c.mix is not None):
            raise ConfigError(
                f"{unlabelled} pictures have no label: name a teacher (--set teacher=MODEL) that labels them, and "
                "leave out mix, or train on the others alone"
            )
        if c.teacher is None:
            return Supervised(c.loss, len(data.classes), multi_label=data.multi_label)
        if data.multi_label:
            raise ConfigError(f"teacher = {c.teacher}: pictures of several classes cannot be distilled; leave it out")
        return Distillation(load_source({**self.options, "model": c.teacher}), c.distill, c.loss, len(data.classes))

    @property
    def base(self) -> str:
        """What to call the model that the run began with."""
        return model_name(self.options["model"])

    def warn(self, model: NexusModule, *, aloud: bool = True) -> list[str]:
        """Return what a person should know before the first step, and say it."""
        from nexus.training.preflight import warnings_before

        found = warnings_before(self.mode, model, self.config, self.splits.train)
        if aloud and (progress := self.options["progress"]) is not None:
            for warning in found:
                progress(ProgressEvent(stage="train", done=0, note=f"warning: {warning}"))
        return found

    def described(self, config: TrainConfig) -> dict[str, Any]:
        """What decides the numbers of the run, as its folder keeps it."""
        return {
            "mode": self.mode,
            "model": self.base,
            "size": self.options["size"],
            "config": config.to_dict(),
            "data": describe_data(self.splits),
        }


def fit(trainer: Trainer) -> State:
    """Train; where that fails, what the loggers were told is delivered all the same."""
    try:
        return trainer.fit()
    except BaseException:
        for logger in trainer.loggers:
            logger.close()
        raise


def read_data(source: Any, val: str | float | None, seed: int, progress: Progress | None, **choices: Any) -> Splits:
    """Find the pictures to learn from and to measure on.

    Args:
        source: see `nexus.datasets.read_splits`.
        val: pictures to measure on, or a share of the source; None: the source's own, else a tenth of each class.
        seed: of what is held out.
        progress: told of what is odd about the data.
        choices: `test`, `classes`, `image` and `label` of `nexus.datasets.read_splits`.

    Raises:
        InputError: the data cannot be trained on.
    """
    from nexus.datasets.splits import check_classes, hold_out, read_splits

    if isinstance(source, list) and len(source) == 1:  # as the command line gives it
        source = source[0]
    if isinstance(val, str):
        with contextlib.suppress(ValueError):
            val = float(val)
    splits = read_splits(source, val=val, seed=seed, **choices)
    if splits.val is None and val is None:
        train, held = hold_out(splits.train, HELD_OUT, seed)
        splits = replace(splits, train=train, val=held)
    for doubt in check_classes(splits):
        if progress is not None:
            progress(ProgressEvent(stage="train", done=0, note=f"warning: {doubt}"))
    return splits


def with_unlabelled(splits: Splits, source: str, mode: str) -> Splits:
    """Return the data with further pictures to learn from, which have no label.

    Raises:
        ConfigError: a probe, which has no teacher to label them.
        InputError: there are none, or a picture of the data may show several classes.
    """
    from nexus.datasets.reading import read_unlabelled

    if mode == "probe":
        raise ConfigError(f"unlabelled = {source}: a probe learns from labels alone; take finetune with a teacher")
    others = read_unlabelled(source, classes=splits.train.classes)
    return replace(splits, train=splits.train.joined(others))


def describe_data(splits: Splits) -> dict[str, Any]:
    """What is kept of the data: names and numbers of classes, and a digest of all labels in their order."""
    described: dict[str, Any] = {"origin": splits.train.origin, "classes": list(splits.train.classes)}
    for name, part in (("train", splits.train), ("val", splits.val)):
        if part is not None:
            described[name] = {
                "images": len(part),
                "counts": part.counts().tolist(),
                "labels": hashlib.sha256(part.targets.tobytes()).hexdigest()[:16],
            }
    return described


def default_folder(out: str | None, model: Any, mode: str) -> Path:
    """Where a run goes that was not told where."""
    return Path(out).expanduser() if out else Path("runs") / f"{model_name(model).replace('/', '-')}-{mode}"
