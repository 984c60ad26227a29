"""Where a run can be watched from elsewhere: TensorBoard, MLflow, Weights & Biases.

The run's own record is its ``metrics.jsonl``; these are told the same numbers. TensorBoard writes files and is used
where it is installed; the others are used only when they are asked for by name.
"""

from __future__ import annotations

import importlib.util
import os
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nexus._files import write_file
from nexus.errors import ConfigError, NexusError, TrainingError, did_you_mean, require

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Logger", "MLflowLogger", "TensorBoardLogger", "WandbLogger", "build_loggers"]


class Logger(Protocol):
    """What a run is shown to."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take numbers.

        Args:
            step: optimiser steps done.
            values: by name, as in ``metrics.jsonl``: ``loss``, ``lr``, ``train_loss``, ``val_top1``, ...
        """

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        """Take a picture, e.g. the confusion matrix."""

    def close(self) -> None:
        """Deliver what is still on the way."""


def build_loggers(names: Sequence[str] | None, run_folder: str | Path, config: Mapping[str, Any]) -> list[Logger]:
    """Open loggers. One that fails later is warned of and left out from then on: it never ends a run.

    Args:
        names: ``"tensorboard"``, ``"mlflow"``, ``"wandb"``; ``"none"`` stands for none. None: TensorBoard where it is
            installed, and no other.
        run_folder: folder of the run; its name is what the run is called.
        config: settings of the run, which are shown beside its numbers.

    Raises:
        ConfigError: no logger has that name.
        MissingDependencyError: it is not installed.
        TrainingError: it cannot start, e.g. because nobody is logged in.
    """
    if names is None:
        names = ["tensorboard"] if importlib.util.find_spec("tensorboard") else []
    return [_open(name, Path(run_folder).expanduser(), config) for name in dict.fromkeys(names) if name != "none"]


def _open(name: str, run_folder: Path, config: Mapping[str, Any]) -> Logger:
    if name not in LOGGERS:
        raise ConfigError(
            f"track = {name!r}: no such logger{did_you_mean(name, LOGGERS)}; there are {', '.join(LOGGERS)} and none"
        )
    try:
        return _Guarded(name, LOGGERS[name](run_folder, config))
    except NexusError:
        raise
    except Exception as error:
        raise TrainingError(f"the logger {name} cannot start ({error}); mend that, or train without it") from error


class _Guarded:
    """A logger whose failures are warned of once: hours of training do not depend on somebody's server."""

    def __init__(self, name: str, logger: Logger) -> None:
        self.name, self.logger = name, logger
        self.failed = False

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._try(lambda: self.logger.log(step, values))

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        self._try(lambda: self.logger.picture(step, name, image))

    def close(self) -> None:
        self._try(self.logger.close)

    def _try(self, action: Callable[[], None]) -> None:
        if self.failed:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001  clients of services raise anything
            self.failed = True
            warnings.warn(f"the logger {self.name} failed and is left out from here on ({error})", stacklevel=3)


class TensorBoardLogger:
    """Writes event files to ``<run>/tensorboard``: ``tensorboard --logdir runs`` shows all runs side by side."""

    def __init__(self, run_folder: Path, config: Mapping[str, Any]) -> None:
        tensorboard = require("torch.utils.tensorboard", "train")
        self.writer = tensorboard.SummaryWriter(run_folder / "tensorboard")
        rows = "\n".join(f"| `{key}` | {value} |" for key, value in flat(config).items())
        self.writer.add_text("config", f"| setting | value |\n|---|---|\n{rows}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Logger`."""
        for key, value in values.items():
            self.writer.add_scalar(tag(key), value, step)

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        """See `Logger`."""
        import numpy as np

        self.writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """See `Logger`."""
        self.writer.close()


class MLflowLogger:
    """Keeps a run in MLflow: where ``MLFLOW_TRACKING_URI`` says, in ``MLFLOW_EXPERIMENT_NAME`` or ``nexus``."""

    def __init__(self, run_folder: Path, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self.mlflow = require("mlflow", "mlflow")
        self.client = self.mlflow.MlflowClient()
        self.run = _remembered(run_folder / "mlflow.txt", lambda: self._begin(run_folder.name, config))
        self.client.update_run(self.run, "RUNNING")

    def _begin(self, name: str, config: Mapping[str, Any]) -> str:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "nexus")
        known = self.client.get_experiment_by_name(experiment)
        number = known.experiment_id if known else self.client.create_experiment(experiment)
        run = self.client.create_run(number, run_name=name).info.run_id
        params = [self.mlflow.entities.Param(key, str(value)) for key, value in flat(config).items()]
        self.client.log_batch(run, params=params)
        return str(run)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Logger`."""
        now = int(time.time() * 1000)
        metrics = [self.mlflow.entities.Metric(tag(key), value, now, step) for key, value in values.items()]
        self.client.log_batch(self.run, metrics=metrics)

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        """See `Logger`."""
        self.client.log_image(self.run, image, f"{name}-{step:08d}.png")

    def close(self) -> None:
        """See `Logger`."""
        self.client.set_terminated(self.run)


class WandbLogger:
    """Keeps a run in Weights & Biases; ``WANDB_MODE=offline`` keeps it on the disk, in ``<run>/wandb``."""

    def __init__(self, run_folder: Path, config: Mapping[str, Any]) -> None:
        self.wandb = require("wandb", "wandb")
        self.run = self.wandb.init(
            project=os.environ.get("WANDB_PROJECT", "nexus"),
            name=run_folder.name,
            dir=run_folder,
            id=_remembered(run_folder / "wandb.txt", lambda: uuid.uuid4().hex[:8]),
            resume="allow",
            config=dict(config),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """See `Logger`."""
        self.run.log({tag(key): value for key, value in values.items()}, step=step)

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        """See `Logger`."""
        # Steps only rise there: what comes with an earlier one would be dropped.
        self.run.log({name: self.wandb.Image(image)}, step=max(step, self.run.step))

    def close(self) -> None:
        """See `Logger`."""
        self.run.finish()


LOGGERS: dict[str, Callable[[Path, Mapping[str, Any]], Logger]] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MLflowLogger,
    "wandb": WandbLogger,
}


def tag(key: str) -> str:
    """Return the name of a value in sections: ``val/top1``, ``train/loss`` (of an epoch), ``step/loss``."""
    section, _, name = key.partition("_")
    return f"{section}/{name}" if section in ("train", "val") and name else f"step/{key}"


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as one of dotted keys; None and empty sections are left out."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = value
    return found


def _remembered(file: Path, begin: Callable[[], str]) -> str:
    """Return the identifier that a run has at a service: a run that goes on goes on there, too."""
    if not file.exists():
        identifier = begin()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, identifier.encode())
    return file.read_text(encoding="utf-8")
