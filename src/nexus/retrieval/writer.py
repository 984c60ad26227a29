"""The one process that changes a collection. Killed at any moment, it loses only what it put since its last commit."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import ArrayLike, NDArray

from nexus._files import sync_folder
from nexus.errors import CollectionError, ConfigError, InputError
from nexus.results import printable
from nexus.retrieval import store
from nexus.retrieval.projection import Projection, fit_projection
from nexus.retrieval.store import Identity, State, transaction, vector_file

__all__ = ["COMPACT_AT", "FileStat", "Plan", "Writer"]

COMPACT_AT = 0.2
"""Share of dead rows in the vector file from which it is rewritten."""

COPY_ROWS = 16_384
"""Rows held in memory at a time while a generation is rewritten."""

Vectors = NDArray[np.float32]

GENERATION = re.compile(r"(?:vectors|ann)-(\d+)\.(?:f32|faiss)")


class FileStat(NamedTuple):
    """What tells without reading a file that it is the same as before. Take it before the file is read."""

    size: int
    mtime_ns: int


class Plan(NamedTuple):
    """What indexing has to do. Paths are as they were given to `Writer.plan`."""

    new: list[bytes]
    changed: list[bytes]  # size or time differ; the content may still be the same
    unchanged: list[bytes]
    gone: list[bytes]  # in the collection, not among the files


class _Put(NamedTuple):
    sha256: bytes
    phash: int | None
    stat: FileStat
    vector: Vectors


class Writer:
    """Adds to, updates and removes from a collection, which is made if there is none.

    A context manager. What was put is committed every `commit_every` images or `commit_seconds` seconds and at
    the end, also when the block ends by an exception (Ctrl-C): each put stands by itself. Used from one thread.

    Args:
        folder: the collection.
        identity: what makes the vectors; must fit those already there.
        root: folder that paths are relative to; None keeps the stored one. Another one replaces it: the pictures moved.
        ann: kind of approximate index to remember; None keeps the stored one.
        timeout: seconds to wait for another writer.

    Raises:
        CollectionError: another process is writing, the folder holds something else, its format is newer, it is
            damaged, or its vectors were made with other settings.
    """

    def __init__(
        self,
        folder: str | Path,
        identity: Identity,
        root: str | Path | None = None,
        *,
        ann: str | None = None,
        commit_every: int = 512,
        commit_seconds: float = 20.0,
        timeout: float = 0.0,
    ) -> None:
        self.folder = Path(folder)
        self._commit_every, self._commit_seconds = commit_every, commit_seconds
        self._puts: dict[bytes, _Put] = {}
        self._touched: dict[bytes, FileStat] = {}
        self._removed: set[bytes] = set()
        self._last_commit = time.monotonic()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_lock(self.folder, timeout))
            self._connection = store.connect(self.folder, write=True)
            stack.callback(self._connection.close)
            self.state = self._open(identity, root, ann)
            self._clean()
            self._resources = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._resources:
            if not isinstance(error, CollectionError | OSError):  # the disk is full, say: a second try would hide why
                self.commit()
            if error is None:
                self.compact(at=COMPACT_AT)

    def close(self) -> None:
        """Release the lock without committing what was put since the last commit."""
        self._resources.close()

    # -- what is there ------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of committed images."""
        return int(self._connection.execute("SELECT COUNT(*) FROM images").fetchone()[0])

    def plan(self, files: Iterable[tuple[bytes, int, int]]) -> Plan:
        """Compare files with the committed images.

        Args:
            files: ``(path, size, mtime_ns)``, the path relative to the root; repeated paths count once.
        """
        with store.reported(self.folder):
            rows = self._connection.execute("SELECT path, size, mtime_ns FROM images").fetchall()
        stored = {path: FileStat(*stat) for path, *stat in rows}
        plan, seen = Plan([], [], [], []), set[bytes]()
        for path, size, mtime_ns in files:
            if path in seen:
                continue
            seen.add(path)
            known = stored.pop(path, None)
            fate = plan.new if known is None else plan.unchanged if known == (size, mtime_ns) else plan.changed
            fate.append(path)
        plan.gone.extend(sorted(stored))
        return plan

    def content(self, path: bytes) -> str | None:
        """Return the SHA-256 of a committed image's file in hex, or None where the path is not in the collection."""
        row = self._connection.execute("SELECT sha256 FROM images WHERE path = ?", (path,)).fetchone()
        return row[0].hex() if row else None

    # -- changes ------------------------------------------------------------------------------------------------

    def put(self, path: bytes, sha256: str, phash: int | None, stat: tuple[int, int], vector: ArrayLike) -> None:
        """Add an image, or replace the one of that path.

        Args:
            path: raw bytes relative to the root, separated by ``/``.
            sha256: of the file's bytes, in hex.
            phash: 64-bit perceptual hash, or None.
            stat: size and mtime_ns of the file before it was read.
            vector: (D,) floats as the model gave them; not normalised.

        Raises:
            InputError: the vector has another length or is not finite.
        """
        row = np.array(vector, dtype="<f4")
        dims = self.state.identity.dims
        if row.shape != (dims,):
            raise InputError(f"{printable(os.fsdecode(path))}: a vector of {dims} is needed, got shape {row.shape}")
        if not np.isfinite(row).all():
            name = printable(os.fsdecode(path))
            raise InputError(f"{name}: its vector holds NaN or infinity; try another engine or precision")
        self._forget(path)
        self._puts[path] = _Put(bytes.fromhex(sha256), phash, FileStat(*stat), row)
        self._commit_if_due()

    def touch(self, path: bytes, stat: tuple[int, int]) -> None:
        """Record a new size and time of a committed image whose content is the same."""
        if path not in self._puts and path not in self._removed:
            self._touched[path] = FileStat(*stat)
            self._commit_if_due()

    def remove(self, path: bytes) -> None:
        """Drop an image; a path that is not in the collection is no error."""
        self._forget(path)
        self._removed.add(path)
        self._commit_if_due()

    def commit(self) -> None:
        """Make everything so far permanent: after it returns, a crash loses nothing."""
        if not (self._puts or self._touched or self._removed):
            return
        self._check_open()
        state = self.state
        self._append(state.rows)
        with transaction(self._connection, self.folder, write=True) as db:
            db.executemany("DELETE FROM images WHERE path = ?", ((path,) for path in [*self._removed, *self._puts]))
            db.executemany("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?)", self._new_rows(state.rows))
            db.executemany(
                "UPDATE images SET size = ?, mtime_ns = ? WHERE path = ?", ((*s, p) for p, s in self._touched.items())
            )
            db.execute("UPDATE collection SET rows = ?", (state.rows + len(self._puts),))
        self._reload()
        self._puts, self._touched, self._removed = {}, {}, set()
        self._last_commit = time.monotonic()

    def compact(self, *, at: float = 0.0) -> bool:
        """Rewrite the vector file without its dead rows, as a new generation, if more than the share `at` is dead.

        Returns:
            Whether it was rewritten.
        """
        self.commit()
        dead = self.state.rows - self.count
        if not dead or dead < at * self.state.rows:
            return False
        self._rewrite(lambda block: block, self.state.projection)
        return True

    def reduce(self, dims: int) -> Projection:
        """Keep `dims` principal components of every vector, from now on; queries are mapped alike.

        Raises:
            ConfigError: `dims` is out of range for these images, or they were reduced to another number before.
        """
        self.commit()
        if self.state.projection is not None:
            if dims != self.state.dims:
                raise ConfigError(
                    f"{self.folder} was reduced to dims = {self.state.dims} before, {dims} is asked for. "
                    "Index into a new folder: what was dropped cannot be had back"
                )
            return self.state.projection
        projection = fit_projection(self._blocks(self._live()), dims)
        self._rewrite(projection, projection)
        return projection

    # -- how ----------------------------------------------------------------------------------------------------

    def _open(self, identity: Identity, root: str | Path | None, ann: str | None) -> State:
        with transaction(self._connection, self.folder, write=True) as db:
            state = store.load_state(db)
            if state is None:
                if root is None:
                    raise ConfigError(f"root is needed to make the collection {self.folder}")
                state = State(identity, _absolute(root), ann or "auto", 1, 0, identity.dims, None)
                store.create(db, state)
                vector_file(self.folder, 1).write_bytes(b"")
                sync_folder(self.folder)
            elif differences := state.identity.differences(identity):
                raise CollectionError(
                    f"{self.folder} was made with other settings ({'; '.join(differences)}); vectors of the two cannot "
                    f"be compared. Use the model {state.identity.model!r} as it was then, or index into a new folder"
                )
            new_root, new_ann = _absolute(root) if root is not None else state.root, ann or state.ann
            db.execute("UPDATE collection SET root = ?, ann = ?", (new_root, new_ann))
            loaded = store.load_state(db)
            assert loaded is not None
            return loaded

    def _reload(self) -> None:
        state = store.load_state(self._connection)
        assert state is not None
        self.state = state

    def _clean(self) -> None:
        """Remove what a crash left: other generations, files being written aside, bytes beyond the committed rows."""
        for file in self.folder.iterdir():
            match = GENERATION.fullmatch(file.name)
            if file.name.endswith(".aside") or (match and int(match[1]) != self.state.generation):
                with contextlib.suppress(OSError):  # Windows: a reader still has it open; the next writer removes it
                    file.unlink()
        path, needed = vector_file(self.folder, self.state.generation), 4 * self.state.rows * self.state.dims
        size = path.stat().st_size if path.exists() else 0
        if size < needed:
            raise CollectionError(
                f"{path} is damaged: {size} bytes where {needed} were committed. Delete {self.folder} and index again"
            )
        if size > needed:
            with contextlib.suppress(OSError):  # Windows: a reader has it mapped; the next commit overwrites them
                os.truncate(path, needed)

    def _forget(self, path: bytes) -> None:
        self._check_open()
        self._puts.pop(path, None)
        self._touched.pop(path, None)
        self._removed.discard(path)

    def _check_open(self) -> None:
        try:
            self._connection.total_changes  # noqa: B018  raises when closed
        except sqlite3.ProgrammingError:
            raise CollectionError(f"this writer of {self.folder} is closed; open a new one") from None

    def _commit_if_due(self) -> None:
        waiting = len(self._puts) + len(self._touched) + len(self._removed)
        if waiting >= self._commit_every or time.monotonic() - self._last_commit > self._commit_seconds:
            self.commit()

    def _append(self, first_row: int) -> None:
        """Write the vectors put since the last commit at their place and wait until they are on the disk."""
        if not self._puts:
            return
        rows = np.stack([put.vector for put in self._puts.values()])
        if self.state.projection is not None:
            rows = self.state.projection(rows)
        with vector_file(self.folder, self.state.generation).open("r+b") as file:
            # Not append mode: a commit that failed half-way left bytes there, which are to be overwritten.
            file.seek(4 * first_row * self.state.dims)
            file.write(rows.astype("<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _new_rows(self, first_row: int) -> Iterator[tuple[int, bytes, bytes, int | None, int, int]]:
        for row, (path, put) in enumerate(self._puts.items(), first_row):
            yield row, path, put.sha256, _signed(put.phash), *put.stat

    def _live(self) -> NDArray[np.int64]:
        rows = self._connection.execute("SELECT row FROM images ORDER BY row")
        return np.array([row for (row,) in rows], dtype=np.int64)

    def _blocks(self, live: NDArray[np.int64]) -> Iterator[Vectors]:
        state = self.state
        if not state.rows:
            return
        shape = (state.rows, state.dims)
        vectors = np.memmap(vector_file(self.folder, state.generation), "<f4", "r", shape=shape)
        for start in range(0, len(live), COPY_ROWS):
            yield np.asarray(vectors[live[start : start + COPY_ROWS]])

    def _rewrite(self, change: Callable[[Vectors], Vectors], projection: Projection | None) -> None:
        """Write the live rows as a new generation aside, rename it, and switch to it in one transaction."""
        live, old = self._live(), self.state.generation
        target = vector_file(self.folder, old + 1)
        aside = target.with_name(f"{target.name}.aside")
        with aside.open("wb") as file:
            for block in self._blocks(live):
                file.write(change(block).astype("<f4").tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
        sync_folder(self.folder)
        with transaction(self._connection, self.folder, write=True) as db:
            # In ascending order a row only moves to a smaller number that is free by then.
            db.executemany(
                "UPDATE images SET row = ? WHERE row = ?", ((n, int(row)) for n, row in enumerate(live) if n != row)
            )
            db.execute("UPDATE collection SET generation = ?, rows = ?", (old + 1, len(live)))
            if projection is not None:
                db.execute(
                    "UPDATE collection SET dims = ?, components = ?, explained = ?",
                    (len(projection.components), projection.components.astype("<f4").tobytes(), projection.explained),
                )
        self._reload()
        self._clean()


@contextlib.contextmanager
def _lock(folder: Path, timeout: float) -> Iterator[None]:
    """Be the only writer; say who is, if it is another."""
    if folder.exists() and not (folder.is_dir() and _ours(folder)):
        raise CollectionError(f"{folder} exists and is not a collection. Choose another name, or delete it yourself")
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "writer.pid"
    lock = FileLock(folder / "writer.lock", timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise CollectionError(
            f"{folder} is being written by {_holder(note)}. Wait for it to end, or end it: the lock goes with it"
        ) from None
    except OSError as error:
        raise CollectionError(f"{folder} cannot be written: {error}. Copy it to a disk that can") from error
    try:
        note.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _ours(folder: Path) -> bool:
    """Whether the folder is a collection, empty, or what a crash left of making one."""
    names = {file.name for file in folder.iterdir()}
    return "meta.sqlite" in names or not names - {"writer.lock", "writer.pid", "meta.sqlite-journal"}


def _holder(note: Path) -> str:
    try:
        holder = json.loads(note.read_text())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _absolute(root: str | Path) -> bytes:
    return os.fsencode(os.path.abspath(root))


def _signed(phash: int | None) -> int | None:
    """SQLite's integers are signed."""
    return phash - (1 << 64) if phash is not None and phash >= 1 << 63 else phash
