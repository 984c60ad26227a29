"""From the layouts in which VGGs are published to ours."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename, with_batch_counts

__all__ = ["FORMATS"]

TORCHVISION_LINEAR: dict[str, str | None] = {"classifier.0": "fc1", "classifier.3": "fc2", "classifier.6": "head"}
TIMM_LINEAR: dict[str, str | None] = {"pre_logits.fc1": "fc1", "pre_logits.fc2": "fc2", "head.fc": "head"}


def convolutions(config: Any) -> dict[str, str | None]:
    """torchvision's and timm's numbers of layers -> our names; ReLUs and poolings count, too."""
    table: dict[str, str | None] = {}
    number = 0
    for s, depth in enumerate(config.depths):
        for b in range(depth):
            table[f"features.{number}"] = f"stages.{s}.{b}.conv"
            if config.batch_norm:
                table[f"features.{number + 1}"] = f"stages.{s}.{b}.bn"
            number += 3 if config.batch_norm else 2
        number += 1
    return table


def from_torchvision(state: State, config: Any) -> dict[str, Tensor]:
    """Convert torchvision's VGG."""
    return with_batch_counts(rename(state, {**convolutions(config), **TORCHVISION_LINEAR}))


def from_timm(state: State, config: Any) -> dict[str, Tensor]:
    """Convert timm's VGG, whose linear layers are convolutions of the whole grid."""
    renamed = rename(state, {**convolutions(config), **TIMM_LINEAR})
    linear = {key: tensor.flatten(1) for key, tensor in renamed.items() if key in ("fc1.weight", "fc2.weight")}
    return with_batch_counts({**renamed, **linear})


FORMATS = {
    "timm": CheckpointFormat("pre_logits.fc1.weight", from_timm),
    "torchvision": CheckpointFormat("features.0.weight", from_torchvision),
}
