"""Checkpoints of a model that is spread over processes, which any number of processes reads back.

A folder holds ``state.json`` and, in a folder that it names, what each process wrote of the tensors: safetensors, with
the place of each piece in its whole (torch.distributed.checkpoint's `HuggingFaceStorageWriter`). Everything that is not
a tensor is in ``state.json``, so that nothing is ever unpickled: torch's default format pickles its table of contents.
A save writes a new folder of tensors and makes sure that it is on the disk; to replace ``state.json`` then is what
makes it the checkpoint. A save that is killed, or finds the disk full, leaves the one before valid.

All processes need to see the same file system.
"""

from __future__ import annotations

import json
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save
from torch.distributed.checkpoint.storage import WriteResult

from nexus._files import sync_folder, write_file
from nexus.distributed.launch import broadcast_text, is_main, world
from nexus.distributed.shard import unwrap
from nexus.errors import CheckpointMismatchError, ConfigError, TrainingError

__all__ = ["FORMAT_VERSION", "Handle", "finish_saving", "load_sharded", "save_sharded"]

FORMAT_VERSION = 1
"""Version of the folders that `save_sharded` writes."""

STATE = "state.json"
TENSORS = "tensors-"


class Handle:
    """A save that may still be under way."""

    def __init__(self, tensors: Path, future: Future[Any], group: dist.ProcessGroup | None = None) -> None:
        self._tensors, self._future, self._group = tensors, future, group

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self._future.done()

    def wait(self) -> None:
        """Wait until the checkpoint is on the disk and valid: before the processes part, at the latest.

        Raises:
            TrainingError: it could not be written, and why; the checkpoint before is still valid.
        """
        try:
            self._future.result()
        except CheckpointException as error:
            if is_main():
                shutil.rmtree(self._tensors, ignore_errors=True)
            reasons = dict.fromkeys(str(reason) for reason, _ in error.failures.values())
            raise TrainingError(
                f"the checkpoint {self._tensors.parent} could not be written: {'; '.join(reasons)}. The one before is "
                "still valid; see that there is room for another, then resume"
            ) from error
        finally:
            if self._group is not None:
                dist.destroy_process_group(self._group)
                self._group = None


def save_sharded(
    folder: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    extra: Mapping[str, Any],
    *,
    tensors: Mapping[str, Tensor] | None = None,
) -> Handle:
    """Save what this process has of a model and its optimiser, together with all others.

    With several processes the tensors are copied to memory and written while training goes on; with one they are
    written at once. A save that is still under way is waited for.

    Args:
        folder: where; what it holds is replaced when the new checkpoint is complete.
        model: what `nexus.distributed.shard.parallelise` returned.
        optimizer: of the model's weights.
        extra: what else to keep, in JSON's types; process 0's is kept.
        tensors: further tensors to keep, e.g. averaged weights: alike on all processes, or sharded.

    Raises:
        ConfigError: a value of the optimiser is not one of JSON's.
        TrainingError: the save before this one failed, or with one process this one.
    """
    folder = Path(folder)
    finish_saving()
    if is_main():
        folder.mkdir(parents=True, exist_ok=True)
    values, described = _optimizer_parts(model, optimizer)
    state = {"format": FORMAT_VERSION, "kind": "sharded", "optimizer": described, "extra": dict(extra)}
    content = _model_parts(model) | values | {f"extra.{name}": tensor for name, tensor in (tensors or {}).items()}
    writer = _Writer(folder, broadcast_text(TENSORS + uuid.uuid4().hex[:8]), state)
    if world() == 1:
        handle = Handle(writer.tensors, _saved(content, writer))
        handle.wait()
    else:
        # A group of its own, so that it does not get between the exchanges of training.
        group = dist.new_group(backend="gloo")
        future = async_save(content, storage_writer=writer, process_group=group)
        assert isinstance(future, Future)
        handle = Handle(writer.tensors, future, group)
        _under_way.append(handle)
    return handle


