"""What verbs return: frozen pydantic models. They are the JSON of the command line and the schemas of the service."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer

__all__ = ["Array", "Name", "Progress", "ProgressEvent", "Result", "Skipped", "printable"]


def printable(name: str) -> str:
    """Return a file name for people: undecodable bytes and control characters (newlines too) are escaped."""
    raw = name.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _name_to_json(name: str) -> str | dict[str, str]:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raw = name.encode("utf-8", "surrogateescape")
        return {"name": printable(name), "base64": base64.b64encode(raw).decode()}
    return name


Name = Annotated[str, PlainSerializer(_name_to_json, when_used="json")]
"""A file name as Python holds it (`os.fsdecode`). In JSON an undecodable one is ``{"name": escaped, "base64": bytes}``."""

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


class ProgressEvent(Result):
    """How far a long job is.

    Attributes:
        stage: what is being done, e.g. ``"embed"`` or ``"download dinov2_vits14"``.
        done: units finished.
        total: units in all, or None where unknown.
        unit: what is counted: ``"images"``, ``"bytes"``.
        note: a line worth keeping, e.g. which engine was taken and why.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "images"
    note: str = ""


Progress = Callable[[ProgressEvent], None]
"""Called by long jobs as often as they like; whoever renders it decides how often to draw."""
