"""The one timer. Every speed that nexus states comes from here: alternating pairs, median ratio, spread, agreement."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nexus._system import usable_cores
from nexus.errors import ConfigError, did_you_mean
from nexus.results import Result

__all__ = ["Machine", "TimingRow", "TimingTable", "compare", "machine"]

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "bf16", "i8mm", "sve")
"""Instruction sets that decide how fast a network runs, as Linux names them."""

LIBRARIES = ("numpy", "torch", "onnxruntime", "openvino", "faiss-cpu", "pillow", "transformers", "timm")


class Machine(Result):
    """Where something was measured.

    Attributes:
        cpu: the processor's name.
        cores: those that this process may use (affinity and container limit honoured).
        flags: which of the instruction sets that matter it has; empty where the system does not tell.
        accelerators: names of the GPUs that PyTorch sees.
        system: operating system and Python.
        versions: installed libraries.
    """

    cpu: str
    cores: int
    flags: tuple[str, ...]
    accelerators: tuple[str, ...]
    system: str
    versions: dict[str, str]

    def __str__(self) -> str:
        parts = [f"{self.cpu}, {self.cores} usable cores", " ".join(self.flags), ", ".join(self.accelerators)]
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return "; ".join(part for part in [*parts, self.system, versions] if part)


class TimingRow(Result):
    """One candidate beside the reference.

    Attributes:
        name: the candidate.
        seconds: median time of one call.
        per_second: units per second at that median.
        ratio: how many times as fast as the reference: median over the pairs.
        low, high: first and third quartile of the ratio over the pairs (its extremes below four pairs).
        pairs: how many pairs were run.
        agreement: how equal its result is to the reference's; None where no measure was given.
    """

    name: str
    seconds: float
    per_second: float
    ratio: float
    low: float
    high: float
    pairs: int
    agreement: float | None = None


class TimingTable(Result):
    """What `compare` returns; the first row is the reference."""

    rows: tuple[TimingRow, ...]
    unit: str
    machine: Machine

    def __getitem__(self, name: str) -> TimingRow:
        """Return the row of a candidate."""
        return next(row for row in self.rows if row.name == name)

    def to_markdown(self) -> str:
        """Return the table as GitHub renders it, with the machine below."""
        head = f"| | ms | {self.unit}/s | ratio | spread | agreement |\n|---|---:|---:|---:|---:|---:|\n"
        return head + "".join(_markdown(row) for row in self.rows) + f"\nMeasured on {self.machine}.\n"


def _markdown(row: TimingRow) -> str:
    agreement = "" if row.agreement is None else f"{row.agreement:.6f}"
    spread = f"{row.low:.2f}-{row.high:.2f}"
    return (
        f"| {row.name} | {1e3 * row.seconds:.1f} | {row.per_second:.1f} | {row.ratio:.2f} | {spread} | {agreement} |\n"
    )


def compare(
    candidates: Mapping[str, Callable[[], Any]],
    reference: str,
    *,
    pairs: int = 7,
    warmup: int = 1,
    seconds: float | None = None,
    units: int = 1,
    unit: str = "images",
    agreement: Callable[[Any, Any], float] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TimingTable:
    """Time callables against one of them.

    A machine's speed drifts (other jobs, heat, clock boost), so a candidate is only ever compared with a run of the
    reference right beside it. Each pair gives one ratio, and the median over the pairs is what counts. Which of the two
    goes first alternates, since what ran before leaves its mark on caches, threads and clock.

    Args:
        candidates: name -> callable without arguments that does the whole work and returns its result.
        reference: the name in `candidates` that the others are compared with.
        pairs: pairs per candidate.
        warmup: calls of everything before the first measured one.
        seconds: begin no further pair that would not end within that time (warm-up included); one is always run.
        units: how many images (or what `unit` says) one call works through.
        unit: what is counted.
        agreement: measure of equality of ``(reference's result, candidate's result)``, e.g. the lowest cosine.
        clock: returns seconds.

    Raises:
        ConfigError: `reference` is not among the candidates, or `pairs` is not positive.
    """
    if reference not in candidates:
        raise ConfigError(f"reference = {reference!r}: not among the candidates{did_you_mean(reference, candidates)}")
    if pairs < 1:
        raise ConfigError(f"pairs = {pairs}: must be at least 1")
    others = [name for name in candidates if name != reference]
    deadline = None if seconds is None else clock() + seconds
    results = {name: candidates[name]() for name in candidates for _ in range(warmup)}
    times: dict[str, list[float]] = {name: [] for name in candidates}
    beside: dict[str, list[float]] = {name: [] for name in others}  # the reference's time next to each of a candidate's

    def timed(name: str) -> None:
        start = clock()
        results[name] = candidates[name]()
        times[name].append(clock() - start)

    for turn in range(pairs):
        began = clock()
        for name in others:
            for which in (name, reference) if turn % 2 else (reference, name):
                timed(which)
            beside[name].append(times[reference][-1])
        if not others:
            timed(reference)
        if deadline is not None and 2 * clock() - began > deadline:
            break

    rows = [_row(reference, times[reference], times[reference], units, None)]
    for name in others:
        measured = agreement(results[reference], results[name]) if agreement else None
        rows.append(_row(name, times[name], beside[name], units, measured))
    return TimingTable(rows=tuple(rows), unit=unit, machine=machine())


def _row(name: str, times: list[float], beside: list[float], units: int, agreement: float | None) -> TimingRow:
    ratios = sorted(theirs / ours for theirs, ours in zip(beside, times, strict=True))
    low, high = ratios[0], ratios[-1]
    if len(ratios) >= 4:
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    seconds = statistics.median(times)
    return TimingRow(
        name=name,
        seconds=seconds,
        per_second=units / seconds,
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        pairs=len(ratios),
        agreement=agreement,
    )


def machine() -> Machine:
    """Describe this machine, without importing any of the libraries that it lists."""
    cpu, flags = processor()
    return Machine(
        cpu=cpu,
        cores=usable_cores(),
        flags=flags,
        accelerators=_accelerators(),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        versions=versions(LIBRARIES),
    )


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> tuple[str, tuple[str, ...]]:
    """Return the processor's name and which of `FLAGS` it has (none where the system does not tell)."""
    name, has = platform.processor() or platform.machine(), set[str]()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return name, ()
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            name = value
        elif key in ("flags", "Features"):  # x86 and Arm
            has |= set(value.split())
    return name, tuple(flag for flag in FLAGS if flag in has)


def _accelerators() -> tuple[str, ...]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ()
    return tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
