"""The model card of a run: what the model is, how good, made of what, and what to be careful with.

The front matter is that of the Hugging Face hub (https://huggingface.co/docs/hub/model-cards), which reads licence,
base model, tags and results from it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nexus import registry
from nexus.datasets.readers.parts import dataset_name
from nexus.hub.licenses import restriction
from nexus.results import printable
from nexus.training.loggers import flat
from nexus.visualization.confusion import most_confused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RunFacts", "model_card"]

FEW = 10
"""Training pictures below which a class is named among the limits."""

MOST_CLASSES = 50
"""Classes whose numbers are shown; of more, only how many there are."""

METRICS = {
    "top1": ("accuracy", "top-1 accuracy"),
    "top5": ("accuracy", "top-5 accuracy"),
    "map": ("mean_average_precision", "mean average precision"),
    "f1": ("f1", "macro F1"),
    "loss": ("loss", "loss"),
    "ece": ("expected_calibration_error", "expected calibration error"),
}
"""Name of a result -> what the hub calls that kind of metric, and what people do."""

PICTURES = {
    "curves.png": "Loss, accuracy and learning rate",
    "confusion.png": "What is taken for what",
    "mistakes.png": "The worst mistakes",
    "reliability.png": "How often it is right when it says how sure it is",
}
"""Pictures of a run folder, in the order to show them in."""


@dataclass(frozen=True)
class RunFacts:
    """What a card is written from.

    Attributes:
        name: of the run.
        mode: how it was trained.
        base: name of the variant that it began with; the architecture alone where `mode` is ``"scratch"``.
        data: what the pictures are called; of a path only the last part is told, see `dataset_name`.
        classes: K names, in the order of the logits.
        counts: (K,) training pictures of each.
        validated: pictures that were measured on.
        metrics: results on these by name, see `METRICS`.
        config: settings of the run.
        confusion: (K, K) counts on the validation pictures, rows true; None where a picture may show several classes.
        warnings: what was unusual about the run.
        versions: software -> version.
        files: names of the files in the run folder; pictures among them are shown.
    """

    name: str
    mode: Literal["probe", "finetune", "scratch"]
    base: str
    data: str
    classes: Sequence[str]
    counts: Sequence[int]
    validated: int
    metrics: Mapping[str, float]
    config: Mapping[str, Any]
    confusion: NDArray[np.integer] | None = None
    warnings: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()


def model_card(run: RunFacts) -> str:
    """Return the card as Markdown with YAML front matter. It names no path of this machine."""
    parts = [
        f"---\n{_front_matter(run)}\n---",
        f"# {printable(run.name)}",
        _summary(run),
        *_use(run),
        *_results(run),
        *_training(run),
        *_limits(run),
        *_citation(run),
    ]
    return "\n\n".join(parts) + "\n"


# -- what the hub reads ------------------------------------------------------------------------------------------------


def _front_matter(run: RunFacts) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    data = printable(dataset_name(run.data))
    dataset = data.removeprefix("hf:") if data.startswith("hf:") else None
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=dataset or "imagefolder",
            dataset_name=dataset or data,
            dataset_split="validation",
            metric_type=METRICS[key][0],
            metric_name=METRICS[key][1],
            metric_value=round(float(value), 4),
        )
        for key, value in run.metrics.items()
        if key in METRICS
    ]
    described = ModelCardData(
        **_license(run),
        base_model=_base_repository(run),
        library_name="nexus",
        pipeline_tag="image-classification",
        tags=["nexus", "computer-vision", run.mode, *([] if (family := _family(run)) is None else [family.name])],
        datasets=[dataset] if dataset else None,
        metrics=list(dict.fromkeys(METRICS[key][0] for key in run.metrics if key in METRICS)) or None,
        model_name=run.name,
        eval_results=results or None,
    )
    return described.to_yaml().strip()


ON_THE_HUB = {
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "bsd-2-clause",
    "isc",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
}
"""Licences that the hub has an identifier for, as far as variants of nexus are under them
(https://huggingface.co/docs/hub/repositories-licenses)."""


def _license(run: RunFacts) -> dict[str, Any]:
    """Trained on, weights stay under the licence of their origin; what began with random ones is its author's."""
    stated = None if (variant := _variant(run)) is None or run.mode == "scratch" else variant.license
    if stated is None:
        return {}
    return {"license": stated.lower()} if stated.lower() in ON_THE_HUB else {"license": "other", "license_name": stated}


def _base_repository(run: RunFacts) -> str | None:
    variant = _variant(run)
    if variant is None or run.mode == "scratch":
        return None
    return next((one["repository"] for one in variant.weights if one["kind"] == "huggingface"), None)


def _variant(run: RunFacts) -> registry.Variant | None:
    return registry.variant(run.base) if run.base in registry.list_models() else None


def _family(run: RunFacts) -> registry.Family | None:
    variant = _variant(run)
    return None if variant is None else registry.families()[variant.family]


# -- what people read --------------------------------------------------------------------------------------------------


def _summary(run: RunFacts) -> str:
    base = f"`{_without_folders(run.base)}`"
    pictures = f"{sum(run.counts):,} pictures of {len(run.classes)} classes ({_cell(dataset_name(run.data))})"
    how = {
        "probe": f"a classifier on the features of {base}, trained on {pictures}; {base} itself was not changed",
        "finetune": f"{base}, fine-tuned on {pictures}",
        "scratch": f"an image classifier of the architecture of {base}, trained from random weights on {pictures}",
    }[run.mode]
    return f"This is {how}. It was trained with nexus."


def _use(run: RunFacts) -> list[str]:
    return [
        "## Use it",
        "Say the name of this repository on the hub, or the folder with its files, as the model:",
        f"```sh\npip install nexus-vision\nnexus classify photos/ --model {_shell_name(run.name)}\n```",
        "```python\nimport nexus\n\n"
        f"predictor = nexus.load({run.name!r})\n"
        'for picture in predictor.classify(["photo.jpg"]):\n    print(picture.predictions[0])\n```',
    ]


def _results(run: RunFacts) -> list[str]:
    parts = []
    if run.metrics:
        rows = [(METRICS[key][1], _figure(key, value)) for key, value in run.metrics.items() if key in METRICS]
        parts += ["## Results", f"On {run.validated:,} pictures that it was not trained on:"]
        parts.append(_table(("measure", "value"), rows))
    if run.confusion is not None and (found := most_confused(run.confusion, run.classes, 5)):
        lines = [f"- {_cell(c.true)} taken for {_cell(c.predicted)}: {c.count:,} ({c.share:.0%})" for c in found]
        parts += ["Most frequent mistakes, with their share of the class:", "\n".join(lines)]
    return parts + [f"![{PICTURES[name]}]({name})" for name in PICTURES if name in run.files]


def _training(run: RunFacts) -> list[str]:
    config = "\n".join(f"{key} = {_setting(value)}" for key, value in flat(run.config).items())
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    return [
        "## Training data",
        _classes(run),
        "## Training",
        *([f"Software: {versions}."] if versions else []),
        f"<details><summary>All settings</summary>\n\n```text\n{config}\n```\n\n</details>",
    ]


def _classes(run: RunFacts) -> str:
    if len(run.classes) > MOST_CLASSES:
        counts = sorted(run.counts)
        middle = counts[len(counts) // 2]
        return f"{len(counts)} classes of {counts[0]:,} to {counts[-1]:,} pictures, {middle:,} in the middle."
    heads: tuple[str, ...] = ("class", "pictures")
    rows: list[tuple[str, ...]]
    rows = [(_cell(name), f"{count:,}") for name, count in zip(run.classes, run.counts, strict=True)]
    if run.confusion is not None:
        heads = (*heads, "recognised in validation")
        totals = run.confusion.sum(1)
        right = [f"{n} of {total}" for n, total in zip(np.diag(run.confusion), totals, strict=True)]
        rows = [(*row, said) for row, said in zip(rows, right, strict=True)]
    return _table(heads, rows)


def _limits(run: RunFacts) -> list[str]:
    variant = _variant(run)
    few = [f"{_cell(name)} ({count})" for name, count in zip(run.classes, run.counts, strict=True) if count < FEW]
    limits = [
        "It knows no other classes than those above, and answers with these for pictures of none of them, too.",
        "The results hold for pictures like those it was measured on. Pictures from elsewhere (another camera, place "
        "or season) can fare worse: measure on some of your own with `nexus evaluate`.",
    ]
    if few:
        named = ", ".join(few[:20]) + (f" and {len(few) - 20} more" if len(few) > 20 else "")
        limits.append(f"Fewer than {FEW} pictures were there to learn from of {named}.")
    if run.metrics.get("ece", 0.0) >= 0.05:
        limits.append(
            f"How sure it says it is differs by {run.metrics['ece']:.0%} on average from how often it is right."
        )
    limits += [_sentence(warning) for warning in run.warnings]
    if run.mode != "scratch":
        stated = variant.license if variant else None
        forbids = restriction(stated)
        terms = f"under {stated}" + (f" ({forbids})" if forbids else "") if stated else "under a licence not known here"
        limits.append(f"The weights that it began with are {terms}; that holds for these, too.")
    return ["## Limits", "\n".join(f"- {limit}" for limit in limits)]


def _citation(run: RunFacts) -> list[str]:
    family = _family(run)
    if family is None or not family.citations:
        return []
    papers = "\n\n".join(paper.bibtex() for paper in family.citations)
    return ["## Cite", "The work that this model rests on:", f"```bibtex\n{papers}\n```"]


# -- words -------------------------------------------------------------------------------------------------------------


def _figure(key: str, value: float) -> str:
    return f"{value:.3f}" if key == "loss" else f"{value:.1%}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """Return text that Markdown shows as it is, in a table too."""
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", printable(text))


def _setting(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting, value))}]"
    return _without_folders(value) if isinstance(value, str) else str(value)


def _without_folders(text: str) -> str:
    """Return the last part of a path, which tells less of a machine; other text, and hub names, as they are."""
    windows = PureWindowsPath(text)
    path = windows if windows.drive else PurePosixPath(text)
    told = path.is_absolute() or text.startswith(("~", ".")) or os.path.exists(text)
    return printable(path.name or text) if told else printable(text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _shell_name(name: str) -> str:
    import shlex

    return shlex.quote(name)