_under_way: list[Handle] = []


def finish_saving() -> None:
    """Wait for a save that is still under way; see `Handle.wait`."""
    while _under_way:
        _under_way.pop().wait()


def _saved(content: dict[str, Tensor], writer: _Writer) -> Future[Any]:
    future: Future[Any] = Future()
    try:
        with _alone_is_fine():
            future.set_result(save(content, storage_writer=writer, no_dist=True))
    except CheckpointException as error:
        future.set_exception(error)
    return future


class _Writer(HuggingFaceStorageWriter):
    """Writes tensors; process 0 then makes them the checkpoint."""

    def __init__(self, folder: Path, name: str, state: dict[str, Any]) -> None:
        self.tensors = folder / name
        super().__init__(str(self.tensors), save_distributed=True)
        self.state = state

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Called on process 0, when the files of all processes are on the disk."""
        super().finish(metadata, results)
        folder = self.tensors.parent
        sync_folder(self.tensors)
        files = {file.name: file.stat().st_size for file in sorted(self.tensors.iterdir())}
        state = {**self.state, "tensors": self.tensors.name, "files": files}
        write_file(folder / STATE, (json.dumps(state, indent=1) + "\n").encode())
        sync_folder(folder)
        for earlier in folder.glob(f"{TENSORS}*"):
            if earlier != self.tensors:
                shutil.rmtree(earlier, ignore_errors=True)


def load_sharded(
    folder: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    *,
    tensors: Mapping[str, Tensor] | None = None,
) -> dict[str, Any]:
    """Load a checkpoint, whatever number of processes wrote it and however the model was spread over them.

    Args:
        folder: what `save_sharded` wrote.
        model: what `nexus.distributed.shard.parallelise` returned; its weights are replaced.
        optimizer: of the model's weights, with the groups that it was saved with; None leaves it out.
        tensors: the further tensors that were saved; they are overwritten.

    Returns:
        `extra`, as it was given to `save_sharded`.

    Raises:
        TrainingError: there is no checkpoint, a file of it is missing or cut, or it is of a newer nexus.
        CheckpointMismatchError: it is of another model.
        ConfigError: the optimiser has other groups of weights.
    """
    folder = Path(folder)
    state = _read_state(folder)
    reader = HuggingFaceStorageReader(str(folder / state["tensors"]))
    kept: dict[str, Any] = reader.read_metadata().state_dict_metadata
    content = _model_parts(model)
    _check_model(content, kept, folder, model)
    content |= {f"extra.{name}": tensor for name, tensor in (tensors or {}).items()}
    values = _room_for_values(model, kept) if optimizer is not None else {}
    with _alone_is_fine():
        load(content | values, storage_reader=reader, no_dist=world() == 1)
    if optimizer is not None:
        _load_optimizer(model, optimizer, values, state["optimizer"], folder)
    extra: dict[str, Any] = state["extra"]
    return extra


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{folder} holds no checkpoint: {error}") from None
    if state.get("kind") != "sharded":
        raise TrainingError(f"{folder} holds a checkpoint, but not one of many processes")
    if state["format"] > FORMAT_VERSION:
        raise TrainingError(f"{folder} has format {state['format']}, this nexus reads up to {FORMAT_VERSION}")
    for name, size in state["files"].items():
        file = folder / state["tensors"] / name
        if not file.is_file() or file.stat().st_size != size:
            raise TrainingError(f"{file} is missing or not {size} bytes long: copy the checkpoint again, as a whole")
    return state


# -- the model, and its optimiser, as tensors with names ------------------------------------------------------------


def _model_parts(model: nn.Module) -> dict[str, Tensor]:
    return {f"model.{name}": tensor for name, tensor in unwrap(model).state_dict().items()}


def _check_model(own: Mapping[str, Tensor], kept: Mapping[str, Any], folder: Path, model: nn.Module) -> None:
    theirs = {key: tuple(meta.size) for key, meta in kept.items() if key.startswith("model.")}
    ours = {key: tuple(tensor.shape) for key, tensor in own.items()}
    reshaped = [(key, theirs[key], ours[key]) for key in theirs.keys() & ours.keys() if theirs[key] != ours[key]]
    if theirs.keys() != ours.keys() or reshaped:
        raise CheckpointMismatchError(
            str(folder),
            type(unwrap(model)).__name__,
            missing=ours.keys() - theirs.keys(),
            unexpected=theirs.keys() - ours.keys(),
            reshaped=reshaped,
        )


def _optimizer_parts(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors that an optimiser keeps for each weight, and everything else, in JSON's types."""
    named = {weight: name for name, weight in unwrap(model).named_parameters()}
    tensors: dict[str, Tensor] = {}
    others: dict[str, dict[str, Any]] = {}
    for weight, values in _values(optimizer):
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{named[weight]}.{key}"] = value
            else:
                others.setdefault(named[weight], {})[key] = _plain(key, value)
    groups = [
        {key: _plain(key, value) for key, value in group.items() if key != "params"}
        | {"params": [named[weight] for weight in group["params"]]}
        for group in optimizer.param_groups
    ]
    return tensors, {"groups": groups, "others": others}


