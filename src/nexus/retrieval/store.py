"""What lies in a ``photos.nexus`` folder, and the one transaction that changes it.

    meta.sqlite        the truth: which picture is in which row of which generation
    vectors-G.f32      rows of little-endian float32, appended to, never rewritten within a generation
    ann-G.faiss        a cache of generation G's approximate index; may be deleted at any time
    writer.lock, .pid  held by the one writer

Rows of the vector file count only up to ``collection.rows``; a row that no image names is a tombstone. So a commit is
"append and fsync the vectors, then one SQLite transaction", and a crash between the two leaves bytes that nobody
reads and the next writer cuts off.

SQLite keeps its rollback journal here rather than a write-ahead log: a WAL needs shared memory, which network drives
do not have, and a writable folder even for readers. The price, readers that wait for the few milliseconds of a
commit, is small because a reader loads its snapshot in one short transaction and then needs the database no more.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from nexus.config import Config
from nexus.errors import CollectionError
from nexus.retrieval.projection import Projection

__all__ = [
    "FORMAT",
    "Identity",
    "State",
    "ann_file",
    "connect",
    "create",
    "load_state",
    "reported",
    "transaction",
    "vector_file",
]

FORMAT = 1
"""Version of the layout, in SQLite's ``user_version``. A folder with a higher one is refused."""

BUSY_SECONDS = 30.0
"""How long a reader or writer waits for the other's few milliseconds."""

SCHEMA = (
    """
CREATE TABLE collection (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    identity TEXT NOT NULL,        -- JSON of Identity
    root BLOB NOT NULL,            -- absolute folder that image paths are relative to, raw bytes
    ann TEXT NOT NULL,             -- what the user asked for: auto, flat, hnsw, ivfpq
    generation INTEGER NOT NULL,   -- names the vector file
    rows INTEGER NOT NULL,         -- committed rows in it, dead ones included
    dims INTEGER NOT NULL,         -- floats per row; fewer than the model's after a reduction
    components BLOB,               -- (dims, model dims) float32 of the reduction
    explained REAL                 -- share of the variance that it kept
)""",
    """
CREATE TABLE images (
    row INTEGER PRIMARY KEY,       -- in the vector file
    path BLOB NOT NULL UNIQUE,     -- raw bytes, relative to root, separated by "/"
    sha256 BLOB NOT NULL,          -- of the file's bytes
    phash INTEGER,                 -- 64 bits, as SQLite's signed integer
    size INTEGER NOT NULL,         -- of the file, in bytes
    mtime_ns INTEGER NOT NULL
)""",
    f"PRAGMA user_version = {FORMAT}",
)


class Identity(Config):
    """What made the vectors of a collection: two vectors may be compared only if this is equal.

    Attributes:
        model: name that the user typed; for people, not compared.
        weights_digest: digest of the weights.
        preprocess: values of the preprocess spec, so that queries are treated like what was indexed.
        preprocess_digest: digest of that spec.
        pooling: ``"cls"``, ``"mean"`` or ``"patch"``.
        layer: block whose features are pooled, or None for the final ones.
        dims: floats per vector as the model gives them.
    """

    model: str
    weights_digest: str
    preprocess: dict[str, Any] = Field(default_factory=dict)
    preprocess_digest: str
    pooling: str = "cls"
    layer: int | None = None
    dims: PositiveInt

    def differences(self, other: Identity) -> list[str]:
        """Return ``"key: mine, not theirs"`` for each value that forbids comparing vectors of the two."""
        keys = ("weights_digest", "preprocess_digest", "pooling", "layer", "dims")
        pairs = ((key, getattr(self, key), getattr(other, key)) for key in keys)
        return [f"{key.replace('_', ' ')}: {mine}, not {theirs}" for key, mine, theirs in pairs if mine != theirs]


@dataclass(frozen=True)
class State:
    """The one row of the table `collection`."""

    identity: Identity
    root: bytes
    ann: str
    generation: int
    rows: int
    dims: int
    projection: Projection | None


def vector_file(folder: Path, generation: int) -> Path:
    """Return where the vectors of a generation lie."""
    return folder / f"vectors-{generation}.f32"


def ann_file(folder: Path, generation: int) -> Path:
    """Return where the approximate index of a generation is cached."""
    return folder / f"ann-{generation}.faiss"


def connect(folder: Path, *, write: bool) -> sqlite3.Connection:
    """Open ``meta.sqlite``; the caller begins and ends transactions.

    Raises:
        CollectionError: there is none, or it is of a newer format.
    """
    path = folder / "meta.sqlite"
    if not write and not path.is_file():
        raise CollectionError(
            f"{folder} is no collection: it has no meta.sqlite. Make one: nexus index FOLDER --out {folder}"
        )
    # A URI of raw bytes, so that a folder whose name is not UTF-8 opens too. Readers ask for "rw" as well: after a
    # crash in mid-commit the next one has to roll back, and SQLite turns "rw" into "ro" where the disk is read-only.
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={'rwc' if write else 'rw'}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        _check_format(connection, folder)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_format(connection: sqlite3.Connection, folder: Path) -> None:
    with reported(folder):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT:
        raise CollectionError(
            f"{folder} has format {version}, written by a newer nexus; this one reads up to {FORMAT}. "
            'Upgrade: pip install -U "nexus-vision"'
        )


@contextmanager
def reported(folder: Path) -> Iterator[None]:
    """Turn SQLite's errors into one that names the folder and the remedy."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        remedy = (
            "Another process holds it; try again."
            if "locked" in str(error)
            else "If it does not open from a local, writable disk either, delete the folder and index again."
        )
        raise CollectionError(f"{folder / 'meta.sqlite'} cannot be used: {error}. {remedy}") from error


@contextmanager
def transaction(connection: sqlite3.Connection, folder: Path, *, write: bool) -> Iterator[sqlite3.Connection]:
    """One transaction: all of it or, on any exception, nothing."""
    with reported(folder):
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def create(connection: sqlite3.Connection, state: State) -> None:
    """Make the tables of an empty database, inside the caller's transaction."""
    for statement in SCHEMA:
        connection.execute(statement)
    identity = json.dumps(state.identity.to_dict())
    connection.execute(
        "INSERT INTO collection VALUES (1, ?, ?, ?, ?, ?, ?, NULL, NULL)",
        (identity, state.root, state.ann, state.generation, state.rows, state.dims),
    )


def load_state(connection: sqlite3.Connection) -> State | None:
    """Return the state, or None where the database was never finished."""
    if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
        return None
    columns = "identity, root, ann, generation, rows, dims, components, explained"
    identity, root, ann, generation, rows, dims, components, explained = connection.execute(
        f"SELECT {columns} FROM collection"
    ).fetchone()
    identity = Identity.parse(json.loads(identity))
    projection = None
    if components is not None:
        matrix: NDArray[np.float32] = np.frombuffer(components, "<f4").reshape(dims, identity.dims)
        projection = Projection(matrix, explained)
    return State(identity, root, ann, generation, rows, dims, projection)
