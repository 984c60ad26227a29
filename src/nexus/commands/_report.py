"""What is written at the end of ``nexus train``: how good the kept model is, where it fails, and what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import nexus
from nexus._files import write_file
from nexus.commands.evaluate import write_report
from nexus.results import EvaluateResult, Skipped, TrainResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nexus.datasets.splits import Splits
    from nexus.training.loggers import Logger
    from nexus.training.run_folder import RunFolder

__all__ = ["report"]


def report(
    folder: RunFolder, splits: Splits, options: Mapping[str, Any], *, loggers: Sequence[Logger] = (), **known: Any
) -> TrainResult:
    """Measure the model that a run has kept, draw what there is to see, and write its card.

    Args:
        folder: of the run, which holds the model.
        splits: its data.
        options: values of `RunOptions`.
        loggers: are shown the pictures, and closed.
        known: what else the result says: `mode`, `model`, `best_epoch`, `seconds`, `warnings`.

    Raises:
        NexusError: the model cannot be run.
    """
    scores = None if splits.val is None else _measure(folder, splits, options)
    _draw_curves(folder)
    result = TrainResult(
        folder=str(folder.path),
        classes=splits.train.classes,
        images=len(splits.train),
        evaluation=scores,
        files=("README.md", *sorted(path.name for path in folder.path.glob("*.png"))),
        skipped=(*splits.skipped, *(Skipped(**line) for line in folder.skipped())),
        **known,
    )
    write_file(folder.path / "README.md", _card(result, folder, splits).encode())
    _show(folder, loggers)
    return result


def _measure(folder: RunFolder, splits: Splits, options: Mapping[str, Any]) -> EvaluateResult:
    """Score the kept model as any other verb would run it."""
    from nexus.engines.predictor import Predictor
    from nexus.evaluation import evaluate_classifier

    assert splits.val is not None
    wanted = {name: options[name] for name in ("engine", "device", "workers")}
    with Predictor(folder.path, **wanted) as predictor:
        scores = evaluate_classifier(predictor, splits.val, progress=options["progress"])
    return write_report(scores, splits.val, folder.path)


def _draw_curves(folder: RunFolder) -> None:
    from nexus.visualization import draw_curves

    records = folder.records()
    if any(record["kind"] == "step" for record in records):
        draw_curves(records, title=folder.path.name).save(folder.path / "curves.png")


def _show(folder: RunFolder, loggers: Sequence[Logger]) -> None:
    from PIL import Image

    for logger in loggers:
        for path in sorted(folder.path.glob("*.png")):
            with Image.open(path) as picture:
                logger.picture(0, path.stem, picture)
        logger.close()


def _card(result: TrainResult, folder: RunFolder, splits: Splits) -> str:
    from nexus.engines.timing import LIBRARIES, versions
    from nexus.training.card import RunFacts, model_card

    scores = result.evaluation
    return model_card(
        RunFacts(
            name=folder.path.name,
            mode=result.mode,  # type: ignore[arg-type]
            base=result.model,
            data=splits.train.origin,
            classes=splits.train.classes,
            counts=splits.train.counts().tolist(),
            validated=len(splits.val or ()),
            metrics={} if scores is None else _metrics(scores),
            config=(folder.description or {})["config"],
            confusion=None if scores is None else _confusion(scores, splits.train.classes),
            warnings=result.warnings,
            versions={"nexus-vision": nexus.__version__, **versions(LIBRARIES)},
            files=result.files,
        )
    )


def _metrics(scores: EvaluateResult) -> dict[str, float]:
    """The figures of the card, those that there are."""
    found = {
        "top1": scores.top1,
        "top5": scores.top5,
        "map": scores.mean_average_precision,
        "f1": scores.macro_f1,
        "loss": scores.loss,
        "ece": scores.calibration_error,
    }
    return {name: value for name, value in found.items() if value is not None}


def _confusion(scores: EvaluateResult, classes: Sequence[str]) -> NDArray[np.int64] | None:
    """(K, K) counts over all classes, of what was counted over those that occur."""
    import numpy as np

    if scores.confusion is None:
        return None
    places = [classes.index(one.name) for one in scores.classes]
    whole = np.zeros((len(classes), len(classes)), np.int64)
    whole[np.ix_(places, places)] = scores.confusion
    return whole
