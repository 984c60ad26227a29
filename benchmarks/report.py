"""What every benchmark returns: tables with numbers, written as Markdown for people and as JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from PIL import Image

import nexus
from nexus.engines.timing import Machine, TimingTable, machine

__all__ = ["Report", "Settings", "Table"]


@dataclass(frozen=True)
class Settings:
    """What a benchmark is told.

    Attributes:
        quick: tiny sizes, to see that everything still runs; its figures mean nothing.
        data: folder that keeps what is made or fetched for benchmarks.
    """

    quick: bool
    data: Path


@dataclass(frozen=True)
class Table:
    """Numbers under headings.

    Attributes:
        title: what was measured.
        columns: heading -> format spec of the numbers below it; an empty one for text.
        rows: one value per column; None where there is none.
        note: how to read it, below the table.
    """

    title: str
    columns: Mapping[str, str]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    @classmethod
    def timed(cls, title: str, timing: TimingTable, note: str = "") -> Self:
        """Show what the timer found; the first row is what the others are compared with."""
        columns = {"": "", f"{timing.unit}/s": ",.1f", "times as fast": ".2f", "quartiles": "", "pairs": "d"}
        rows = [
            (row.name, row.per_second, row.ratio, f"{row.low:.2f} to {row.high:.2f}" if place else None, row.pairs)
            for place, row in enumerate(timing.rows)
        ]
        return cls(title, columns, rows, note)

    def to_markdown(self) -> str:
        """Return the title, the table as GitHub renders it, and the note."""
        head = "| " + " | ".join(self.columns) + " |"
        rule = "|" + "|".join("---:" if spec else "---" for spec in self.columns.values()) + "|"
        body = ["| " + " | ".join(map(_text, row, self.columns.values())) + " |" for row in self.rows]
        return "\n".join([f"### {self.title}", "", head, rule, *body, *(["", self.note] if self.note else [])])

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "note": self.note}


def _text(value: Any, spec: str) -> str:
    return "" if value is None else format(value, spec)


@dataclass(frozen=True)
class Report:
    """The result of one benchmark, and where and when it was measured.

    Attributes:
        name: the benchmark's, and of its files.
        title: what it shows.
        tables: the figures.
        method: how they were measured: what a reader must know to judge or repeat them.
        pictures: file name -> picture, shown below the tables and written beside the report.
        here: the machine.
        load: jobs that ran or waited on the machine, over the minute before; a busy machine measures wrong.
        date: of the start.
    """

    name: str
    title: str
    tables: Sequence[Table]
    method: str
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)
    here: Machine = field(default_factory=machine)
    load: float | None = field(default_factory=lambda: os.getloadavg()[0] if hasattr(os, "getloadavg") else None)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))

    def to_markdown(self, command: str) -> str:
        """Return the whole report."""
        origin = f"`{command}`, nexus {nexus.__version__}, {self.date}. {self.here}."
        shown = [f"![{self.title}]({name})" for name in self.pictures]
        parts = [f"# {self.title}", self.method, *(table.to_markdown() for table in self.tables), *shown, origin]
        return "\n\n".join(parts) + "\n"

    def to_dict(self, command: str) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "name": self.name,
            "title": self.title,
            "command": command,
            "nexus": nexus.__version__,
            "date": self.date,
            "machine": self.here.to_dict(),
            "load": self.load,
            "method": self.method,
            "tables": [table.to_dict() for table in self.tables],
        }

    def write(self, folder: Path, command: str) -> Path:
        """Write ``<name>.md`` and ``<name>.json``; return the first."""
        folder.mkdir(parents=True, exist_ok=True)
        text, data = folder / f"{self.name}.md", folder / f"{self.name}.json"
        for name, picture in self.pictures.items():
            picture.save(folder / name)
        text.write_text(self.to_markdown(command), encoding="utf-8")
        data.write_text(json.dumps(self.to_dict(command), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return text
