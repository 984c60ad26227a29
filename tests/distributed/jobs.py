"""Starts jobs of two processes, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nexus

SCRIPT = Path(__file__).parent / "distributed_checks.py"


def torchrun(*words: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Run `torchrun`, on a port of its own choice."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(Path(nexus.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, words)], env=environment, capture_output=True, text=True, timeout=280, check=False
    )


def in_two_processes(folder: Path, *checks: str) -> dict[str, Any]:
    """Run functions of `distributed_checks` in one job of two processes; what process 0 returns for each.

    Args:
        folder: what the functions may write to.
        checks: their names.
    """
    done = torchrun(SCRIPT, folder, *checks)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found
