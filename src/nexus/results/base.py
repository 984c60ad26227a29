"""What all results have in common: immutable, JSON for programs, lines for people, a table for notebooks."""

from __future__ import annotations

import base64
import html
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

from nexus.results.text import printable

__all__ = ["Array", "Name", "Result", "Shown", "Skipped"]


def _name_to_json(name: str) -> str | dict[str, str]:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raw = name.encode("utf-8", "surrogateescape")
        return {"name": printable(name), "base64": base64.b64encode(raw).decode()}
    return name


Name = Annotated[str, PlainSerializer(_name_to_json, when_used="json")]
"""A file name as Python holds it (`os.fsdecode`). Undecodable, it is ``{"name": escaped, "base64": bytes}`` in JSON."""

Array = Annotated[Any, PlainSerializer(lambda array: array.tolist(), when_used="json")]
"""A NumPy array; nested lists in JSON."""


class Result(BaseModel):
    """Base of every result. Immutable; ``to_json()`` is what ``--json`` prints."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """Return one line of JSON."""
        return self.model_dump_json()

    def lines(self) -> list[str]:
        """Return what the command line prints for people."""
        return [f"{key}: {_short(value)}" for key, value in self.to_dict().items()]

    def _repr_html_(self) -> str:
        """Show as a table in notebooks."""
        rows = (
            f"<tr><th style='text-align:left'>{html.escape(key)}</th><td>{html.escape(_short(value))}</td></tr>"
            for key, value in self.to_dict().items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{''.join(rows)}</table>"


def _short(value: Any, limit: int = 300) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text)} characters)"


class Skipped(Result):
    """One input that could not be used, and why."""

    source: Name
    reason: str


class Shown(Result):
    """Base of results that can be drawn.

    Attributes:
        sheet, page: the contact sheet (PNG) and the HTML page, where they were asked for.
        skipped: inputs that could not be read, and why.
    """

    sheet: Name | None = None
    page: Name | None = None
    skipped: tuple[Skipped, ...] = ()

    def written(self) -> list[str]:
        """One line per file that was drawn."""
        return [f"wrote {printable(path)}" for path in (self.sheet, self.page) if path]
