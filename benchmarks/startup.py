"""What starting costs, and whether memory grows with the number of images."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.photographs import jpegs
from benchmarks.processes import SAMPLE_SECONDS, Finished, nexus_command, run_nexus
from benchmarks.report import Report, Settings, Table
from nexus.engines.timing import compare

SIZE, SIDE = (320, 240), 112

METHOD = (
    "Times are those of whole processes, started in turn, their files in the system's cache. Memory is the highest "
    f"sum, sampled every {1e3 * SAMPLE_SECONDS:.0f} ms, of the resident memory of `nexus index` and its decoding "
    f"processes, on different JPEG files of {SIZE[0]}x{SIZE[1]}, the model's input at {SIDE} so that 20,000 take "
    "minutes; pages that they share are counted in each."
)


def run(settings: Settings) -> Report:
    """Measure both."""
    counts, pairs = ((8, 24), 2) if settings.quick else ((1_000, 20_000), 15)
    tables = [_starts(pairs), _memory(settings.data, counts)]
    return Report("startup", "Starting, and memory", tables, METHOD)


def _starts(pairs: int) -> Table:
    """Time bare Python, Python that imports nexus, and the command's help."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import nexus'": [sys.executable, "-c", "import nexus"],
        "nexus --help": [*nexus_command(), "--help"],
    }
    timing = compare(
        {name: lambda command=command: _call(command) for name, command in commands.items()},
        "python -c pass",
        pairs=pairs,
        unit="starts",
    )
    bare = timing["python -c pass"].seconds
    rows = [(row.name, 1e3 * row.seconds, 1e3 * (row.seconds - bare), row.pairs) for row in timing.rows]
    return Table("Time to start", {"": "", "ms": ".0f", "ms over bare Python": ".0f", "runs": "d"}, rows)


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _memory(data: Path, counts: Sequence[int]) -> Table:
    """Index the first so many of the same files, and watch: choosing the engine first, then with the chosen one."""
    files = jpegs(data, max(counts), SIZE)
    first = _index(files[: counts[0]], "auto", data)
    engine = first.told["engine"]
    runs = [(f"auto: {engine}", first), *((engine, _index(files[:count], engine, data)) for count in counts)]
    rows = [
        (name, run.told["total"], run.peak / 1e6, run.main / 1e6, run.told["images_per_second"]) for name, run in runs
    ]
    columns = {"engine": "", "images": ",d", "peak MB": ",.0f", "of it the main process MB": ",.0f", "images/s": ",.1f"}
    growth = runs[-1][1].peak / runs[1][1].peak
    note = f"With the same engine {counts[-1] // counts[0]} times as many images take {growth:.2f} times the memory."
    return Table("Memory of `nexus index`", columns, rows, note)


def _index(files: Sequence[Path], engine: str, data: Path) -> Finished:
    with tempfile.TemporaryDirectory(dir=data) as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        for file in files:
            (photos / file.name).hardlink_to(file)
        out = ("--out", f"{folder}/photos.nexus")
        return run_nexus("index", str(photos), *out, "--size", str(SIDE), "--engine", engine)
