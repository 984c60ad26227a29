"""Checkpoints of a run: everything that its next step depends on, as safetensors and JSON.

A checkpoint is a folder named by its step. Its ``state.json`` is written last: a folder without one was never finished
and does not count. So a process that is killed, or a disk that fills up, while saving leaves the checkpoint before.
No random state is kept, because none is needed: every draw follows from the run's seed and what it is for.

Several processes write one together, each its part, while training goes on; see `nexus.distributed.checkpoint`. One
process does without what torch has for that, which takes a second to import and writes many times slower. Either kind
is read back by any number of processes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nexus._files import sync_folder, write_file
from nexus.distributed import launch
from nexus.distributed.shard import sharded_as
from nexus.errors import TrainingError

__all__ = ["Checkpoint", "finish", "latest", "load", "save"]

STATE = "state.json"
KEPT = 1
"""Finished checkpoints that are left; the best model is beside them, at the root of the run."""


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint.

    Attributes:
        folder: where it lies.
        state: what JSON can say: step, epoch, best value, hyperparameters of the optimiser, ...
        sharded: whether several processes wrote it.
    """

    folder: Path
    state: dict[str, Any]
    sharded: bool = False


def latest(root: Path) -> Checkpoint | None:
    """Return the finished checkpoint of the highest step, or None."""
    folders = sorted(root.iterdir(), reverse=True) if root.is_dir() else []
    for folder in folders:
        try:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # never finished
        sharded = state.get("kind") == "sharded"
        return Checkpoint(folder, state["extra"] if sharded else state, sharded)
    return None


def save(
    root: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    others: Mapping[str, Tensor],
    state: Mapping[str, Any],
) -> Path:
    """Write a checkpoint, then remove those before it.

    Args:
        root: folder of all checkpoints.
        step: optimiser steps done.
        model: its whole state is kept.
        optimizer: its state and the hyperparameters of its groups.
        others: further tensors, e.g. an average of the weights.
        state: further values that JSON can say.

    Raises:
        TrainingError: it cannot be written, e.g. because the disk is full; the checkpoint before is as it was.
    """
    folder = root / f"{step:08d}"
    if launch.world() > 1:
        from nexus.distributed.checkpoint import save_sharded

        save_sharded(folder, model, optimizer, {**state, "step": step}, tensors=others)
        _remove_others(root, under_way=folder)  # what was under way before is finished now
        return folder
    folder = unused(folder)
    try:
        folder.mkdir(parents=True)
        tensors, scalars = flatten(optimizer.state_dict())
        save_tensors(folder / "model.safetensors", model.state_dict())
        save_tensors(folder / "training.safetensors", {**tensors, **others})
        described = {**state, "step": step, "optimizer": scalars}
        write_file(folder / STATE, json.dumps(described).encode())
        sync_folder(folder)
        sync_folder(root)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        before = latest(root)
        kept = f"the checkpoint of step {before.state['step']} is whole" if before else "there is none before it"
        raise TrainingError(
            f"the checkpoint of step {step} cannot be written to {root} ({error.strerror or error}); {kept}. Make room "
            "and run the same command again"
        ) from error
    _remove_others(root)
    return folder


def unused(folder: Path) -> Path:
    """Return a name that is not taken and sorts behind those that are: a step may be saved again, in another state."""
    taken = sorted(folder.parent.glob(f"{folder.name}*"))
    if not taken:
        return folder
    _, _, number = taken[-1].name.partition("-")
    return folder.with_name(f"{folder.name}-{int(number or 0) + 1:03d}")


def finish(root: Path) -> None:
    """Wait for a checkpoint that several processes are writing, and remove those before it.

    Raises:
        TrainingError: it cannot be written; the checkpoint before is as it was.
    """
    if launch.world() > 1:
        from nexus.distributed.checkpoint import finish_saving

        finish_saving()
        _remove_others(root)


def load(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    others: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Put a checkpoint back.

    Args:
        checkpoint: see `latest`.
        model: its whole state is replaced.
        optimizer: its state and the hyperparameters of its groups are replaced.
        others: tensors like the further ones that `save` was given; they may be overwritten.

    Returns:
        The further tensors that `save` was given.

    Raises:
        TrainingError: it does not fit the model or the optimiser.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    others = others or {}
    if checkpoint.sharded:
        from nexus.distributed.checkpoint import load_sharded

        load_sharded(checkpoint.folder, model, optimizer, tensors=others)
        return dict(others)
    try:
        whole = load_file(checkpoint.folder / "model.safetensors")
        own = model.state_dict()
        model.load_state_dict({key: sharded_as(whole[key], own.get(key, whole[key])) for key in whole})
        tensors: dict[str, Tensor] = load_file(checkpoint.folder / "training.safetensors")
        values = {key: tensors.pop(key) for key in list(tensors) if key.startswith(PREFIX)}
        optimizer.load_state_dict(_spread(unflatten(values, checkpoint.state["optimizer"]), optimizer))
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{checkpoint.folder} does not fit this run ({error}); train into a new folder, or remove this one to "
            "begin anew"
        ) from error
    return {key: sharded_as(tensor, others.get(key, tensor)) for key, tensor in tensors.items()}


def _spread(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What an optimiser keeps for each weight, sharded as the weight is."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = sharded_as(value, weights[number])
    return state


PREFIX = "optimizer."


def flatten(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimiser's `state_dict` into tensors by name, and the rest, which JSON can say."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, dict[str, Any]] = {}
    for number, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{PREFIX}{number}.{name}"] = value
            else:
                rest.setdefault(str(number), {})[name] = value
    groups = [{key: value for key, value in group.items() if key != "params"} for group in state["param_groups"]]
    params = [group["params"] for group in state["param_groups"]]
    return tensors, {"state": rest, "groups": groups, "params": params}


def unflatten(tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `flatten`."""
    state: dict[int, dict[str, Any]] = {int(number): dict(values) for number, values in rest["state"].items()}
    for key, tensor in tensors.items():
        number, name = key.removeprefix(PREFIX).split(".", 1)
        state.setdefault(int(number), {})[name] = tensor
    groups = [
        {**{key: tuple(value) if isinstance(value, list) else value for key, value in group.items()}, "params": params}
        for group, params in zip(rest["groups"], rest["params"], strict=True)
    ]
    return {"state": state, "param_groups": groups}


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file that is on the disk when this returns."""
    from safetensors.torch import save_file

    save_file({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _remove_others(root: Path, under_way: Path | None = None) -> None:
    if not launch.is_main():
        return
    finished = [folder for folder in sorted(root.iterdir()) if (folder / STATE).exists()]
    for folder in sorted(root.iterdir()):
        if folder not in (*finished[-KEPT:], under_way):
            # Without its state it no longer counts, whenever the removal is cut short.
            (folder / STATE).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
