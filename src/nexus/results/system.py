"""What is installed, and the demo of it."""

from __future__ import annotations

from nexus.results.base import Name, Result
from nexus.results.text import aligned, printable

__all__ = ["Check", "DemoResult", "DemoStep", "DoctorResult"]


class Check(Result):
    """One thing that `nexus.doctor` looked at.

    Attributes:
        name: what was looked at.
        ok: False where something is missing or wrong.
        detail: what was found.
        remedy: the line that mends it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


class DoctorResult(Result):
    """What is installed, what would run, and what is missing."""

    checks: tuple[Check, ...]

    def lines(self) -> list[str]:
        """One line per check, and the remedy under it."""
        rows = aligned([("ok" if check.ok else "--", check.name, check.detail) for check in self.checks])
        said = []
        for check, row in zip(self.checks, rows, strict=True):
            said += [row] if check.remedy is None else [row, f"      {check.remedy}"]
        return said


class DemoStep(Result):
    """One step of the demo: its name, what it did, and how long it took."""

    name: str
    said: str
    seconds: float

    def lines(self) -> list[str]:
        """One line."""
        return [f"{self.name + ':':15}{self.said} [{self.seconds:.1f} s]"]


class DemoResult(Result):
    """What the demo did, and the contact sheet that it ended with."""

    steps: tuple[DemoStep, ...]
    sheet: Name

    def lines(self) -> list[str]:
        """Where the picture is; the steps have been said as they happened."""
        return [f"look at {printable(self.sheet)}"]
