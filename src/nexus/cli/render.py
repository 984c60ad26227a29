"""Results as people read them: tables on a terminal, plain lines in a pipe, JSON on request. Standard output only."""

from __future__ import annotations

import sys
from typing import Any

from nexus.results import Result, Skipped, printable

__all__ = ["show"]

MOST_SKIPPED = 20
"""How many unreadable inputs are named on standard error; ``--json`` names all."""


def show(result: Result, *, as_json: bool) -> None:
    """Print a result, and name on standard error what was skipped."""
    if as_json:
        print(result.to_json())
    else:
        for line in result.lines():
            print(line)
    _name_skipped(getattr(result, "skipped", ()))


def _name_skipped(skipped: Any) -> None:
    entries: list[Skipped] = list(skipped)
    if not entries:
        return
    print(f"skipped {len(entries)}:", file=sys.stderr)
    for entry in entries[:MOST_SKIPPED]:
        print(f"  {printable(entry.source)}: {entry.reason}", file=sys.stderr)
    if len(entries) > MOST_SKIPPED:
        print(f"  and {len(entries) - MOST_SKIPPED} more (--json names them all)", file=sys.stderr)
