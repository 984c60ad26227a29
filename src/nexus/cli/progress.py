"""Progress on standard error: a bar with rate and time left on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from nexus.results import Progress, ProgressEvent
from nexus.results.text import duration

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
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bars = Bars(*columns, console=console)
    with Live(bars, console=console, transient=True) as live:
        tasks: dict[str, TaskID] = {}
        starts = _Starts()

        def draw(event: ProgressEvent) -> None:
            if event.note:
                console.print(event.note, markup=False, highlight=False)
                return
            start, began = starts.of(event)
            if event.stage not in tasks:
                tasks[event.stage] = bars.add_task(event.stage, completed=event.done, count="", rate="")
            elif began:
                bars.reset(tasks[event.stage], completed=event.done)
            task, rate = tasks[event.stage], _rate(event, start)
            bars.update(task, completed=event.done, total=event.total, count=_count(event), rate=rate)
            if event.values:  # on a line of their own: beside the bar a narrow terminal would cut them off
                live.update(Group(bars, Text(_values(event), style="dim", no_wrap=True, overflow="ellipsis")))

        yield draw


class _Lines:
    """Plain lines: each note, and each stage now and then and at its end."""

    def __init__(self) -> None:
        self.starts = _Starts()
        self.printed: dict[str, float] = {}

    def __call__(self, event: ProgressEvent) -> None:
        if event.note:
            print(event.note, file=sys.stderr, flush=True)
            return
        start, _ = self.starts.of(event)
        now = time.monotonic()
        if now - self.printed.setdefault(event.stage, now) < PLAIN_SECONDS:
            return
        self.printed[event.stage] = now
        said = (f"{event.stage}:", _count(event), _rate(event, start), _left(event, start), _values(event))
        print(" ".join(filter(None, said)), file=sys.stderr, flush=True)


class _Start(NamedTuple):
    """When a stage began, and how far it was then: a run that goes on does not begin at nothing."""

    time: float
    done: int


class _Starts:
    """The starts of all stages. One whose count falls has begun again, as validation does after every epoch."""

    def __init__(self) -> None:
        self.starts: dict[str, _Start] = {}
        self.done: dict[str, int] = {}

    def of(self, event: ProgressEvent) -> tuple[_Start, bool]:
        """Return the start of the event's stage, and whether it is this event."""
        began = event.done < self.done.get(event.stage, event.done + 1)
        self.done[event.stage] = event.done
        if began:
            self.starts[event.stage] = _Start(time.monotonic(), event.done)
        return self.starts[event.stage], began


def _values(event: ProgressEvent) -> str:
    return "  ".join(_value(name, value) for name, value in event.values.items())


def _value(name: str, value: float | str) -> str:
    if isinstance(value, str):
        said = value
    elif name == "memory":
        said = f"{value / 1e9:.1f} GB"
    else:
        said = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}"
    return f"{said} {name}" if "/" in name else f"{name} {said}"


def _rate(event: ProgressEvent, start: _Start) -> str:
    seconds, done = time.monotonic() - start.time, event.done - start.done
    if seconds < 0.5 or not done:
        return ""
    per_second = done / seconds
    return f"{per_second / 1e6:.1f} MB/s" if event.unit == "bytes" else f"{per_second:.1f} {event.unit}/s"


def _count(event: ProgressEvent) -> str:
    scale, unit = (1e6, "MB") if event.unit == "bytes" else (1, event.unit)
    total = "" if event.total is None else f"/{event.total / scale:.0f}"
    return f"{event.done / scale:.0f}{total} {unit}"


def _left(event: ProgressEvent, start: _Start) -> str:
    done = event.done - start.done
    if not done or not event.total:
        return ""
    seconds = (time.monotonic() - start.time) / done * (event.total - event.done)
    return f"{duration(seconds)} left"
