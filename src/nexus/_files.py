"""Writing so that a reader, and a restart, finds the old file or the new one and nothing between."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["sync_folder", "write_file"]


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, make sure that it is on the disk, and rename it.

    Raises:
        OSError: e.g. the disk is full; what was at `path` is still there then.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def sync_folder(folder: Path) -> None:
    """Make renames and new files in a folder survive a power cut, where the system can (Windows does it by itself)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
