"""``nexus classify``: labels in words, from a few examples, or from a classifier's own head."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._options import DEFAULT_TEXT_MODEL, RunOptions
from nexus.commands._predictor import Skips, embed_all, find, name_of, open_predictor, vectors
from nexus.commands._texts import lines_of
from nexus.commands._verb import verb
from nexus.errors import ConfigError, InputError
from nexus.results import Classification, ClassifyResult, Prediction, Skipped

if TYPE_CHECKING:
    import numpy as np

    from nexus.engines.predictor import Predictor
    from nexus.evaluation import FeatureClassifier, ZeroShotClassifier

__all__ = ["classify"]


@verb
def classify(
    source: Any,
    *,
    labels: str | Sequence[str] | None = None,
    templates: str | Sequence[str] | None = None,
    examples: str | None = None,
    method: Literal["knn", "probe"] = "knn",
    k: Annotated[int, Field(ge=1)] = 20,
    top_k: Annotated[int, Field(ge=1)] = 5,
    sheet: str | None = None,
    page: str | None = None,
    **options: Unpack[RunOptions],
) -> ClassifyResult:
    """Label pictures by words, by a few examples, or with a classifier.

    With `labels`, pictures are compared with these words, by a model that reads text (`nexus models --task zero-shot`).
    With `examples`, a folder that holds one folder of pictures per class, the features of those are what pictures are
    compared with. With neither, `model` must name a classifier, e.g. ``efficientnet_lite0``.

    Args:
        source: pictures, or folders of them.
        labels: what the classes are called, e.g. ``a cat,a dog``, or a text file with one per line.
        templates: a sentence with ``{}`` in the label's place (by default ``a photo of a {}.``), ``none`` for the label
            alone, or a set of sentences: ``simple``, 7 of them, or ``imagenet``, 80.
        examples: a folder with one folder of example pictures per class.
        method: ``knn``, a vote of the nearest examples; ``probe``, a linear layer trained on them.
        k: how many examples vote.
        top_k: how many classes to give for each picture.
        sheet: write a contact sheet of the labels here, as PNG.
        page: write the labels here as an HTML page.

    Returns:
        The most likely classes of each picture, and with examples how well these predict each other.

    Raises:
        ConfigError: neither labels, examples nor a classifier, both of the first two, or labels that cannot be.
        InputError: no picture can be read, fewer than two classes have examples, or the model reads no text.
    """
    skips = Skips(options["strict"])
    if labels is not None and examples is not None:
        raise ConfigError("say labels= or examples=, not both")
    if templates is not None and labels is None:
        raise ConfigError("templates stand around labels; say labels= too")
    if labels is None and examples is None and options["model"] is None:
        raise ConfigError(
            "say labels= (what the classes are called), examples= (a folder with one folder of pictures per class) or "
            "model= (a classifier)"
        )
    if labels is not None and options["model"] is None:
        options = {**options, "model": DEFAULT_TEXT_MODEL}
    predictor = open_predictor(options)
    if labels is not None:
        result = _by_labels(predictor, source, _split(labels), templates, top_k, skips, options)
    elif examples is None:
        result = _by_head(predictor, source, top_k, skips, options)
    else:
        result = _by_examples(predictor, source, examples, method, k, top_k, skips, options)
    result = result.model_copy(update={"sheet": sheet, "page": page, "skipped": tuple(skips)})
    if sheet or page:
        _draw(result)
    return result


def _by_head(predictor: Predictor, source: Any, top_k: int, skips: Skips, options: Mapping[str, Any]) -> ClassifyResult:
    pictures = list(find(source, skips))
    found = predictor.classify(pictures, top_k, progress=options["progress"])
    for one in found:
        if one.reason is not None:
            skips(Skipped(source=one.source, reason=one.reason))
    read = tuple(one for one in found if one.predictions)
    if not read:
        raise skips.nothing("no picture", source)
    classes = predictor.model.labels or ()
    return ClassifyResult(method="classifier", model=predictor.name, classes=classes, accuracy=None, pictures=read)


def _split(labels: str | Sequence[str]) -> list[str]:
    """Labels as a list: those of a file, or what stands between commas."""
    if not isinstance(labels, str):
        return list(labels)
    return lines_of(labels) if os.path.isfile(labels) else labels.split(",")


def _by_labels(
    predictor: Predictor,
    source: Any,
    labels: Sequence[str],
    templates: str | Sequence[str] | None,
    top_k: int,
    skips: Skips,
    options: Mapping[str, Any],
) -> ClassifyResult:
    from nexus.evaluation import ZeroShotClassifier

    classifier = ZeroShotClassifier(predictor, labels, templates, progress=options["progress"])
    labelled = _label(predictor, classifier, source, top_k, skips, options)
    return ClassifyResult(
        method="zero-shot", model=predictor.name, classes=classifier.classes, accuracy=None, pictures=labelled
    )


def _by_examples(
    predictor: Predictor,
    source: Any,
    examples: str,
    method: str,
    k: int,
    top_k: int,
    skips: Skips,
    options: Mapping[str, Any],
) -> ClassifyResult:
    from nexus.evaluation import KNNClassifier, LinearProbe, cross_validate

    labels, known = _read_examples(predictor, examples, skips, options)
    build = (lambda: KNNClassifier(k)) if method == "knn" else LinearProbe
    classifier = build().fit(known, labels)
    labelled = _label(predictor, classifier, source, top_k, skips, options)
    accuracy = cross_validate(build, known, labels)
    return ClassifyResult(
        method=method, model=predictor.name, classes=classifier.classes, accuracy=accuracy, pictures=labelled
    )


def _label(
    predictor: Predictor,
    classifier: FeatureClassifier | ZeroShotClassifier,
    source: Any,
    top_k: int,
    skips: Skips,
    options: Mapping[str, Any],
) -> tuple[Classification, ...]:
    """Ask a classifier on features for every picture."""
    pictures = list(find(source, skips))
    labelled: list[Classification] = []
    for batch, block in vectors(predictor, pictures, "cls", None, total=len(pictures), progress=options["progress"]):
        skips.decoded(batch.skipped)
        if batch.indices:
            names = [name_of(pictures[index], index) for index in batch.indices]
            labelled += _predictions(classifier, names, block, top_k)
    if not labelled:
        raise skips.nothing("no picture", source)
    return tuple(labelled)


def _read_examples(
    predictor: Predictor, examples: str, skips: Skips, options: Mapping[str, Any]
) -> tuple[list[str], np.ndarray]:
    """The label and the vector of every example."""
    if not Path(examples).is_dir():
        raise InputError(f"{examples} is not a folder; examples are a folder with one folder of pictures per class")
    folders = sorted(entry for entry in Path(examples).iterdir() if entry.is_dir())
    named = [(folder.name, picture) for folder in folders for picture in find(str(folder), skips)]
    labels, known = embed_all(predictor, named, "cls", None, skips, options["progress"])
    if len(set(labels)) < 2:
        raise InputError(f"{examples} has examples of {len(set(labels))} classes; two folders with pictures are needed")
    return labels, known


def _predictions(
    classifier: FeatureClassifier | ZeroShotClassifier, names: Sequence[str], block: np.ndarray, top_k: int
) -> list[Classification]:
    labelled = []
    for name, row in zip(names, classifier.probabilities(block), strict=True):
        best = row.argsort(kind="stable")[::-1][:top_k]
        said = tuple(Prediction(label=classifier.classes[n], index=int(n), score=float(row[n])) for n in best)
        labelled.append(Classification(source=name, predictions=said))
    return labelled


def _draw(result: ClassifyResult) -> None:
    from nexus.commands._sheet import counted, draw, row, tile

    groups: dict[str, list[Any]] = {}
    for one in result.pictures:
        best = one.predictions[0]
        groups.setdefault(best.label, []).append(tile(one.source, f"{best.score:.2f}"))
    rows = [row(label, tiles, counted(len(tiles))) for label, tiles in sorted(groups.items())]
    draw(rows, result.sheet, result.page, title=f"labels by {result.model} ({result.method})")