def _values(optimizer: torch.optim.Optimizer) -> Iterator[tuple[nn.Parameter, dict[str, Any]]]:
    yield from optimizer.state.items()  # type: ignore[misc]  # its stub says Tensor


def _plain(key: str, value: Any) -> Any:
    """A value in JSON's types; a tensor of one element, such as a learning rate, is its number."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(key, entry) for entry in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise ConfigError(f"the optimiser has {key} = {value!r}, which cannot be written to a checkpoint")


def _room_for_values(model: nn.Module, kept: Mapping[str, TensorStorageMetadata]) -> dict[str, Tensor]:
    """Return tensors to read an optimiser's into. What has the shape of its weight is sharded as the weight is."""
    weights = dict(unwrap(model).named_parameters())
    room: dict[str, Tensor] = {}
    for key, meta in kept.items():
        if key.startswith("optimizer."):
            weight = weights[_weight_of(key)[0]]
            like = weight.detach() if weight.shape == meta.size else torch.empty(meta.size)
            room[key] = torch.zeros_like(like, dtype=meta.properties.dtype)
    return room


def _weight_of(key: str) -> tuple[str, str]:
    """``optimizer.blocks.0.norm.weight.exp_avg`` -> the weight's name and the value's."""
    name, _, value = key.removeprefix("optimizer.").rpartition(".")
    return name, value


def _load_optimizer(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    values: Mapping[str, Tensor],
    described: Mapping[str, Any],
    folder: Path,
) -> None:
    named = {weight: name for name, weight in unwrap(model).named_parameters()}
    groups = [[named[weight] for weight in group["params"]] for group in optimizer.param_groups]
    if groups != [group["params"] for group in described["groups"]]:
        raise ConfigError(
            f"the optimiser has other groups of weights than the one saved in {folder}: use the same weight decay, "
            "learning rates by layer and frozen weights, or load the model alone"
        )
    numbers = {name: number for number, name in enumerate(name for group in groups for name in group)}
    state: dict[int, dict[str, Any]] = {numbers[name]: dict(other) for name, other in described["others"].items()}
    for key, tensor in values.items():
        name, value = _weight_of(key)
        state.setdefault(numbers[name], {})[value] = tensor
    restored = [
        {key: tuple(value) if isinstance(now.get(key), tuple) else value for key, value in group.items()}
        | {"params": [numbers[name] for name in group["params"]]}
        for group, now in zip(described["groups"], optimizer.param_groups)
    ]
    optimizer.load_state_dict({"state": state, "param_groups": restored})


@contextmanager
def _alone_is_fine() -> Iterator[None]:
    """torch warns where one process loads or saves."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield
