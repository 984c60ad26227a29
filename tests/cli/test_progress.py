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
