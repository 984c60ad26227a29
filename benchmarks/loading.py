"""Batches for training, from files to normalised tensors: beside torchvision's ImageFolder and a DataLoader."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.photographs import QUALITY, jpegs
from benchmarks.report import Report, Settings, Table
from nexus._system import keep_freed_memory, usable_cores
from nexus.datasets import TrainLoader, read_labelled
from nexus.engines.timing import compare
from nexus.transforms import AugmentConfig, PreprocessSpec
from nexus.transforms.image import Limits
from nexus.transforms.preprocess import IMAGENET_MEAN, IMAGENET_STD, geometry, normalise_batch
from nexus.transforms.worker import answer

SIDE, RESIZE, BATCH, WORKERS, VIEWS = 224, 256, 64, 2, 300
SPEC = PreprocessSpec(resize=RESIZE, crop=(SIDE, SIDE), interpolation="bilinear")
RIVAL = f"torchvision, ImageFolder + DataLoader of {WORKERS} workers"
OURS = f"nexus, TrainLoader of {WORKERS} workers"


@dataclass(frozen=True)
class Sizes:
    """How much is measured: (width, height) and number of the files, repeats, and entries of the listings."""

    files: tuple[tuple[tuple[int, int], int], ...]
    pairs: int
    entries: tuple[int, ...]


FULL = Sizes((((500, 375), 1500), ((1920, 1280), 400)), 5, (1_000, 10_000, 100_000))
QUICK = Sizes((((160, 120), 8),), 1, (8, 24))


def run(settings: Settings) -> Report:
    """Measure all of it."""
    sizes = QUICK if settings.quick else FULL
    torch.set_num_threads(usable_cores())
    keep_freed_memory()
    with tempfile.TemporaryDirectory(dir=settings.data) as scratch:
        tables = []
        for number, (size, count) in enumerate(sizes.files):
            folder = _folder(Path(scratch, str(number)), jpegs(settings.data, count, size), count)
            if _has_torchvision():
                tables += [_speed(folder, size, count, sizes.pairs), _pixels(folder, size, count)]
            else:
                tables.append(_alone(folder, size, count, sizes.pairs))
        if sys.platform == "linux":
            tables.append(_memory(Path(scratch), jpegs(settings.data, 8, sizes.files[0][0]), sizes.entries))
    return Report("loading", "Batches for training", tables, METHOD)


METHOD = (
    f"JPEG files (quality {QUALITY}; made from the shipped photographs; 500x375 is a usual size in ImageNet, 1920x1280 "
    f"that of a photograph) become float32 batches of {BATCH} at {SIDE}, normalised and contiguous, by a random "
    "resized crop (bilinear) and a flip. A run is one epoch in a new order; worker processes are alive before, and the "
    "files are in the system's cache. Both run in one process, in turn; a ratio is the median of such pairs. nexus "
    'decodes a JPEG no larger than its crop needs (`decode="scaled"`, its default), which is most of the difference at '
    "1920x1280, and hands over bytes, which are normalised in the timed loop. The process keeps the memory that it "
    "frees, as nexus's `Trainer` makes it, and so do torchvision's workers, which are its forks."
)


def _folder(folder: Path, files: Sequence[Path], count: int) -> Path:
    """Lay out `count` entries in two classes, as links to the files, again and again."""
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        (folder / ("cat", "dog")[number % 2] / f"{number:06}.jpg").hardlink_to(files[number % len(files)])
    return folder


def _has_torchvision() -> bool:
    with suppress(ImportError, RuntimeError):  # one that does not fit torch breaks at its import
        import torchvision

        return bool(torchvision.__version__)
    return False


def _speed(folder: Path, size: tuple[int, int], count: int, pairs: int) -> Table:
    with _ours(folder) as ours:
        timing = compare(
            {RIVAL: _Torchvision(folder), OURS: ours},
            RIVAL,
            pairs=pairs,
            units=count,
            agreement=lambda theirs, own: float(theirs == own == count),
        )
    complete = "as many images" if timing[OURS].agreement == 1 else "NOT as many images"
    most = usable_cores() / _views_alone(sorted(folder.rglob("*.jpg"))[:VIEWS])
    note = (
        f"Both gave {complete}. If the views were all that had to be made (a file read, decoded, cropped, resized by "
        f"Pillow: one core alone, times {usable_cores()}), it would be {most:,.0f} images/s, "
        f"{most / timing[RIVAL].per_second:.2f} times as fast."
    )
    return Table.timed(f"{size[0]}x{size[1]}, {count:,} images an epoch", timing, note)


def _views_alone(files: Sequence[Path]) -> float:
    """Return the seconds that one core needs for the view of one picture: what a decoding process does for it."""
    work = geometry(SPEC) | {"augment": AugmentConfig().to_dict(), "hashes": False}
    seconds = []
    for repeat in range(3):
        start = time.perf_counter()
        for seed, file in enumerate(files, start=repeat * len(files)):
            answer(os.fspath(file), Limits(), **work, seed=seed)
        seconds.append(time.perf_counter() - start)
    return median(seconds) / len(files)


def _alone(folder: Path, size: tuple[int, int], count: int, pairs: int) -> Table:
    with _ours(folder) as ours:
        timing = compare({OURS: ours}, OURS, pairs=pairs, units=count)
    return Table.timed(f"{size[0]}x{size[1]}, {count:,} images an epoch; torchvision is not installed", timing)


@contextmanager
def _ours(folder: Path) -> Iterator[Any]:
    """Give a function that goes through one more epoch and returns the number of images."""
    data = read_labelled(folder)
    with TrainLoader(data, SPEC, batch_size=BATCH, augment=AugmentConfig(), workers=WORKERS) as loader:
        epochs = iter(range(sys.maxsize))
        yield lambda: sum(
            len(normalise_batch(samples.images, SPEC)) for step in loader.epoch(next(epochs)) for samples in step
        )


class _Torchvision:
    """The loader of torchvision's own recipe for classification."""

    def __init__(self, folder: Path) -> None:
        from torchvision import datasets, transforms

        transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(SIDE),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )
        dataset = datasets.ImageFolder(str(folder), transform)
        self.loader = torch.utils.data.DataLoader(
            dataset, batch_size=BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True
        )

    def __call__(self) -> int:
        return sum(len(images) for images, _ in self.loader)


