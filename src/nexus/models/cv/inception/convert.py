"""From torchvision's, timm's and TensorFlow's layouts of Inception V3 to ours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nexus.models.conversion import CheckpointFormat, State, rename, strip_prefix, with_batch_counts

__all__ = ["FORMATS"]


def numbered(theirs: str, ours: str, count: int) -> dict[str, str]:
    """torchvision's names of the layers of a branch -> ours."""
    return {f"{theirs}_{i + 1}": f"{ours}.{i}" for i in range(count)}


A = {
    "branch1x1": "conv1x1",
    **numbered("branch5x5", "conv5x5", 2),
    **numbered("branch3x3dbl", "double3x3", 3),
    "branch_pool": "pool.1",
}
B = {"branch3x3": "conv3x3", **numbered("branch3x3dbl", "double3x3", 3)}
C = {
    "branch1x1": "conv1x1",
    **numbered("branch7x7", "conv7x7", 3),
    **numbered("branch7x7dbl", "double7x7", 5),
    "branch_pool": "pool.1",
}
D = {**numbered("branch3x3", "conv3x3", 2), **numbered("branch7x7x3", "conv7x7", 4)}
E = {
    "branch1x1": "conv1x1",
    "branch3x3_1": "conv3x3.0",
    "branch3x3_2a": "conv3x3.1.low",
    "branch3x3_2b": "conv3x3.1.high",
    **numbered("branch3x3dbl", "double3x3", 2),
    "branch3x3dbl_3a": "double3x3.2.low",
    "branch3x3dbl_3b": "double3x3.2.high",
    "branch_pool": "pool.1",
}
"""The layers of each kind of module in torchvision and timm -> ours."""

MODULES: dict[str, dict[str, dict[str, str]]] = {
    "stages.0": {"5b": A, "5c": A, "5d": A},
    "stages.1": {"6a": B, "6b": C, "6c": C, "6d": C, "6e": C},
    "stages.2": {"7a": D, "7b": E, "7c": E},
}

TORCHVISION: dict[str, str | None] = {
    **{
        f"Conv2d_{name}": f"stem.conv{i + 1}"
        for i, name in enumerate(("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"))
    },
    **{
        f"Mixed_{name}.{theirs}": f"{stage}.{index}.{ours}"
        for stage, modules in MODULES.items()
        for index, (name, layers) in enumerate(modules.items())
        for theirs, ours in layers.items()
    },
    "fc": "head",
}
"""torchvision's and timm's keys -> ours, without the auxiliary classifier."""

AUX: dict[str, str | None] = {
    "AuxLogits.conv0": "aux_head.conv1",
    "AuxLogits.conv1": "aux_head.conv2",
    "AuxLogits.fc": "aux_head.fc",
}
NO_AUX: dict[str, str | None] = {"AuxLogits": None}


def tower(theirs: str, ours: str, count: int) -> dict[str, str]:
    """TensorFlow's names of the layers of a branch -> ours."""
    return {f"{theirs}conv" + (f"_{i}" if i else ""): f"{ours}.{i}" for i in range(count)}


ONE = {"conv": "conv1x1"}
TF_A = {**ONE, **tower("tower.", "conv5x5", 2), **tower("tower_1.", "double3x3", 3), "tower_2.conv": "pool.1"}
TF_B = {"conv": "conv3x3", **tower("tower.", "double3x3", 3)}
TF_C = {**ONE, **tower("tower.", "conv7x7", 3), **tower("tower_1.", "double7x7", 5), "tower_2.conv": "pool.1"}
TF_D = {**tower("tower.", "conv3x3", 2), **tower("tower_1.", "conv7x7", 4)}
TF_E = {
    **ONE,
    **tower("tower_", "conv3x3", 1),
    "tower_mixed_conv": "conv3x3.1.low",
    "tower_mixed_conv_1": "conv3x3.1.high",
    **tower("tower_1_", "double3x3", 2),
    "tower_1_mixed_conv": "double3x3.2.low",
    "tower_1_mixed_conv_1": "double3x3.2.high",
    "tower_2_conv": "pool.1",
}
"""The layers of each kind of module in TensorFlow's graph of 2015 -> ours."""

TF_MODULES = {
    "stages.0": (TF_A, TF_A, TF_A),
    "stages.1": (TF_B, TF_C, TF_C, TF_C, TF_C),
    "stages.2": (TF_D, TF_E, TF_E),
}


def graph_layers() -> dict[str, str]:
    """List the layers of TensorFlow's graph of 2015 and ours; its modules are ``mixed``, ``mixed_1``, ..."""
    modules = [
        (f"{stage}.{index}", layers) for stage, kinds in TF_MODULES.items() for index, layers in enumerate(kinds)
    ]
    return {f"conv_{i}" if i else "conv": f"stem.conv{i + 1}" for i in range(5)} | {
        f"mixed_{number}.{theirs}" if number else f"mixed.{theirs}": f"{module}.{ours}"
        for number, (module, layers) in enumerate(modules)
        for theirs, ours in layers.items()
    }


LEAVES = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean", "var": "bn.running_var"}

GRAPH: dict[str, str | None] = {
    f"{theirs}.{leaf}": f"{ours}.{our_leaf}"
    for theirs, ours in graph_layers().items()
    for leaf, our_leaf in LEAVES.items()
}


def from_torchvision(state: State, config: Any) -> dict[str, Tensor]:
    """Convert torchvision's or timm's Inception V3; the auxiliary classifier only where the config has one."""
    return with_batch_counts(rename(state, {**TORCHVISION, **(AUX if config.aux_classes else NO_AUX)}))


def from_graph(state: State, _: Any) -> dict[str, Tensor]:
    """Convert what is named as TensorFlow's graph of 2015 is, in which norms have no weights."""
    renamed = rename(strip_prefix(state, "net.layers."), GRAPH)
    weights = {
        key.replace(".bn.bias", ".bn.weight"): torch.ones_like(bias)
        for key, bias in renamed.items()
        if key.endswith(".bn.bias")
    }
    return with_batch_counts({**renamed, **weights})


FORMATS = {
    "torchvision": CheckpointFormat("Mixed_5b.branch1x1.conv.weight", from_torchvision),
    "graph": CheckpointFormat("layers.mixed_10.tower_1_mixed_conv.beta", from_graph),
}
