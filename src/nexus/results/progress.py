"""How far a long job is, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import Field

from nexus.results.base import Result

__all__ = ["Progress", "ProgressEvent"]


class ProgressEvent(Result):
    """How far a long job is.

    Attributes:
        stage: what is being done, e.g. ``"embed"`` or ``"download dinov2_vits14"``.
        done: units finished.
        total: units in all, or None where unknown.
        unit: what is counted: ``"images"``, ``"bytes"``.
        note: a line worth keeping, e.g. which engine was taken and why.
        values: what to watch meanwhile, by name, in the order to show it in: ``loss``, ``lr``, ``images/s``, ``memory``
            (bytes). Text is shown as it is.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "images"
    note: str = ""
    values: Mapping[str, float | str] = Field(default_factory=dict)


Progress = Callable[[ProgressEvent], None]
"""Called by long jobs as often as they like; whoever renders it decides how often to draw."""
