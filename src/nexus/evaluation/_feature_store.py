"""Rows of floats under the hash of what they were made of, in one folder that several processes may use at once.

    rows.f32       little-endian float32, appended to, never rewritten
    meta.sqlite    the truth: which hash is in which row
    lock           held for every look and every addition, for milliseconds

A row counts once `meta.sqlite` names it. So an addition is "append and fsync the rows, then one transaction", and a
crash between the two leaves bytes that nobody reads and the next addition cuts off. What was lost or damaged otherwise
can be made again: such a folder is emptied, not complained about.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from nexus._files import sync_folder

__all__ = ["FeatureStore"]

SCHEMA = (
    "CREATE TABLE about (widths TEXT NOT NULL)",  # JSON: floats of each output, which follow each other in a row
    "CREATE TABLE rows (key BLOB PRIMARY KEY, row INTEGER NOT NULL UNIQUE) WITHOUT ROWID",
)

Widths = tuple[int, ...]


class FeatureStore:
    """The rows of one folder.

    Args:
        folder: made where it is absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index, self._rows = folder / "meta.sqlite", folder / "rows.f32"
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, keys: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float32], Widths]:
        """Return where keys are.

        Returns:
            The row of each key, -1 for one that is not there; all rows (n, D), mapped read-only, which stay what they
            are if the folder is emptied; and the widths that make up D.
        """
        with self._opened() as db:
            db.execute("BEGIN")  # one, or every look would lock and unlock the file
            found = [db.execute("SELECT row FROM rows WHERE key = ?", (key,)).fetchone() for key in keys]
            widths = _widths(db) or (0,)
            shape = (_count(db), sum(widths))
            rows = np.memmap(self._rows, "<f4", "r", shape=shape) if all(shape) else np.zeros(shape, "f4")
            db.execute("COMMIT")
        return np.array([-1 if row is None else row[0] for row in found], dtype=np.int64), rows, widths

    def add(self, keys: Sequence[bytes], rows: NDArray[np.float32], widths: Widths) -> None:
        """Add rows (n, sum of widths); those that are there already, from another process perhaps, stay."""
        with self._opened() as db:
            db.execute("BEGIN IMMEDIATE")
            assert _widths(db) in (None, widths), "one folder, one model"
            count, places = _count(db), dict[bytes, int]()
            for place, key in enumerate(keys):
                if db.execute("SELECT 1 FROM rows WHERE key = ?", (key,)).fetchone() is None:
                    places.setdefault(key, place)
            self._append(count, rows[list(places.values())])
            if _widths(db) is None:
                db.execute("INSERT INTO about VALUES (?)", (json.dumps(widths),))
            db.executemany("INSERT INTO rows VALUES (?, ?)", zip(places, range(count, count + len(places))))
            db.execute("COMMIT")

    def size(self) -> int:
        """Return how many bytes it takes on the disk."""
        return sum(file.stat().st_size for file in (self._index, self._rows) if file.exists())

    def clear(self) -> bool:
        """Throw all rows away, unless another process uses them this very moment; return whether it was done.

        Rows that are mapped stay readable; on Windows, where that cannot be, they are not thrown away.
        """
        with contextlib.suppress(OSError, Timeout), FileLock(self.folder / "lock", timeout=0):
            self._empty()
            return True
        return False

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Be alone with the index, which is emptied first if it, or the rows that it promises, are not there."""
        with FileLock(self.folder / "lock"):
            db = None
            with contextlib.suppress(sqlite3.DatabaseError):
                db = self._connect()
                if not self._whole(db):
                    db.close()
                    db = None
            if db is None:
                self._empty()
                db = self._connect()
            with contextlib.closing(db):
                yield db

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._index, isolation_level=None)
        try:
            db.execute("BEGIN IMMEDIATE")
            if not db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
                for statement in SCHEMA:
                    db.execute(statement)
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _whole(self, db: sqlite3.Connection) -> bool:
        promised = 4 * _count(db) * sum(_widths(db) or ())
        return promised == 0 or (self._rows.exists() and self._rows.stat().st_size >= promised)

    def _append(self, count: int, rows: NDArray[np.float32]) -> None:
        with self._rows.open("ab") as file:
            file.truncate(count * 4 * rows.shape[1])
            file.write(rows.astype("<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())
        if count == 0:
            sync_folder(self.folder)

    def _empty(self) -> None:
        for file in (self._index, self.folder / "meta.sqlite-journal", self._rows):  # the truth goes first
            file.unlink(missing_ok=True)


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT COUNT(*) FROM rows").fetchone()[0])


def _widths(db: sqlite3.Connection) -> Widths | None:
    row: Any = db.execute("SELECT widths FROM about").fetchone()
    return None if row is None else tuple(json.loads(row[0]))
