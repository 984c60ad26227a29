"""From the layout in which AlexNet is published to ours."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename

__all__ = ["FORMATS"]

TORCHVISION: dict[str, str | None] = {
    **{f"features.{theirs}": f"blocks.{ours}.conv" for ours, theirs in enumerate((0, 3, 6, 8, 10))},
    "classifier.1": "fc1",
    "classifier.4": "fc2",
    "classifier.6": "head",
}
"""torchvision's keys -> ours."""


def from_torchvision(state: State, _: Any) -> dict[str, Tensor]:
    """Convert torchvision's AlexNet."""
    return rename(state, TORCHVISION)


FORMATS = {"torchvision": CheckpointFormat("features.0.weight", from_torchvision)}
