"""Progress on standard error: a bar with rate and time left on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nexus.results import Progress, ProgressEvent

__all__ = ["shown"]

PLAIN_SECONDS = 10.0
"""In a pipe, a line at most this often."""


@contextmanager
def shown() -> Iterator[Progress]:
    """Give a progress callable that draws, and tidy up at the end."""
    if sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    else:
        yield _Lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, tuple[TaskID, float]] = {}

        def draw(event: ProgressEvent) -> None:
            if event.note:
                console.print(event.note, markup=False, highlight=False)
                return
            if event.stage not in tasks:
                tasks[event.stage] = bars.add_task(event.stage, count="", rate=""), time.monotonic()
            task, started = tasks[event.stage]
            bars.update(task, completed=event.done, total=event.total, count=_count(event), rate=_rate(event, started))

        yield draw


class _Lines:
    """Plain lines: each note, and each stage now and then and at its end."""

    def __init__(self) -> None:
        self.started: dict[str, float] = {}
        self.printed: dict[str, float] = {}

    def __call__(self, event: ProgressEvent) -> None:
        if event.note:
            print(event.note, file=sys.stderr, flush=True)
            return
        now = time.monotonic()
        started = self.started.setdefault(event.stage, now)
        if now - self.printed.setdefault(event.stage, now) < PLAIN_SECONDS:
            return
        self.printed[event.stage] = now
        said = f"{event.stage}: {_count(event)} {_rate(event, started)} {_left(event, started)}"
        print(said.rstrip(), file=sys.stderr, flush=True)


def _rate(event: ProgressEvent, started: float) -> str:
    seconds = time.monotonic() - started
    if seconds < 0.5 or not event.done:
        return ""
    per_second = event.done / seconds
    return f"{per_second / 1e6:.1f} MB/s" if event.unit == "bytes" else f"{per_second:.1f} {event.unit}/s"


def _count(event: ProgressEvent) -> str:
    scale, unit = (1e6, "MB") if event.unit == "bytes" else (1, event.unit)
    total = "" if event.total is None else f"/{event.total / scale:.0f}"
    return f"{event.done / scale:.0f}{total} {unit}"


def _left(event: ProgressEvent, started: float) -> str:
    if not event.done or not event.total:
        return ""
    seconds = (time.monotonic() - started) / event.done * (event.total - event.done)
    return f"{seconds:.0f} s left"
