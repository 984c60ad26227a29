"""PyTorch as written: the reference that every other engine is held against (fp32), and its bf16 twin."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from nexus._system import keep_freed_memory
from nexus.engines.base import Forward, Job, Outputs, to_numpy
from nexus.layers import lay_out

__all__ = ["EagerEngine", "build"]


class EagerEngine:
    """A module called directly, without gradients.

    Args:
        name: as in `nexus.engines.names`.
        forward: what to call; a `Forward`, compiled or not.
        device: where its parameters are, and the input goes.
        bf16: run under bf16 autocast: weights stay as they are, and norms and softmax stay in fp32.
    """

    def __init__(
        self, name: str, forward: Callable[[Tensor], Outputs], device: torch.device, *, bf16: bool = False
    ) -> None:
        self.name = name
        self._forward, self._device, self._bf16 = forward, device, bf16

    def __call__(self, images: np.ndarray) -> Outputs:
        return self.run(to_device(images, self._device))

    def run(self, batch: Tensor) -> Outputs:
        """Run a batch that is on the device."""
        with torch.inference_mode(), self._precision():
            return to_numpy(self._forward(batch))

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self._device.type, torch.bfloat16) if self._bf16 else nullcontext()


def build(job: Job, *, name: str, bf16: bool) -> EagerEngine:
    """Build an engine that needs no conversion."""
    return EagerEngine(name, prepare(job), job.device, bf16=bf16)


def prepare(job: Job) -> Forward:
    """Return the forward pass on its device, with the threads, the memory and the memory format that suit it."""
    if job.device.type == "cpu":
        keep_freed_memory()
        if torch.get_num_threads() > job.threads:
            torch.set_num_threads(job.threads)  # PyTorch counts the machine's cores, not the container's
    forward = job.forward().to(job.device).eval()
    lay_out(forward)
    return forward


def to_device(images: np.ndarray, device: torch.device) -> Tensor:
    """Return a batch as a tensor on a device; to CUDA through pinned memory, so that the copy does not block."""
    batch = torch.from_numpy(np.ascontiguousarray(images))
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
