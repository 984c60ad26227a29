"""Files in which engines keep what is slow to make. Losing one costs time, never an answer."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["artefact_path", "keep", "pack_names", "unpack_names"]


def artefact_path(base: Path | None, suffix: str) -> Path | None:
    """Return where a job's artefact of one kind is kept, see `Job.artefact`; None if nothing is kept."""
    return base and base.with_name(f"{base.name}.{suffix}")


def keep(path: Path | None, *parts: bytes | memoryview) -> None:
    """Write a file beside its place and rename it, so that no reader sees half of it.

    A full or read-only disk is no error: what is not kept is made again.
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
    except OSError:
        return


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
