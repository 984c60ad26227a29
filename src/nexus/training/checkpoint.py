"""Checkpoints of a run: everything that its next step depends on, as safetensors and JSON.

A checkpoint is a folder named by its step. Its ``state.json`` is written last: a folder without one was never finished
and does not count. So a process that is killed, or a disk that fills up, while saving leaves the checkpoint before.
No random state is kept, because none is needed: every draw follows from the run's seed and what it is for.
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
from nexus.errors import TrainingError

__all__ = ["Checkpoint", "latest", "load", "save"]

STATE = "state.json"
KEPT = 1
"""Finished checkpoints that are left; the best model is beside them, at the root of the run."""


@dataclass(frozen=True)
class Checkpoint:
    """A finished checkpoint.

    Attributes:
        folder: where it lies.
        state: what JSON can say: step, epoch, best value, hyperparameters of the optimiser, ...
    """

    folder: Path
    state: dict[str, Any]


def latest(root: Path) -> Checkpoint | None:
    """Return the finished checkpoint of the highest step, or None."""
    folders = sorted(root.iterdir(), reverse=True) if root.is_dir() else []
    for folder in folders:
        try:
            return Checkpoint(folder, json.loads((folder / STATE).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue  # never finished
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
    try:
        shutil.rmtree(folder, ignore_errors=True)
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


def load(checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Put a checkpoint back.

    Returns:
        The further tensors that `save` was given.

    Raises:
        TrainingError: it does not fit the model or the optimiser.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(checkpoint.folder / "model.safetensors"))
        tensors: dict[str, Tensor] = load_file(checkpoint.folder / "training.safetensors")
        own = {key: tensors.pop(key) for key in list(tensors) if key.startswith(PREFIX)}
        optimizer.load_state_dict(unflatten(own, checkpoint.state["optimizer"]))
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{checkpoint.folder} does not fit this run ({error}); train into a new folder, or remove this one to "
            "begin anew"
        ) from error
    return tensors


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


def _remove_others(root: Path) -> None:
    finished = [folder for folder in sorted(root.iterdir()) if (folder / STATE).exists()]
    for folder in sorted(root.iterdir()):
        if folder not in finished[-KEPT:]:
            # Without its state it no longer counts, whenever the removal is cut short.
            (folder / STATE).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
