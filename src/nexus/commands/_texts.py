"""Texts that a user gives in a file."""

from __future__ import annotations

from pathlib import Path

from nexus.errors import InputError

__all__ = ["lines_of"]


def lines_of(path: str) -> list[str]:
    """Return the lines of a text file that are not blank, without the space around them.

    Raises:
        InputError: the file cannot be read, is not UTF-8 or has no such line.
    """
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a text file with one text per line: {error}") from None
    if not (kept := [line for line in lines if line]):
        raise InputError(f"{path} has no line with text")
    return kept
