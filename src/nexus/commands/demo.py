"""``nexus demo``: the main job from beginning to end, on the shipped photographs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from nexus.commands._options import RunOptions
from nexus.commands._predictor import open_predictor
from nexus.commands._verb import verb
from nexus.results import DemoResult, DemoStep, Progress, ProgressEvent

if TYPE_CHECKING:
    from nexus.results import ClassifyResult, ClusterResult, DedupeResult, SearchReport

__all__ = ["demo"]

QUERIES = ("kingfisher.jpg", "mountain-gorilla.jpg", "chambord.jpg")
PCA = ("giraffe.jpg", "alpaca.jpg", "calf.jpg", "camels.jpg")
GROUPS = 6
EXAMPLES = 2
"""Photographs per class that are given as examples; the others are to be labelled."""


@verb
def demo(*, out: str = "demo", **options: Unpack[RunOptions]) -> DemoResult:
    """Run the main job on the shipped photographs, weights to contact sheet.

    Args:
        out: folder for the index and the pictures.

    Returns:
        What each step did, and where the contact sheet is.

    Raises:
        WeightsError: the weights cannot be had.
    """
    from nexus.assets import PHOTOS
    from nexus.commands.classify import classify
    from nexus.commands.cluster import cluster
    from nexus.commands.dedupe import dedupe
    from nexus.commands.index import index
    from nexus.commands.search import search
    from nexus.commands.visualize import visualize_pca

    folder, steps = Path(out), _Steps(options["progress"])
    folder.mkdir(parents=True, exist_ok=True)
    collection = str(folder / "photos.nexus")
    with steps("model") as say:
        predictor = open_predictor(options)
        say(f"{predictor.name} is loaded ({predictor.digest()[:12]})")
    run: RunOptions = {"model": predictor, "progress": options["progress"]}
    with steps("index") as say:
        say("; ".join(index(str(PHOTOS), out=collection, **run).lines()))
    with steps("search") as say:
        found = search(collection, [str(PHOTOS / name) for name in QUERIES], k=4, **run)
        best = [(one.query, next(hit for hit in one.hits if hit.path != one.query)) for one in found.results]
        say(", ".join(f"{_stem(query)} -> {_stem(hit.path)} ({hit.cosine:.2f})" for query, hit in best))
    with steps("dedupe") as say:
        twins = dedupe(collection, **run)
        say(f"{len(twins.exact)} exact and {len(twins.near)} near groups")
    with steps("cluster") as say:
        groups = cluster(collection, k=GROUPS, **run)
        sizes = ", ".join(str(len(group.paths)) for group in groups.clusters)
        say(f"{len(groups.clusters)} groups of {sizes} pictures")
    with steps("classify") as say:
        labelled, right = _label(folder, PHOTOS, run, classify)
        say(f"{right} of {len(labelled.pictures)} pictures labelled right from {EXAMPLES} examples per class")
    with steps("visualize") as say:
        say(visualize_pca([str(PHOTOS / name) for name in PCA], out=str(folder / "pca.png"), **run).lines()[0])
    sheet = str(folder / "contact-sheet.png")
    with steps("contact sheet") as say:
        _draw(sheet, found, twins, groups, labelled)
        say(f"wrote {sheet}")
    return DemoResult(steps=tuple(steps.done), sheet=sheet)


class _Steps:
    """Times each step and says what it did as soon as it is done."""

    def __init__(self, progress: Progress | None) -> None:
        self.done: list[DemoStep] = []
        self._progress = progress

    @contextmanager
    def __call__(self, name: str) -> Iterator[Callable[[str], None]]:
        started, said = time.monotonic(), list[str]()
        yield said.append
        step = DemoStep(name=name, said=" ".join(said), seconds=time.monotonic() - started)
        self.done.append(step)
        if self._progress is not None:
            self._progress(ProgressEvent(stage="demo", done=len(self.done), unit="steps", note=step.lines()[0]))


def _stem(path: str) -> str:
    return Path(path).stem


def _label(
    folder: Path, photos: Path, run: RunOptions, classify: Callable[..., ClassifyResult]
) -> tuple[ClassifyResult, int]:
    """Label the photographs of every class from two examples, which are copied into one folder per class."""
    from nexus.retrieval.organize import organize

    truth: dict[str, str] = json.loads((photos / "labels.json").read_text(encoding="utf-8"))
    twins = json.loads((photos / "duplicates.json").read_text(encoding="utf-8"))
    copies = {pair[1] for pair in (*twins["exact"], *twins["near"])}
    examples, rest = list[tuple[str, str]](), list[str]()
    for label in sorted(set(truth.values())):
        members = sorted(name for name, of in truth.items() if of == label and name not in copies)
        examples += [(str(photos / name), label) for name in members[:EXAMPLES]]
        rest += [str(photos / name) for name in members[EXAMPLES:]]
    organize(examples, folder / "examples")
    labelled = classify(rest, examples=str(folder / "examples"), top_k=1, **run)
    right = sum(truth[Path(one.source).name] == one.predictions[0].label for one in labelled.pictures)
    return labelled, right


def _draw(
    sheet: str, found: SearchReport, twins: DedupeResult, groups: ClusterResult, labelled: ClassifyResult
) -> None:
    from nexus.commands._sheet import counted, draw, row, tile

    rows = []
    for result in found.results:
        hits = [tile(hit.path, f"{hit.cosine:.3f}") for hit in result.hits if hit.path != result.query]
        rows.append(row("search", [tile(result.query, badge="query"), *hits]))
    rows += [row("exact duplicates", [tile(path) for path in exact.paths]) for exact in twins.exact]
    rows += [row("near duplicates", [tile(path) for path in near.paths]) for near in twins.near]
    for number, group in enumerate(groups.clusters, 1):
        rows.append(row(f"group {number}", [tile(path) for path in group.paths], counted(len(group.paths))))
    tiles = [
        tile(one.source, f"{one.predictions[0].label} {one.predictions[0].score:.2f}") for one in labelled.pictures
    ]
    rows.append(row(f"labelled from {EXAMPLES} examples per class", tiles))
    draw(rows, sheet, None, title="nexus demo", note="DINOv2 features of the shipped photographs")
