"""Join the processes that `torchrun` started, and let them talk.

One process needs none of this: every function here then answers at once, as the only one of its kind.
Messages between processes are tensors and JSON, never pickles.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from nexus.errors import ConfigError

__all__ = [
    "all_reduce_max",
    "all_reduce_sum",
    "barrier",
    "broadcast_text",
    "gather_objects",
    "is_main",
    "process_group",
    "rank",
    "world",
]

BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl", "xpu": "cpu:gloo,xpu:xccl"}
"""Type of a device -> what its processes talk through; messages and checkpoints go from CPU to CPU."""

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process that it starts."""

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others: one of them may be fetching weights."""

PEER_LOST_WAIT = 2.0
"""Seconds by which a process that lost another one speaks later than the one that failed (torchrun counts in whole
seconds, and shows the first)."""


@contextmanager
def process_group(device: torch.device, *, timeout: timedelta = TIMEOUT) -> Iterator[torch.device]:
    """Join the other processes of this job, and leave them at the end.

    A failure in here is written where torchrun looks for it; torchrun then ends the other processes and shows it.
    Without torchrun, with one process, or inside another such group, nothing happens.

    Args:
        device: what to train on; a ``cuda`` device without a number becomes this process's own.
        timeout: how long to wait for the others in one exchange.

    Yields:
        The device of this process.

    Raises:
        ConfigError: torchrun's variables are incomplete, there are more processes than devices on this machine, or
            the device cannot be shared out among processes.
    """
    if dist.is_initialized() or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    device = _own_device(device)
    dist.init_process_group(BACKENDS[device.type], timeout=timeout, device_id=None if device.index is None else device)
    try:
        yield device
    except Exception as error:
        if _lost_a_peer(error):
            time.sleep(PEER_LOST_WAIT)
        get_error_handler().record_exception(error)
        raise  # and leave the group standing: taking it down would wait for the processes that still are at work
    dist.destroy_process_group()


def _own_device(device: torch.device) -> torch.device:
    """Make a kind of device this process's own one."""
    if missing := [name for name in VARIABLES if name not in os.environ]:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {', '.join(missing)} of torchrun's variables are not set; "
            "start with: torchrun --nproc-per-node N -m nexus ..."
        )
    if device.type not in BACKENDS:
        raise ConfigError(f"several processes cannot share device {device.type!r}; use one of {', '.join(BACKENDS)}")
    if device.type == "cpu":
        return device
    accelerators, local = torch.get_device_module(device), int(os.environ["LOCAL_RANK"])
    if local >= (count := accelerators.device_count()):
        raise ConfigError(
            f"this is process {local} of its machine (counted from 0), which has {count} {device.type} devices: "
            f"torchrun --nproc-per-node {count}"
        )
    accelerators.set_device(local)
    return torch.device(device.type, local)


def _lost_a_peer(error: Exception) -> bool:
    """Whether an error only says that another process is gone."""
    return isinstance(error, dist.DistError) or ("gloo" in str(error) and "peer" in str(error))


def rank() -> int:
    """Return the number of this process among all of the job, 0 <= rank < `world`."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return the number of processes of the job."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Return whether this process is the one that prints, and writes what is written once."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; the tensor itself is left alone."""
    return _all_reduced(tensor, dist.ReduceOp.SUM)


def all_reduce_max(tensor: Tensor) -> Tensor:
    """Return the largest of each element over all processes; the tensor itself is left alone."""
    return _all_reduced(tensor, dist.ReduceOp.MAX)


def _all_reduced(tensor: Tensor, operation: Any) -> Tensor:
    total = tensor.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(total, operation)
    return total


def gather_objects(value: Any) -> list[Any]:
    """Return what each process has to say, in the order of their ranks, on every process.

    Args:
        value: anything that JSON can say.
    """
    if not dist.is_initialized():
        return [value]
    message = _encoded(json.dumps(value))
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(world())]
    dist.all_gather(lengths, torch.tensor([message.numel()]))
    longest = max(int(length) for length in lengths)
    messages = [torch.zeros(longest, dtype=torch.uint8) for _ in lengths]
    dist.all_gather(messages, torch.nn.functional.pad(message, (0, longest - message.numel())))
    return [json.loads(_decoded(padded[: int(length)])) for padded, length in zip(messages, lengths)]


def broadcast_text(text: str) -> str:
    """Return the text of process 0 on every process.

    Args:
        text: on process 0 what to tell; on the others it is not looked at.
    """
    if not dist.is_initialized():
        return text
    message = _encoded(text)
    length = torch.tensor([message.numel()])
    dist.broadcast(length, src=0)
    if not is_main():
        message = torch.zeros(int(length), dtype=torch.uint8)
    dist.broadcast(message, src=0)
    return _decoded(message)


def _encoded(text: str) -> Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) if text else torch.zeros(0, dtype=torch.uint8)


def _decoded(message: Tensor) -> str:
    return message.numpy().tobytes().decode()
