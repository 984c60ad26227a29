"""Files in which engines keep what is slow to make. Losing one costs time, never an answer."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["MOST_BYTES", "artefact_path", "keep", "kept", "pack_names", "unpack_names"]

MOST_BYTES = 10 << 30
"""What all artefacts together may take; beyond that those that were not used for longest go."""

OURS = re.compile(r"\.?[0-9a-f]{32}\..+")
"""Names of artefacts (see `nexus.engines.auto.job_key`), and of those that a crash left half-written."""


def artefact_path(base: Path | None, suffix: str) -> Path | None:
    """Return where a job's artefact of one kind is kept, see `Job.artefact`; None if nothing is kept."""
    return base and base.with_name(f"{base.name}.{suffix}")


def keep(path: Path | None, *parts: bytes | memoryview) -> None:
    """Write a file beside its place and rename it, so that no reader sees half of it.

    A full or read-only disk is no error: what is not kept is made again. What was not used for longest makes room.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                for part in parts:
                    file.write(part)
            except BaseException:
                os.unlink(file.name)
                raise
        os.replace(file.name, path)
        _make_room(path)
    except OSError:
        return


def kept(path: Path | None) -> bytes | None:
    """Read what `keep` wrote, and note that it was used; None where there is nothing."""
    if path is None:
        return None
    with contextlib.suppress(OSError):  # a read-only disk
        os.utime(path)
    try:
        return path.read_bytes()
    except OSError:
        return None


def _make_room(new: Path) -> None:
    """Remove the least recently used artefacts of a folder, the new one apart, until all are within `MOST_BYTES`."""
    found = [(file, file.stat()) for file in new.parent.iterdir() if OURS.fullmatch(file.name)]
    excess = sum(status.st_size for _, status in found) - MOST_BYTES
    for file, status in sorted(found, key=lambda pair: pair[1].st_mtime_ns):
        if excess > 0 and file != new:
            with contextlib.suppress(OSError):  # Windows: another process has it open
                file.unlink()
                excess -= status.st_size


def pack_names(names: Any) -> bytes:
    """Return one line of JSON for what `nexus.engines.base.names_of` gives; integer keys survive."""

    def plain(tree: Any) -> Any:
        if isinstance(tree, Mapping):
            return {"dict": [[key, plain(branch)] for key, branch in tree.items()]}
        return [plain(branch) for branch in tree] if isinstance(tree, list) else tree

    return json.dumps(plain(names)).encode() + b"\n"


def unpack_names(line: bytes) -> Any:
    """Undo `pack_names`.

    Raises:
        ValueError: not such a line.
    """

    def nested(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {key: nested(branch) for key, branch in tree["dict"]}
        return [nested(branch) for branch in tree] if isinstance(tree, list) else tree

    return nested(json.loads(line))
