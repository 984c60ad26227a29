"""ZeRO by DeepSpeed, for jobs that have it already; FSDP2 (`nexus.distributed.shard`) needs nothing but torch.

Stage 1 shares out the optimiser's state among the processes, 2 the gradients too, 3 the weights too. Source:
Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models".
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from nexus.distributed.launch import world
from nexus.errors import ConfigError, require

__all__ = ["ZeRO"]


class ZeRO:
    """A model and its optimiser, shared out by DeepSpeed.

    Gradients are averaged over the processes, as with `nexus.distributed.shard.parallelise`.

    Args:
        model: on its device, with the same weights on every process.
        optimizer: of its weights, built before; any of torch's.
        stage: 1, 2 or 3, see above.
        max_norm: norm to which gradients are clipped; 0: not at all.
        micro_batches: micro-batches to one step of the optimiser.

    Attributes:
        network: what to call instead of the model.

    Raises:
        ConfigError: there is one process.
        MissingDependencyError: DeepSpeed is not installed.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        stage: Literal[1, 2, 3] = 2,
        max_norm: float = 0.0,
        micro_batches: int = 1,
    ) -> None:
        if world() == 1:
            raise ConfigError("ZeRO needs several processes: torchrun --nproc-per-node N")
        deepspeed = require("deepspeed", "deepspeed")
        settings = {
            "train_micro_batch_size_per_gpu": 1,  # only DeepSpeed's own loader and its log read it
            "gradient_accumulation_steps": micro_batches,
            "gradient_clipping": max_norm,
            "zero_optimization": {"stage": stage},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
        }
        engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=settings, dist_init_required=False)
        self.network: nn.Module = engine
        self._engine: Any = engine

    def step(self, loss: Tensor) -> float:
        """Add the gradients of one micro-batch; behind the last one the optimiser does its step, and forgets them.

        Args:
            loss: multiplied by the number of processes, as for DDP; those of the micro-batches are summed.

        Returns:
            The norm of all gradients before they were clipped, in the last optimiser step; 0 before the first.
        """
        self._engine.backward(loss, scale_wrt_gas=False)
        self._engine.step()
        return float(self._engine.get_global_grad_norm() or 0.0)
