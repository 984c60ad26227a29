"""What training costs as the number of pictures grows: time and memory of `nexus train`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.photographs import jpegs
from benchmarks.processes import SAMPLE_SECONDS, Finished, run_nexus
from benchmarks.report import Report, Settings, Table

SIZE, CLASSES = (64, 48), 8


@dataclass(frozen=True)
class Job:
    """A way to train, and what it is called."""

    name: str
    arguments: tuple[str, ...]


MODEL = ("--model", "efficientnet_lite0", "--size", "64", "--mirror")
JOBS = (
    Job("probe, features made", ("--mode", "probe", *MODEL)),
    Job("probe, features known", ("--mode", "probe", *MODEL)),
    Job("from scratch, one epoch", ("--mode", "scratch", "--model", "lenet5.cifar10", "--epochs", "1")),
)

METHOD = (
    f"`nexus train` as a command, from its start to its end, on different JPEG files of {SIZE[0]}x{SIZE[1]} in "
    f"{CLASSES} classes; a tenth is measured on. Probe: the linear layer of an EfficientNet-Lite0 at 64 pixels, whose "
    "features are made (but for the tenth that the smaller folder had, too) and kept on the disk, then once more with "
    "these. From scratch: a LeNet-5, which is nearly nothing, so that what surrounds the network is what is measured. "
    f"Memory is the highest sum, sampled every {1e3 * SAMPLE_SECONDS:.0f} ms, of the resident memory of the command "
    "and its decoding processes; pages that they share are counted in each, and so are those of the features, which "
    "are read from files. Private is what the main process has apart from files, at its own highest."
)


def run(settings: Settings) -> Report:
    """Measure all jobs at all sizes."""
    counts = (96, 192) if settings.quick else (1_000, 10_000, 100_000)
    files = jpegs(settings.data, max(counts), SIZE)
    with tempfile.TemporaryDirectory(dir=settings.data) as scratch:
        folders = [_folder(Path(scratch, f"{count}"), files[:count]) for count in counts]
        cache = Path(scratch, "cache")  # the user's may know the features already
        run_nexus("embed", str(files[0]), *MODEL, cache=cache)  # fetches the weights
        tables = [
            _table(job, counts, [_train(job, folder, Path(scratch, f"run-{number}"), cache) for folder in folders])
            for number, job in enumerate(JOBS)
        ]
    return Report("growth", "Training on more pictures", tables, METHOD)


def _folder(folder: Path, files: Sequence[Path]) -> Path:
    """Lay out labelled pictures."""
    for number in range(CLASSES):
        (folder / f"{number}").mkdir(parents=True)
    for number, file in enumerate(files):
        (folder / f"{number % CLASSES}" / file.name).hardlink_to(file)
    return folder


def _train(job: Job, pictures: Path, runs: Path, cache: Path) -> Finished:
    return run_nexus("train", str(pictures), *job.arguments, "--out", str(runs / pictures.name), cache=cache)


def _table(job: Job, counts: Sequence[int], done: Sequence[Finished]) -> Table:
    rows = [
        (count, one.seconds, 1e3 * one.seconds / count, one.peak / 1e6, one.main / 1e6, one.private / 1e6)
        for count, one in zip(counts, done, strict=True)
    ]
    columns = {
        "pictures": ",d",
        "seconds": ",.1f",
        "ms a picture": ".2f",
        "peak MB": ",.0f",
        "of it the main process MB": ",.0f",
        "private MB": ",.0f",
    }
    grown = done[-1].private / done[0].private
    note = f"{counts[-1] // counts[0]} times as many pictures take {grown:.2f} times the private memory."
    return Table(job.name[0].upper() + job.name[1:], columns, rows, note)