def _pixels(folder: Path, size: tuple[int, int], count: int) -> Table:
    """Hold the evaluation pixels against those of torchvision's transforms."""
    from torchvision import datasets, transforms

    transform = transforms.Compose([transforms.Resize(RESIZE), transforms.CenterCrop(SIDE), np.asarray])
    reference = datasets.ImageFolder(str(folder), transform)
    count, rows = min(count, 64), []
    for decode in ("exact", "scaled"):
        data = read_labelled(folder).subset(range(count))
        spec = SPEC.replace(decode=decode)
        with TrainLoader(data, spec, batch_size=count, shuffle=False, workers=WORKERS) as loader:
            ((samples,),) = loader.epoch(0)
        theirs = np.stack([reference[index][0] for index in range(count)]).astype(np.int16)
        difference = np.abs(samples.images.numpy() - theirs)
        rows.append((decode, count, float(difference.mean()), int(difference.max())))
    columns = {"decode": "", "images": ",d", "mean difference": ".3f", "largest": "d"}
    title = f"{size[0]}x{size[1]}, evaluation pixels beside torchvision's Resize and CenterCrop"
    return Table(title, columns, rows, "Steps of 255.")


FIRST_BATCH = """
import sys
{load}
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""Not `getrusage`: what a process inherits of its parent's peak would count."""

LOADS = {
    OURS: f"""
from nexus.datasets import TrainLoader, read_labelled
from nexus.transforms import AugmentConfig, PreprocessSpec
data = read_labelled(sys.argv[1])
with TrainLoader(data, PreprocessSpec(), batch_size={BATCH}, augment=AugmentConfig(), workers={WORKERS}) as loader:
    next(loader.epoch(0))
""",
    RIVAL: f"""
import torch
from torchvision import datasets, transforms
dataset = datasets.ImageFolder(sys.argv[1], transforms.Compose([
    transforms.RandomResizedCrop({SIDE}), transforms.RandomHorizontalFlip(), transforms.ToTensor()]))
next(iter(torch.utils.data.DataLoader(dataset, batch_size={BATCH}, shuffle=True, num_workers={WORKERS})))
""",
}


def _memory(scratch: Path, files: Sequence[Path], entries: Sequence[int]) -> Table:
    """Measure the peak memory of listing a folder, drawing an order, and loading the first batch."""
    rows = []
    names = [OURS, RIVAL] if _has_torchvision() else [OURS]
    for count in entries:
        folder = _folder(scratch / f"{count}-entries", files, count)
        rows += [(name, count, _peak(FIRST_BATCH.format(load=LOADS[name]), folder) / 1e6) for name in names]
    growth = {name: [row[2] for row in rows if row[0] == name] for name in names}
    grown = " and ".join(f"{name.partition(',')[0]} by {peaks[-1] - peaks[0]:.0f} MB" for name, peaks in growth.items())
    columns = {"": "", "entries": ",d", "peak MB": ",.0f"}
    note = f"From {entries[0]:,} to {entries[-1]:,} entries: {grown}. Of the main process; files are linked many times."
    return Table("Peak memory until the first batch", columns, rows, note)


def _peak(script: str, folder: Path) -> int:
    """Return the bytes at most of a process that runs a script."""
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024
