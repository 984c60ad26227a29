"""What starting costs, and whether memory grows with the number of images."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.photographs import jpegs
from benchmarks.report import Report, Settings, Table
from nexus.engines.timing import compare
from nexus.errors import ConfigError

SIZE, SIDE = (320, 240), 112
SAMPLE_SECONDS = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

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
        "nexus --help": [*_nexus(), "--help"],
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


def _nexus() -> list[str]:
    """Return the command as a user runs it: the script beside this interpreter."""
    script = shutil.which("nexus", path=Path(sys.executable).parent)
    return [script] if script else [sys.executable, "-m", "nexus"]


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _memory(data: Path, counts: Sequence[int]) -> Table:
    """Index the first so many of the same files, and watch: choosing the engine first, then with the chosen one."""
    files = jpegs(data, max(counts), SIZE)
    first = _index(files[: counts[0]], "auto", data)
    runs = [first, *(_index(files[:count], first.engine, data) for count in counts)]
    rows = [
        (f"auto: {run.engine}" if run is first else run.engine, run.images, run.peak / 1e6, run.main / 1e6, run.rate)
        for run in runs
    ]
    columns = {"engine": "", "images": ",d", "peak MB": ",.0f", "of it the main process MB": ",.0f", "images/s": ",.1f"}
    growth = runs[-1].peak / runs[1].peak
    note = f"With the same engine {counts[-1] // counts[0]} times as many images take {growth:.2f} times the memory."
    return Table("Memory of `nexus index`", columns, rows, note)


@dataclass(frozen=True)
class Run:
    """One run of `nexus index`: bytes at the peak, of the process tree and of the main process in it."""

    engine: str
    images: int
    peak: int
    main: int
    rate: float


def _index(files: Sequence[Path], engine: str, data: Path) -> Run:
    with tempfile.TemporaryDirectory(dir=data) as folder:
        photos = Path(folder, "photos")
        photos.mkdir()
        for file in files:
            (photos / file.name).hardlink_to(file)
        command = [*_nexus(), "index", str(photos), "--out", f"{folder}/photos.nexus"]
        command += ["--size", str(SIDE), "--engine", engine, "--json"]
        with Path(folder, "result.json").open("w+b") as result, Path(folder, "log.txt").open("w+b") as log:
            process = subprocess.Popen(command, stdout=result, stderr=log)
            peak, main = _watch(process)
            for file in (result, log):
                file.seek(0)
            if process.returncode:
                raise RuntimeError(f"nexus index failed: {log.read().decode(errors='replace')}")
            told = json.load(result)
    return Run(told["engine"], told["total"], peak, main, told["images_per_second"])


def _watch(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    peak = (0, 0)
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(SAMPLE_SECONDS)
    return peak


def tree_memory(pid: int) -> tuple[int, int]:
    """Return the resident bytes of a process with all its descendants, and of itself alone; Linux only.

    Raises:
        ConfigError: there is no ``/proc``.
    """
    if not Path("/proc/self/stat").exists():
        raise ConfigError("memory is measured through /proc, which this system does not have; run it on Linux")
    children, resident = defaultdict[int, list[int]](list), dict[int, int]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state parent ... rss ...": the name may hold spaces and brackets.
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children[int(fields[1])].append(int(stat.parent.name))
        resident[int(stat.parent.name)] = PAGE * int(fields[21])
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += resident.get(one, 0)
        waiting += children[one]
    return total, resident.get(pid, 0)
