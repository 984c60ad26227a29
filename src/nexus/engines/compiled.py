"""`torch.compile`: PyTorch's own compiler; generates C++ for the CPU and Triton kernels for CUDA."""

from __future__ import annotations

import warnings

import torch

from nexus.engines.base import Job
from nexus.engines.eager import EagerEngine, prepare, to_device
from nexus.errors import EngineError

__all__ = ["build"]


def build(job: Job, *, name: str, bf16: bool) -> EagerEngine:
    """Build the engine and compile it, for any batch size, by running the example.

    Raises:
        EngineError: the model does not compile.
    """
    forward = prepare(job)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler's own use of what PyTorch deprecates
            engine = EagerEngine(name, torch.compile(forward), job.device, bf16=bf16)
            example = to_device(job.example, job.device)
            torch._dynamo.maybe_mark_dynamic(example, 0)  # one graph for all batch sizes, where the model allows it
            engine.run(example)
    except Exception as error:  # Dynamo, Inductor and the C++ compiler each raise their own
        raise EngineError(f"torch.compile cannot take {type(job.model).__name__}: {error}") from error
    return engine
