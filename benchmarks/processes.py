"""Commands as users run them, in processes of their own, and the memory that these take."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nexus.errors import ConfigError

__all__ = ["SAMPLE_SECONDS", "Finished", "nexus_command", "private_memory", "run_nexus", "tree_memory"]

SAMPLE_SECONDS = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True)
class Finished:
    """What came of a command.

    Attributes:
        told: its result.
        seconds: from its start to its end.
        peak: bytes of all its processes, when they were most.
        main: those of the main process in it.
        private: bytes of the main process that are not of a file, when they were most.
    """

    told: dict[str, Any]
    seconds: float
    peak: int
    main: int
    private: int


def nexus_command() -> list[str]:
    """Return the command as a user runs it: the script beside this interpreter."""
    script = shutil.which("nexus", path=Path(sys.executable).parent)
    return [script] if script else [sys.executable, "-m", "nexus"]


def run_nexus(*arguments: str, cache: Path | None = None) -> Finished:
    """Run ``nexus ... --json`` to its end.

    Args:
        arguments: the verb and what belongs to it.
        cache: a cache of its own; None: the user's.

    Raises:
        RuntimeError: it failed.
        ConfigError: the system does not tell what memory processes take.
    """
    with tempfile.TemporaryFile() as result, tempfile.TemporaryFile() as log:
        environment = {**os.environ, **({"NEXUS_CACHE": str(cache)} if cache else {})}
        command = [*nexus_command(), *arguments, "--json"]
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=result, stderr=log, env=environment)
        peak, private = (0, 0), 0
        while process.poll() is None:
            peak, private = max(peak, tree_memory(process.pid)), max(private, private_memory(process.pid))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - start
        for file in (result, log):
            file.seek(0)
        if process.returncode:
            raise RuntimeError(f"nexus {' '.join(arguments)} failed: {log.read().decode(errors='replace')}")
        return Finished(json.load(result), seconds, *peak, private)


def tree_memory(pid: int) -> tuple[int, int]:
    """Return the resident bytes of a process with all its descendants, and of itself alone; Linux only.

    Raises:
        ConfigError: there is no ``/proc``.
    """
    if not Path("/proc/self/stat").exists():
        raise ConfigError("memory is measured through /proc, which this system does not have; run it on Linux")
    children, resident = defaultdict[int, list[int]](list), dict[int, int]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state parent ... rss ...": the name may hold spaces and brackets.
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children[int(fields[1])].append(int(stat.parent.name))
        resident[int(stat.parent.name)] = PAGE * int(fields[21])
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        total += resident.get(one, 0)
        waiting += children[one]
    return total, resident.get(pid, 0)


def private_memory(pid: int) -> int:
    """Return the resident bytes of a process that are its own alone: those of files the system can take back."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), 0)
