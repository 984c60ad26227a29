"""The weight cache: safetensors files named by their content, and beside them what is known about where each came from.

weights/blobs/<sha256>.safetensors     the tensors
weights/entries/<source key>.json      source -> blob, size, licence, where and when it was fetched
weights/partial/<source key>/          unfinished downloads; they are continued
weights/locks/<source key>.lock        held while a source is fetched
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from nexus._files import write_file
from nexus.config import Config
from nexus.hub.download import sha256_of
from nexus.hub.settings import cache_dir

if TYPE_CHECKING:
    from nexus.hub.sources import Source

__all__ = ["CacheEntry", "describe_cache", "find", "locked", "partial", "store"]


class CacheEntry(Config):
    """What is known about one cached set of tensors.

    Attributes:
        name: for whom it was fetched first, e.g. ``"dinov2_vits14"``.
        source: the source, as its literal dict.
        blob: sha256 of the safetensors file.
        size: of that file, in bytes.
        mtime_ns: of that file; with the size, the cheap check that it is still the file that was written.
        license: what the package or repository itself states about its licence, or None.
        origin: the address that it came from.
        fetched: when, in UTC.
        metadata: what the server said about it, e.g. the commit that a branch stood at.
    """

    name: str
    source: dict[str, Any]
    blob: str
    size: int
    mtime_ns: int
    license: str | None = None
    origin: str
    fetched: str
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The safetensors file."""
        return _root() / "blobs" / f"{self.blob}.safetensors"


def find(source: Source) -> CacheEntry | None:
    """Return the entry of a source if its file is there and is what was written; damaged files are thrown away.

    The size and the time of the last change are compared; only where the time differs is the file read as a whole.
    """
    entry = _read(_entry_file(source.key))
    if entry is None:
        return None
    try:
        status = entry.path.stat()
    except OSError:
        return None
    if status.st_size == entry.size and status.st_mtime_ns == entry.mtime_ns:
        return entry
    if status.st_size == entry.size and sha256_of(entry.path) == entry.blob:
        entry = entry.replace(mtime_ns=status.st_mtime_ns)
        _write(_entry_file(source.key), entry)
        return entry
    entry.path.unlink(missing_ok=True)
    return None


def store(
    source: Source, file: Path, *, name: str, license: str | None, origin: str, metadata: dict[str, str] | None = None
) -> CacheEntry:
    """Move a finished safetensors file into the cache and write its entry; returns the entry."""
    blob = sha256_of(file)
    target = _root() / "blobs" / f"{blob}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    _flush(file)
    if not (target.is_file() and target.stat().st_size == file.stat().st_size and sha256_of(target) == blob):
        os.replace(file, target)
    status = target.stat()
    entry = CacheEntry(
        name=name,
        source=source.described(),
        blob=blob,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        license=license,
        origin=origin,
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
        metadata=metadata or {},
    )
    _write(_entry_file(source.key), entry)
    shutil.rmtree(_root() / "partial" / source.key, ignore_errors=True)
    return entry


def describe_cache() -> list[CacheEntry]:
    """Return what is in the cache, by name; entries whose file is gone are left out."""
    entries = [_read(file) for file in sorted((_root() / "entries").glob("*.json"))]
    present = [entry for entry in entries if entry is not None and entry.path.is_file()]
    return sorted(present, key=lambda entry: (entry.name, entry.origin))


def partial(source: Source) -> Path:
    """Return the folder in which a source is being fetched; it outlives a killed process."""
    folder = _root() / "partial" / source.key
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(source: Source, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a source. The system releases it when the process ends, however it ends.

    Args:
        source: what is being fetched.
        on_wait: called once if another process holds the lock, before waiting for it.
    """
    from filelock import FileLock, Timeout

    folder = _root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{source.key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait is not None:
            on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _root() -> Path:
    return cache_dir() / "weights"


def _entry_file(key: str) -> Path:
    return _root() / "entries" / f"{key}.json"


def _read(file: Path) -> CacheEntry | None:
    """Read an entry; one that another version wrote, or that is damaged, counts as absent."""
    try:
        return CacheEntry.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(file: Path, entry: CacheEntry) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, json.dumps(entry.to_dict(), indent=2).encode())


def _flush(file: Path) -> None:
    """Let the bytes reach the disk before the entry that vouches for them."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())
