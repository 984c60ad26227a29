"""From the layout in which LeNet is usually written in PyTorch to ours."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename

__all__ = ["FORMATS"]

TUTORIAL: dict[str, str | None] = {
    "conv1": "blocks.0.conv",
    "conv2": "blocks.1.conv",
    "fc1": "conv3",
    "fc2": "fc",
    "fc3": "head",
}
"""Keys of the network in PyTorch's tutorials -> ours."""


def from_tutorial(state: State, config: Any) -> dict[str, Tensor]:
    """Convert PyTorch's tutorial network, whose C5 is a linear layer over the 5x5 cells of S4."""
    renamed = rename(state, TUTORIAL)
    if "conv3.weight" in renamed:
        renamed["conv3.weight"] = renamed["conv3.weight"].reshape(-1, config.widths[1], 5, 5)
    return renamed


FORMATS = {"tutorial": CheckpointFormat("fc3.weight", from_tutorial)}
