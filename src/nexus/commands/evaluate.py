"""``nexus evaluate``: how good a model is on labelled pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from nexus._files import write_file
from nexus.commands._options import EngineOptions, TableOptions
from nexus.commands._predictor import Skips, open_predictor
from nexus.commands._verb import verb
from nexus.errors import ConfigError, require
from nexus.results import EvaluateResult

if TYPE_CHECKING:
    from PIL import Image

    from nexus.datasets import LabelledImages

__all__ = ["evaluate", "write_report"]


class EvaluateOptions(EngineOptions, TableOptions, total=False):
    """How the model is run, and how the labels are read."""


@verb
def evaluate(
    model: str | Any,
    data: str | Any,
    *,
    protocol: Literal["head", "knn", "linear"] = "head",
    train: str | Any = None,
    split: Literal["train", "val", "test"] | None = None,
    sizes: Sequence[int] = (),
    flip: bool = False,
    temperature: bool = False,
    among_data: bool = False,
    out: str | None = None,
    **options: Unpack[EvaluateOptions],
) -> EvaluateResult:
    """Say how good a model is on labelled pictures, and where it fails.

    For example ``nexus evaluate runs/flowers more-flowers --out report``. By default the model's own classifier (its
    head) is scored: take a model that you have trained, or one of ``nexus models --task classify``. The protocols
    ``knn`` and ``linear`` are DINOv2's: they score the features of any model, by a vote of the nearest labelled
    pictures, or by linear layers trained on these.

    Args:
        model: what is scored: a name (`nexus models`), a run's or a model's folder, a predictor or a module.
        data: labelled pictures: a folder with one folder per class, a table, and whatever else `nexus train` reads.
        protocol: ``head``, the model's own classifier; ``knn`` or ``linear``, its features.
        train: labelled pictures that knn and linear learn from; by default the part ``train`` of `data`.
        split: which part of `data` is scored; by default ``val``, or else ``test``, or the only one that there is.
        sizes: with ``head``, sides of the input at which each picture is looked at; the probabilities are averaged.
        flip: with ``head``, look at the mirror image of each picture, too, and average.
        temperature: with ``head``, also find the number to divide the logits by so that the confidence is right
            (temperature scaling), and say what that would change.
        among_data: with ``head``, choose among the data's classes only, where the model has more.
        out: write ``report.json``, ``confusion.png``, ``reliability.png`` and ``mistakes.png`` into this folder.

    Returns:
        Accuracy, overall and by class, calibration, what is taken for what, and the worst mistakes.

    Raises:
        ConfigError: an option that the protocol has not, or nothing to learn from.
        InputError: the classes of the model and the data do not fit, or no labelled picture can be read.
        MissingDependencyError: the extra ``train`` is not installed, and `out`, a temperature or several classes per
            picture need it.
    """
    if out is not None:
        require("matplotlib", "train")  # before the work, not after it
    asked: dict[str, Any] = {"sizes": sizes, "flip": flip, "temperature": temperature, "among_data": among_data}
    _refuse(protocol, asked if protocol != "head" else {"train": train})
    if sizes and options["size"]:
        raise ConfigError(f"size = {options['size']}: say it in sizes, too")
    skips = Skips(options["strict"])
    columns = {"image": options.pop("image"), "label": options.pop("label"), "on_skip": skips}
    scored, others = _read(data, split, train, protocol, columns)
    predictor = open_predictor({**options, "model": model})
    if protocol == "head":
        from nexus.evaluation import evaluate_classifier

        result = evaluate_classifier(predictor, scored, **asked, on_skip=skips, progress=options["progress"])
    else:
        from nexus.evaluation import evaluate_knn, evaluate_linear

        score = evaluate_knn if protocol == "knn" else evaluate_linear
        result = score(predictor, scored, others, progress=options["progress"])
        for one in result.skipped:
            skips(one)
    result = result.model_copy(update={"skipped": tuple(skips)})
    return result if out is None else write_report(result, scored, Path(out))


def _refuse(protocol: str, asked: Mapping[str, Any]) -> None:
    for name, value in asked.items():
        if value:
            raise ConfigError(f"{name} = {value}: the protocol {protocol} has no such option; leave it out")


def _read(
    data: Any, split: str | None, train: Any, protocol: str, columns: Mapping[str, Any]
) -> tuple[LabelledImages, Any]:
    """What is scored, and what is learned from."""
    from nexus.datasets.reading import open_parts, read_labelled

    parts = open_parts(data, **columns)
    chosen = split or next((name for name in ("val", "test") if name in parts), None)
    scored = read_labelled(data, split=chosen, **columns)
    if protocol == "head":
        return scored, None
    if train is not None:
        own = open_parts(train, **columns)
        return scored, read_labelled(train, split="train" if "train" in own else None, **columns)
    if chosen in (None, "train") or "train" not in parts:
        raise ConfigError(f"train: the protocol {protocol} learns from other pictures than it scores; say which")
    return scored, parts["train"]()


def write_report(result: EvaluateResult, data: LabelledImages, folder: Path) -> EvaluateResult:
    """Write the report and its pictures.

    Args:
        result: what was found.
        data: what it was found on.
        folder: where to write; made where it is not there.

    Returns:
        The result, which names the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = _drawings(result, data)
    for name, picture in drawn.items():
        picture.save(folder / name, format="PNG")
    result = result.model_copy(update={"files": tuple(str(folder / name) for name in ("report.json", *drawn))})
    write_file(folder / "report.json", result.model_dump_json(indent=1).encode())
    return result


def _drawings(result: EvaluateResult, data: LabelledImages) -> dict[str, Image.Image]:
    from nexus.datasets.readers.parts import dataset_name
    from nexus.visualization.confusion import draw_confusion
    from nexus.visualization.mistakes import Mistake, worst_mistakes
    from nexus.visualization.reliability import draw_reliability

    how = "" if result.protocol == "head" else f" ({result.protocol})"
    title = f"{result.model}{how} on {dataset_name(result.data)}"
    drawn = {}
    if result.confusion is not None:
        names = [one.name for one in result.classes]
        drawn["confusion.png"] = draw_confusion(result.confusion, names, title=title)
        bins = [(one.confidence or 0, one.accuracy or 0, one.count) for one in result.bins]
        drawn["reliability.png"] = draw_reliability(bins, title=title)
    mistakes = [
        Mistake(data.sources[one.index], one.true, one.predicted, one.confidence, one.loss) for one in result.mistakes
    ]
    if mistakes:
        drawn["mistakes.png"] = worst_mistakes(mistakes, title=f"Worst mistakes: {title}").to_image()
    return drawn
