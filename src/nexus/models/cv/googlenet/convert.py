"""From torchvision's layout of GoogLeNet to ours."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename, with_batch_counts

__all__ = ["FORMATS"]

BRANCHES = {
    "branch1": "conv1x1",
    "branch2.0": "reduce3x3",
    "branch2.1": "conv3x3",
    "branch3.0": "reduce5x5",
    "branch3.1": "conv5x5",
    "branch4.1": "pool_proj",
}

TORCHVISION: dict[str, str | None] = {
    **{f"conv{i}": f"stem.conv{i}" for i in (1, 2, 3)},
    **{
        f"inception{stage + 3}{letter}.{theirs}": f"stages.{stage}.{block}.{ours}"
        for stage in range(3)
        for block, letter in enumerate("abcde")
        for theirs, ours in BRANCHES.items()
    },
    "fc": "head",
}
"""torchvision's keys -> ours, without the auxiliary classifiers."""

AUX: dict[str, str | None] = {f"aux{i + 1}": f"aux_heads.{i}" for i in range(2)}
NO_AUX: dict[str, str | None] = dict.fromkeys(AUX)


def from_torchvision(state: State, config: Any) -> dict[str, Tensor]:
    """Convert torchvision's GoogLeNet; its auxiliary classifiers only where the config has some."""
    return with_batch_counts(rename(state, {**TORCHVISION, **(AUX if config.aux_classes else NO_AUX)}))


FORMATS = {"torchvision": CheckpointFormat("inception3a.branch1.conv.weight", from_torchvision)}
