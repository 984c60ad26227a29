"""One job for all that is quickly checked: to start one takes longer than the checks."""

from __future__ import annotations

from typing import Any

import pytest
from jobs import in_two_processes

CHECKS = (
    "messages", "ddp", "fsdp", "ddp_micro", "fsdp_micro", "ddp_recompute", "fsdp_recompute", "ddp_frozen",
    "fsdp_frozen", "fsdp_bf16", "shapes", "refusals",
)  # fmt: skip


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What process 0 of two found in each check."""
    return in_two_processes(tmp_path_factory.mktemp("job"), *CHECKS)
