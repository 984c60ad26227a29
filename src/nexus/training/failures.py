"""What can go wrong in a step, and what a person is told of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from nexus._files import write_file
from nexus.datasets.loader import Samples
from nexus.errors import TrainingError
from nexus.models.base import NexusModule
from nexus.training.checkpoint import save_tensors
from nexus.training.config import TrainConfig
from nexus.training.run_folder import RunFolder

__all__ = ["memory_in_use", "not_finite", "out_of_memory_explained"]


@contextmanager
def out_of_memory_explained(config: TrainConfig, batch: Sequence[Samples]) -> Iterator[None]:
    """Say, where memory runs out, what took it and what to change.

    Raises:
        TrainingError: in place of the error of PyTorch or Python.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not (isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)):
            raise
        most = max(batch, key=lambda samples: len(samples.images)).images
        height, width = most.shape[1:3]
        raise TrainingError(
            f"memory ran out with {len(most)} pictures of {height}x{width} pixels at once (batch_size = "
            f"{config.batch_size}, micro_batch = {config.micro_batch}). Three things help: a smaller micro_batch (the "
            "gradients of a batch are then added up in parts, with the same result), gradient_checkpointing = true, or "
            "smaller pictures (size)"
        ) from error


def not_finite(
    folder: RunFolder, model: NexusModule, step: int, said: str, batch: Sequence[Samples], rank: int
) -> TrainingError:
    """Save what gave a loss or a gradient that is no number, and return the error to raise.

    ``not_finite/`` gets the model as it was before the step, and the batch with its seeds: enough to do the step again.

    Args:
        folder: of the run.
        model: whose step it was.
        step: steps done before.
        said: what is wrong, e.g. ``"loss is nan"``.
        batch, rank: this process's share of the step, and its number.
    """
    place = folder.path / "not_finite"
    place.mkdir(exist_ok=True)
    for number, samples in enumerate(batch):
        tensors = {name: value for name, value in samples._asdict().items() if isinstance(value, torch.Tensor)}
        save_tensors(place / f"batch-{rank}-{number}.safetensors", tensors)
    if rank == 0:
        save_tensors(place / "model.safetensors", model.state_dict())
        write_file(place / "step.json", json.dumps({"step": step, "said": said}).encode())
    return TrainingError(
        f"step {step + 1}: the {said}. The model before that step and the batch are in {place}. Usual causes: a "
        "learning rate that is too high (lower lr, or raise schedule.warmup_epochs), fp16 (take precision = bf16 or "
        "fp32), no clip_grad"
    )


def memory_in_use(device: torch.device) -> int:
    """Return the highest number of bytes that this process has used so far, on its device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
