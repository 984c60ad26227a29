"""How many images go through a model at once: as many as are of use, and fit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nexus._system import available_memory
from nexus.engines.base import Forward, Job, leaves

__all__ = ["batch_size_for", "bytes_per_image"]

USEFUL = {"cpu": 16, "cuda": 128, "mps": 32, "xpu": 64}
"""Beyond this a larger batch gains nothing measurable (DINOv2-S: 8 to 16 on two cores)."""

SHARE = 0.25
"""Of the free memory: three batches are held at once, and the machine is not ours alone."""

ALIVE = 4
"""Tensors of the largest size that are alive at once in a residual block: its input, a branch, and two temporaries."""


def batch_size_for(job: Job) -> int:
    """Return the batch size that suits a job, at least 1."""
    fits = SHARE * _free_memory(job.device) // bytes_per_image(job)
    return int(max(1, min(USEFUL[job.device.type], fits)))


def bytes_per_image(job: Job) -> int:
    """Estimate the memory that one image takes on its way through the model: activations, input and outputs.

    It runs one image through the model and looks at the outputs of all its layers.
    """
    forward, largest = job.forward().to(job.device), 0

    def look(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal largest
        tensors = [leaf for _, leaf in leaves(output) if isinstance(leaf, Tensor)]
        largest = max([largest, *(tensor.nbytes for tensor in tensors)])

    hooks = [module.register_forward_hook(look) for module in forward.modules() if not isinstance(module, Forward)]
    try:
        with torch.inference_mode():
            outputs = forward(torch.from_numpy(np.ascontiguousarray(job.example[:1])).to(job.device))
    finally:
        for hook in hooks:
            hook.remove()
    return int(ALIVE * largest + job.example[:1].nbytes + sum(leaf.nbytes for _, leaf in leaves(outputs)))


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_memory()
