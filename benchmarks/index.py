"""From a folder of photographs to an index, the whole way: beside rivals, beside the bare engine, and how equal."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nexus
from benchmarks import rivals
from benchmarks.photographs import QUALITY, jpegs
from benchmarks.report import Report, Settings, Table
from nexus._system import usable_cores
from nexus.engines.base import Job
from nexus.engines.batching import batch_size_for
from nexus.engines.catalogue import build, resolve_device
from nexus.engines.predictor import Predictor, default_workers
from nexus.engines.timing import compare
from nexus.models.loading import load_model
from nexus.retrieval.collection import Collection
from nexus.transforms.decode import Decoder

MODEL = "dinov2_vits14"
SIZE = (1920, 1280)

Work = Callable[[Sequence[Path]], Any]


@dataclass(frozen=True)
class Sizes:
    """How much is measured: images of the whole job, images of one repeat, and how many repeats."""

    images: int
    repeat: int
    pairs: int


FULL, QUICK = Sizes(1000, 200, 5), Sizes(8, 4, 1)


def run(settings: Settings) -> Report:
    """Measure all of it."""
    sizes = QUICK if settings.quick else FULL
    files = jpegs(settings.data, sizes.images, SIZE)
    torch.set_num_threads(usable_cores())
    others = rivals.available()
    model = load_model(MODEL)
    with tempfile.TemporaryDirectory() as scratch, Predictor(model) as predictor:
        index = _settle(files, Path(scratch), predictor)
        tables = [
            _agreement(files, index, predictor),
            *(_remembered(name, rival, files[: sizes.repeat], predictor, sizes) for name, rival in others.items()),
            *(_first_time(name, rival, files) for name, rival in others.items()),
            _share_of_engine(files[: sizes.repeat], predictor, sizes),
        ]
    return Report("index", "Photographs to an index", tables, _method(files))


def _method(files: Sequence[Path]) -> str:
    kilobytes = np.mean([file.stat().st_size for file in files]) / 1e3
    return (
        f"{len(files):,} JPEG files of {SIZE[0]}x{SIZE[1]} (quality {QUALITY}, {kilobytes:.0f} kB on average; made "
        f"from the shipped photographs) become an index of {MODEL} at 224. Every run reads and decodes the files, runs "
        "the model and builds the index; all models are loaded before, and the files are in the system's cache. What "
        "is compared runs in one process, one after the other, again and again; a ratio is the median of such pairs. "
        f"Rivals run eager fp32 with PyTorch's threads on all {usable_cores()} cores."
    )


def _settle(files: Sequence[Path], folder: Path, predictor: Predictor) -> Path:
    """Index all files until a job tries no further engine, and return the last index.

    A job spends a twentieth of its time on trying engines, which may not be enough for all of them.
    """
    job = 0
    while True:
        tried, out = len(predictor.choice().trials), folder / f"{job}.nexus"
        nexus.index(files, out=str(out), model=predictor)
        if len(predictor.choice().trials) == tried:
            return out
        job += 1


def _agreement(files: Sequence[Path], out: Path, predictor: Predictor) -> Table:
    """Hold the vectors in the index against those of full decoding and eager fp32."""
    collection = Collection.open(out)
    positions = [collection.position(file) for file in files]
    with Predictor(predictor.model, engine="eager", preprocess=predictor.preprocess.replace(decode="exact")) as exact:
        reference = exact.embed(files).vectors
    vectors = collection.take(positions)
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    cosine = (vectors * reference).sum(1) / norms
    row = (predictor.engine_name, predictor.preprocess.decode, len(files), cosine.min(), cosine.mean())
    return Table(
        "Cosine of the indexed vectors with full decoding and eager fp32",
        {"engine": "", "decode": "", "images": ",d", "lowest": ".6f", "mean": ".6f"},
        [[value.item() if isinstance(value, np.generic) else value for value in row]],
        "Decoding, precision and engine are counted together.",
    )


def _remembered(name: str, rival: Work, files: Sequence[Path], predictor: Predictor, sizes: Sizes) -> Table:
    """Compare on part of the files, often, with the engine that an earlier job chose."""
    ours = f"nexus ({predictor.engine_name})"
    timing = compare(
        {name: lambda: rival(files), ours: lambda: _index(files, predictor)},
        name,
        pairs=sizes.pairs,
        units=len(files),
    )
    return Table.timed(f"Beside {name}; engine remembered, {len(files):,} images a run", timing)


def _first_time(name: str, rival: Work, files: Sequence[Path]) -> Table:
    """Compare on all files, ours with nothing remembered: choosing the engine is part of the time."""
    model = load_model(MODEL)

    def first_time() -> None:
        with _empty_cache(), Predictor(model) as predictor:
            _index(files, predictor)

    timing = compare(
        {name: lambda: rival(files), "nexus, choosing its engine": first_time},
        name,
        pairs=1,
        warmup=0,
        units=len(files),
    )
    note = "The first job ever on a machine: engines are tried, checked and compared while it goes on."
    return Table.timed(f"Beside {name}; first time, {len(files):,} images", timing, note)


def _share_of_engine(files: Sequence[Path], predictor: Predictor, sizes: Sizes) -> Table:
    """Compare the whole way with the engine alone, and with decoding alone."""
    with Decoder(predictor.preprocess) as decoder:
        pixels = np.stack([decoded.pixels for decoded in decoder.stream(files) if decoded.pixels is not None])
    device, outputs, spec = resolve_device("auto"), ("embeddings",), predictor.preprocess
    engine = build(predictor.engine_name, predictor.model, outputs, device, pixels[:2], spec=spec)
    size = batch_size_for(Job(predictor.model, outputs, device, pixels[:2], spec, usable_cores()))
    bare = f"{engine.name} alone, pixels ready in memory, batches of {size}"
    workers = default_workers(device)
    with Decoder(spec, workers=workers) as decoder:
        timing = compare(
            {
                bare: lambda: [engine(pixels[start : start + size]) for start in range(0, len(pixels), size)],
                "nexus, files to index": lambda: _index(files, predictor),
                f"decoding alone, {workers} of {usable_cores()} cores": lambda: list(decoder.stream(files)),
            },
            bare,
            pairs=sizes.pairs,
            units=len(files),
        )
    alone, ours, decoding = (row.per_second for row in timing.rows)
    both = 1 / (1 / alone + 1 / decoding)
    note = (
        f"On a CPU decoding and the model share the cores: the one after the other, both at full speed, would make "
        f"{both:.1f} images/s, {both / alone:.2f} of the bare engine. Nexus reaches {ours / both:.2f} of that."
    )
    return Table.timed("Beside the bare engine", timing, note)


def _index(files: Sequence[Path], predictor: Predictor) -> None:
    with tempfile.TemporaryDirectory() as folder:
        nexus.index(files, out=f"{folder}/photos.nexus", model=predictor)


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Let nothing be remembered from before."""
    before = os.environ.get("NEXUS_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEXUS_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["NEXUS_CACHE"]
            if before is not None:
                os.environ["NEXUS_CACHE"] = before
