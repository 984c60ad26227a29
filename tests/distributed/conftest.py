"""One job for the quick checks, and one for the slow ones: to start one takes longer than most checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import distributed_checks
import pytest
from jobs import in_two_processes

QUICK = ("messages", "ddp", "fsdp_micro", "shapes", "refusals", "save_fsdp", "ddp_from_fsdp")
SLOW = (
    "fsdp", "ddp_micro", "ddp_recompute", "fsdp_recompute", "ddp_frozen", "fsdp_frozen", "fsdp_bf16", "save_ddp",
    "fsdp_from_fsdp", "fsdp_from_ddp", "fsdp_from_one", "ddp_from_one", "pipeline_1f1b", "pipeline_gpipe",
    "pipeline_refusals",
)  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the job reads and writes; one process has saved a checkpoint in it."""
    folder = tmp_path_factory.mktemp("job")
    distributed_checks.begin("none", folder / "by_one")
    return folder


@pytest.fixture(scope="session")
def found(folder: Path) -> dict[str, Any]:
    """What process 0 of two found in each of the quick checks."""
    return in_two_processes(folder, *QUICK)


@pytest.fixture(scope="session")
def found_slowly(folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """What it found in all checks."""
    return found | in_two_processes(folder, *SLOW)


@pytest.fixture(scope="session")
def alone() -> dict[str, Any]:
    """What one process finds."""
    return distributed_checks.run("none")
