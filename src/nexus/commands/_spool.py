"""Vectors on their way to a file: appended to a folder beside it, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus.errors import ConfigError, require
from nexus.results import printable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SUFFIXES", "Spool"]

SUFFIXES = (".npz", ".parquet")
PARQUET_ROWS = 4096


class Spool:
    """Rows of equal shape and their names, kept in ``<out>.part/`` until `finish` writes `out` in one go.

    Args:
        out: the file to be, ``.npz`` or ``.parquet``.
        header: what made the rows; rows of another header are thrown away.

    Attributes:
        done: names that are already there -> what identified their content.

    Raises:
        ConfigError: the suffix is neither.
        MissingDependencyError: Parquet is asked for and pyarrow is not installed.
    """

    def __init__(self, out: str | Path, header: Mapping[str, Any]) -> None:
        self.out, self.header = Path(out), dict(header)
        if self.out.suffix not in SUFFIXES:
            raise ConfigError(f"out = {str(out)!r}: the suffix must be one of {', '.join(SUFFIXES)}")
        if self.out.suffix == ".parquet":
            require("pyarrow", extra="parquet")
        self.folder = self.out.with_name(f"{self.out.name}.part")
        self.shape: tuple[int, ...] | None = None
        self.done: dict[str, Any] = {}
        self._resume()
        self._rows = (self.folder / "rows.f32").open("ab")
        self._names = (self.folder / "names.jsonl").open("a", encoding="utf-8")

    def add(self, names: Sequence[str], marks: Sequence[Any], rows: np.ndarray) -> None:
        """Append rows (n, ...), their names and what identifies their content. Rows first: a name promises a row."""
        if self.shape is None:
            self.shape = rows.shape[1:]
            (self.folder / "header.json").write_text(json.dumps({"header": self.header, "shape": self.shape}))
        self._rows.write(rows.astype("<f4").tobytes())
        self._rows.flush()
        os.fsync(self._rows.fileno())
        for name, mark in zip(names, marks, strict=True):
            self._names.write(json.dumps([name, mark]) + "\n")  # ASCII, so that undecodable names survive
            self.done[name] = mark
        self._names.flush()

    def forget(self) -> None:
        """Throw away everything gathered so far."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Leave what was gathered for the next run."""
        self._rows.close()
        self._names.close()

    def finish(self, order: Sequence[str]) -> tuple[int, tuple[int, ...]]:
        """Write the file with the rows of `order` (names without a row are left out), and remove the folder.

        Returns:
            The number of rows and the shape of one.
        """
        import numpy as np

        self.close()
        shape, place = self.shape or (0,), {name: row for row, name in enumerate(self.done)}
        names = [name for name in order if name in place]
        rows = _map(self.folder / "rows.f32", (len(place), *shape))
        picked = rows[[place[name] for name in names]] if names != list(place) else rows
        write = _write_npz if self.out.suffix == ".npz" else _write_parquet
        aside = self.folder / f"whole{self.out.suffix}"
        write(aside, names, np.asarray(picked), self.header)
        os.replace(aside, self.out)
        shutil.rmtree(self.folder)
        return len(names), shape

    def _resume(self) -> None:
        header = _read(self.folder / "header.json")
        if header is None or header["header"] != self.header:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            return
        self.shape = tuple(header["shape"])
        size = 4
        for side in self.shape:
            size *= side
        rows = self.folder / "rows.f32"
        entries = list(_complete_lines(self.folder / "names.jsonl"))[: rows.stat().st_size // size]
        self.done = dict(entries)
        os.truncate(rows, size * len(entries))
        (self.folder / "names.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def _complete_lines(path: Path) -> Iterator[list[Any]]:
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        yield json.loads(line)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _map(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    return np.memmap(path, "<f4", "r", shape=shape) if 0 not in shape else np.zeros(shape, np.float32)


def _write_npz(path: Path, names: Sequence[str], rows: np.ndarray, header: Mapping[str, Any]) -> None:
    import numpy as np

    np.savez(path, vectors=rows, sources=np.array(names, dtype=np.str_), header=np.array(json.dumps(header)))


def _write_parquet(path: Path, names: Sequence[str], rows: np.ndarray, header: Mapping[str, Any]) -> None:
    """Columns: `source` for people, `path` raw bytes, `vector`; the header is in the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    width = rows[0].size if len(rows) else 0
    schema = pa.schema(
        [("source", pa.string()), ("path", pa.binary()), ("vector", pa.list_(pa.float32(), width))],
        metadata={"nexus": json.dumps({**header, "shape": list(rows.shape[1:])})},
    )
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(names), PARQUET_ROWS):
            part, block = names[start : start + PARQUET_ROWS], rows[start : start + PARQUET_ROWS]
            columns = [
                pa.array([printable(name) for name in part]),
                pa.array([os.fsencode(name) for name in part], pa.binary()),
                pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), width),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
