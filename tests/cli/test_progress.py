from __future__ import annotations

import io
import sys

import pytest

from nexus.cli import progress
from nexus.results import ProgressEvent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events() -> list[ProgressEvent]:
    told = [ProgressEvent(stage="embed", done=n, total=100) for n in range(0, 101, 10)]
    return [ProgressEvent(stage="download", done=5_000_000, total=10_000_000, unit="bytes"), *told]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.shown() as show:
        for event in events():
            show(event)
        show(ProgressEvent(stage="embed", done=0, note="engine eager, because"))
    drawn = terminal.getvalue()
    assert "5/10 MB" in drawn
    assert "100/100 images" in drawn
    assert "engine eager, because" in drawn


def test_a_pipe_gets_plain_lines_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 1000, 3))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    with progress.shown() as show:
        for event in events():
            show(event)
        show(ProgressEvent(stage="embed", done=0, note="a note"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "a note"
    assert 1 <= len(lines[:-1]) <= 6
    assert all("images/s" in line and "s left" in line for line in lines[:-1])


def training(done: int, **changes: object) -> ProgressEvent:
    values = {"epoch": "2/3", "loss": 0.5, "lr": 2.5e-5, "images/s": 1240.3, "memory": 2.13e9}
    return ProgressEvent(**{"stage": "train", "done": done, "total": 1000, "values": values, **changes})


WATCHED = "epoch 2/3  loss 0.500  lr 2.50e-05  1,240 images/s  memory 2.1 GB"


@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_shows_what_to_watch_below_the_bar(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    with progress.shown() as show:
        show(training(500))
        show(ProgressEvent(stage="validate", done=10, total=50))
    drawn = terminal.getvalue()
    assert WATCHED in drawn
    assert "500/1000 images" in drawn
    assert "10/50 images" in drawn


def test_a_pipe_gets_what_to_watch_at_the_end_of_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    with progress.shown() as show:
        show(training(0))
        show(training(100))
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"6 min left {WATCHED}")


def test_the_rate_is_that_of_this_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what an interrupted run had done counts, nor what a stage did the time before."""
    with progress.shown() as show:
        for now, done in ((0.0, 500), (20.0, 600), (100.0, 0), (120.0, 40)):
            monkeypatch.setattr(progress.time, "monotonic", lambda now=now: now)
            show(training(done, values={}))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train: 600/1000 images 5.0 images/s 80 s left"
    assert lines[-1] == "train: 40/1000 images 2.0 images/s 8 min left"


def test_a_bar_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.shown() as show:
        for done in (0, 1000, 0, 300):
            show(training(done))
    assert "300/1000 images" in terminal.getvalue()
