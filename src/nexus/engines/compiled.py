"""`torch.compile`: PyTorch's own compiler; generates C++ for the CPU and Triton kernels for CUDA."""

from __future__ import annotations

import warnings

import torch

from nexus.engines.base import Job
from nexus.engines.eager import EagerEngine, prepare
from nexus.errors import EngineError

__all__ = ["build"]


def build(job: Job, *, name: str, bf16: bool) -> EagerEngine:
    """Build the engine and compile it, for any batch size, by running the example.

    Raises:
        EngineError: the model does not compile.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler's own use of what PyTorch deprecates
            engine = EagerEngine(name, torch.compile(prepare(job)), job.device, bf16=bf16)
            engine(job.example)
    except Exception as error:  # Dynamo, Inductor and the C++ compiler each raise their own
        raise EngineError(f"torch.compile cannot take {type(job.model).__name__}: {error}") from error
    return engine
