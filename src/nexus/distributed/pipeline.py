"""Pipeline parallelism: each process has some of a model's blocks, and micro-batches flow through them all.

The model is cut from outside, between two of its `blocks`, by torch.distributed.pipelining, which traces it: it must be
one that `torch.export` can follow, and all micro-batches have one size. Sources: Huang et al. 2019, "GPipe"; Narayanan
et al. 2019, "PipeDream" (one forward, one backward: 1F1B).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import Schedule1F1B, ScheduleGPipe, SplitPoint, pipeline

from nexus.distributed.launch import all_reduce_sum, gather_objects, is_main, rank, world
from nexus.errors import ConfigError

__all__ = ["Pipeline"]

SCHEDULES = {"gpipe": ScheduleGPipe, "1f1b": Schedule1F1B}

MODEL = "model."
"""What stands before the model's own keys where it is cut."""


class Pipeline:
    """A classifier whose blocks are spread evenly over all processes.

    Args:
        model: with the same weights on every process, and `blocks`, at least one for each process.
        images: (b, 3, H, W), of the size of one micro-batch; what they show does not matter.
        micro_batches: into how many a batch is cut; the more, the less the processes wait for one another.
        loss: of (b, K) logits and (b, ...) targets a scalar; those of the micro-batches are summed.
        device: of this process; see `nexus.distributed.launch.process_group`.
        schedule: ``gpipe``: all micro-batches forward, then all backward; ``1f1b``: backward as soon as can be, so that
            no process keeps more activations than there are processes.

    Attributes:
        stage: this process's part, with the weights to optimise.

    Raises:
        ConfigError: one process, fewer blocks than processes, or (1f1b) fewer micro-batches than processes.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        *,
        micro_batches: int,
        loss: Callable[[Tensor, Tensor], Tensor],
        device: torch.device,
        schedule: Literal["gpipe", "1f1b"] = "1f1b",
    ) -> None:
        cuts = {f"{MODEL}{name}": SplitPoint.BEGINNING for name in _first_blocks(model, world())}
        if schedule == "1f1b" and micro_batches < world():
            raise ConfigError(
                f"{micro_batches} micro-batches cannot keep {world()} processes busy: use {world()} or more"
            )
        with warnings.catch_warnings():  # torch copies its own trees in a way that it warns of
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            parts = pipeline(_Logits(model.to(device)), (images.to(device),), split_spec=cuts)
            stage = parts.build_stage(rank(), device)
        self.stage: nn.Module = stage.submod
        self.device = device
        self._schedule = SCHEDULES[schedule](stage, micro_batches, loss_fn=loss, scale_grads=False)

    def step(self, images: Tensor, targets: Tensor) -> Tensor:
        """Run a batch forward and backward; gradients are added to the weights of `stage`.

        Args:
            images: (B, 3, H, W), B = b * `micro_batches`; read on the first process only.
            targets: (B, ...); read on the last process only.

        Returns:
            The summed loss, a scalar, the same on all processes.
        """
        losses: list[Tensor] = []
        first, last = is_main(), rank() == world() - 1
        parts = [images.to(self.device)] if first else []
        if last:
            self._schedule.step(*parts, target=targets.to(self.device), losses=losses)
        else:
            self._schedule.step(*parts)
        return all_reduce_sum(torch.stack(losses).sum() if last else torch.zeros((), device=self.device))

    def weights(self) -> dict[str, Tensor]:
        """Return the state dict of the whole model, under its own keys: on process 0, and nothing on the others.

        Every process has to call it.
        """
        own = {key.removeprefix(MODEL): tensor.detach().cpu() for key, tensor in self.stage.state_dict().items()}
        described = gather_objects([[key, list(tensor.shape), str(tensor.dtype)] for key, tensor in own.items()])
        whole: dict[str, Tensor] = {}
        for source, tensors in enumerate(described):
            for key, shape, dtype in tensors:
                if rank() == source:
                    tensor = own[key].contiguous()
                else:
                    tensor = torch.empty(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
                dist.broadcast(tensor, src=source)
                if is_main():
                    whole[key] = tensor
        return whole


class _Logits(nn.Module):
    """A model that takes and gives one tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images, outputs=("logits",))["logits"]
        return logits


def _first_blocks(model: nn.Module, parts: int) -> list[str]:
    """Return the names of the blocks with which the second part and those after it begin."""
    blocks = list(getattr(model, "blocks", ()))
    if parts == 1:
        raise ConfigError("a pipeline needs several processes: torchrun --nproc-per-node N")
    if len(blocks) < parts:
        raise ConfigError(f"{type(model).__name__} has {len(blocks)} blocks, too few for {parts} processes")
    names = {module: name for name, module in model.named_modules()}
    return [names[blocks[part * len(blocks) // parts]] for part in range(1, parts)]
