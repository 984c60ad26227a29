"""How results are written for people: file names, columns, numbers, times."""

from __future__ import annotations

import textwrap
from collections.abc import Container, Iterable, Iterator, Sequence

__all__ = ["aligned", "cut", "duration", "indented", "printable", "probability", "scaled", "three_digits", "wrapped"]


def printable(name: str) -> str:
    """Return a file name for people: undecodable bytes and control characters (newlines too) are escaped."""
    raw = name.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def aligned(rows: Sequence[Sequence[str]], gap: str = "  ", right: Container[int] = ()) -> list[str]:
    """Return one line per row with the columns aligned to the left, or those in `right` to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        placed = [cell.rjust(w) if n in right else cell.ljust(w) for n, (cell, w) in enumerate(cells)]
        lines.append(gap.join(placed).rstrip())
    return lines


def scaled(count: int) -> str:
    """Return a count with three digits and a unit: 22.1M, 1.14B."""
    return f"{three_digits(count / 1e9)}B" if count >= 999.5e6 else f"{three_digits(count / 1e6)}M"


def three_digits(value: float) -> str:
    """Return a number with three digits, at most two of them after the point: 299, 55.5, 4.09, 0.39."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def duration(seconds: float) -> str:
    """Return a time in the unit that fits, to two digits or to the point: 0.31 s, 80 s, 2.5 min, 48 min, 2.1 h."""
    value, unit = seconds, "s"
    if seconds >= 2 * 3600:
        value, unit = seconds / 3600, "h"
    elif seconds >= 2 * 60:
        value, unit = seconds / 60, "min"
    return f"{value:.2g} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def wrapped(texts: Iterable[str], first: str = "", further: str = "") -> Iterator[str]:
    """Yield lines of at most 100 characters; what has no spaces stays whole."""
    for text in texts:
        yield from textwrap.wrap(
            text, 100, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
        )


def indented(texts: Iterable[str]) -> Iterator[str]:
    """Yield lines that stand below a headline."""
    return wrapped(texts, "  ", "      ")


def probability(score: float) -> str:
    """Return a probability with two places; one too small for them still shows its size: 0.25, 3e-07."""
    return f"{score:.2f}" if score >= 0.005 or score == 0 else f"{score:.0e}"


def cut(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters, which ends in … where there was more."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
