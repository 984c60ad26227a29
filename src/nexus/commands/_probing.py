"""``nexus train --mode probe``: a head on frozen features, chosen among many that are trained side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus.commands._predictor import open_predictor
from nexus.commands._training import describe_data
from nexus.errors import ImageError, require
from nexus.results import DryRun, TrainResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nexus.datasets.labelled import LabelledImages
    from nexus.datasets.splits import Splits
    from nexus.engines.predictor import Predictor
    from nexus.evaluation.feature_cache import FeatureCache
    from nexus.evaluation.probe_sweep import ProbeSweep, SweepConfig
    from nexus.training.run_folder import RunFolder

__all__ = ["ProbeRequest"]

MEASURED = 32
"""Pictures that a dry run embeds."""

RENAMED = {"lr": "learning_rates"}
"""What the verb calls settings of `SweepConfig`."""


@dataclass(frozen=True)
class ProbeRequest:
    """A probe, as it was asked for, with its data found.

    Attributes:
        splits: what to learn from, and what to choose the head by and to measure on.
        values: settings of `nexus.evaluation.SweepConfig`, and `lr`.
        out: folder of the run.
        shots: numbers of pictures a class to try, too.
        options: values of `RunOptions`.
    """

    splits: Splits
    values: Mapping[str, Any]
    out: Path
    shots: tuple[int, ...]
    options: Mapping[str, Any]

    def run(self) -> TrainResult:
        """Compute the features that are not known yet, train the heads, and keep the best one with its model.

        Raises:
            NexusError: the model cannot be had, or the data cannot be learnt from.
        """
        from nexus.commands._report import report
        from nexus.evaluation import FeatureCache, sweep_probes
        from nexus.training.run_folder import RunFolder

        began, progress = time.monotonic(), self.options["progress"]
        require("matplotlib", "train")  # before the work, not after it
        config, predictor = self.config(), open_predictor(self.options)
        folder = RunFolder.open(self.out, self.described(config, predictor))
        cache = FeatureCache(predictor)
        rows, targets = self._features(cache, self.splits.train, folder)
        validation = None if self.splits.val is None else self._features(cache, self.splits.val, folder)
        sweep = sweep_probes(
            rows, targets, validation=validation, num_classes=len(self.splits.train.classes), config=config,
            progress=progress,
        )  # fmt: skip
        folder.rewind()
        for row in sweep.rows:
            folder.log({"kind": "probe", "chosen": row == sweep.best, **row.to_dict()})
        self._keep(predictor, sweep, folder.path)
        few_shot = self._few_shot(rows, targets, *validation) if self.shots and validation else ()
        known: dict[str, Any] = {"model": predictor.name, "seconds": time.monotonic() - began, "few_shot": few_shot}
        return report(folder, self.splits, self.options, mode="probe", **known)

    def estimate(self) -> DryRun:
        """Measure how fast features are made, and keep nothing but these."""
        from nexus.training.failures import memory_in_use

        config, predictor = self.config(), open_predictor(self.options)
        data, val = self.splits.train, self.splits.val
        began = time.monotonic()
        predictor.embed(data.sources[:MEASURED])
        seconds = (time.monotonic() - began) / min(MEASURED, len(data))
        parameters = sum(parameter.numel() for parameter in predictor.model.parameters())
        return DryRun(
            mode="probe",
            model=predictor.name,
            config=config.to_dict(),
            classes=data.classes,
            images=len(data),
            validated=len(val or ()),
            parameters=parameters,
            trainable=0,
            precision=predictor.engine_name,
            steps_per_epoch=0,
            seconds_per_epoch=seconds * (len(data) + len(val or ())),
            memory=memory_in_use(predictor.device),
            warnings=(),
        )

    def config(self) -> SweepConfig:
        """The settings of the sweep.

        Raises:
            ConfigError: an unknown setting, or one that only training with gradients through the model has.
        """
        from nexus.evaluation.probe_sweep import SweepConfig

        values = {RENAMED.get(key, key): value for key, value in self.values.items()}
        if isinstance(values.get("learning_rates"), int | float):
            values["learning_rates"] = (values["learning_rates"],)
        if isinstance(head := values.pop("head", None), Mapping):
            values["hidden"] = head.get("hidden", ())
        return SweepConfig.parse(values)

    def described(self, config: SweepConfig, predictor: Predictor) -> dict[str, Any]:
        """What decides the result, as the run's folder keeps it."""
        return {
            "mode": "probe",
            "model": predictor.name,
            "weights": predictor.digest(),
            "preprocess": predictor.preprocess.to_dict(),
            "config": config.to_dict(),
            "data": describe_data(self.splits),
        }

    def _features(
        self, cache: FeatureCache, data: LabelledImages, folder: RunFolder
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Features and labels of the pictures that can be read."""
        features = cache.features(data, progress=self.options["progress"])
        if features.skipped and self.options["strict"]:
            raise ImageError(features.skipped[0].source, features.skipped[0].reason)
        folder.skip(features.skipped)
        return features.rows, data.targets[features.kept]

    def _few_shot(self, *features_and_labels: NDArray[Any]) -> tuple[str, ...]:
        """What fewer pictures would give, as lines."""
        from nexus.evaluation import few_shot_curve

        curve = few_shot_curve(*features_and_labels, shots=self.shots, progress=self.options["progress"])
        return tuple(curve.lines())

    def _keep(self, predictor: Predictor, sweep: ProbeSweep, folder: Path) -> None:
        model = predictor.model
        model.head, model.labels, model.variant = sweep.head, self.splits.train.classes, None
        model.preprocess = predictor.preprocess
        model.save_pretrained(folder)
