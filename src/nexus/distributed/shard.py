"""Spread one model over the processes of a job: whole copies (DDP) or shards of it (FSDP2).

Both average gradients over the processes. A loss that is a sum over one process's samples is therefore multiplied by
the number of processes and divided by the number of samples of all: what comes out is the mean over all of them,
however unevenly they are spread.

What torch has for shards takes a second to import, so that it is imported where there are several processes.

Sources: Li et al. 2020, "PyTorch Distributed" (DDP); Zhao et al. 2023, "PyTorch FSDP"; Rajbhandari et al. 2020, "ZeRO".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nexus.distributed.launch import world
from nexus.errors import ConfigError, did_you_mean

__all__ = [
    "Parallel",
    "Precision",
    "clip_gradients",
    "full_weights",
    "micro_batch",
    "parallelise",
    "sharded_as",
    "unwrap",
]

Parallel = Literal["none", "ddp", "fsdp"]
"""How a model is spread over processes."""

Precision = Literal["fp32", "bf16", "fp16"]
"""What a model computes in; weights and gradients between steps are always fp32."""

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def parallelise(
    model: nn.Module, parallel: Parallel, device: torch.device, *, precision: Precision = "fp32"
) -> nn.Module:
    """Put a model on its device and make its gradients those of all processes. Build the optimiser after this.

    Args:
        model: with the same weights on every process. Its `blocks`, where it has them, are the units of sharding.
        parallel: ``ddp``: every process has the whole model; ``fsdp``: each keeps a shard of every weight, gradient and
            optimiser state, and has a block whole only while it computes with it.
        device: of this process; see `nexus.distributed.launch.process_group`.
        precision: what FSDP gathers weights in and computes in; gradients are reduced in fp32. For ``ddp`` and
            ``none`` the training loop's autocast decides, and this changes nothing.

    Returns:
        For one process, or ``none``, the model itself; for ``fsdp`` too, changed in place; for ``ddp`` a module around
        it, if it has weights to learn. `unwrap` gives the model back.

    Raises:
        ConfigError: no such way; several processes and ``none``; or a weight without dimensions, which FSDP cannot
            shard.
    """
    if parallel not in get_args(Parallel):
        raise ConfigError(
            f"parallel = {parallel!r} is none of {', '.join(get_args(Parallel))}"
            f"{did_you_mean(parallel, get_args(Parallel))}"
        )
    model = model.to(device)
    if world() == 1:
        return model
    if parallel == "none":
        raise ConfigError(f"parallel = 'none', but torchrun started {world()} processes: use 'ddp' or 'fsdp'")
    if parallel == "ddp":
        learns = any(weight.requires_grad for weight in model.parameters())
        return Replicated(model, device) if learns else model
    return _sharded(model, device, precision)


class Replicated(DistributedDataParallel):
    """DDP of a static graph: weights that nothing reads (a mask token) are found once, not searched in every step."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        own = None if device.index is None else [device.index]
        super().__init__(model, device_ids=own, gradient_as_bucket_view=True, static_graph=True)
        self.knows_graph = False

    @contextmanager
    def accumulating(self, last: bool) -> Iterator[None]:
        """Exchange gradients in the last micro-batch, and in the very first, in which alone DDP looks at the graph.

        To exchange one time more changes nothing: the mean of what is the same everywhere already is the same.
        """
        with nullcontext() if last or not self.knows_graph else self.no_sync():
            yield
        self.knows_graph = True


def _sharded(model: nn.Module, device: torch.device, precision: Precision) -> nn.Module:
    """FSDP2: one unit for each block, and one for what is left."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    if scalars := [name for name, weight in model.named_parameters() if weight.ndim == 0]:
        raise ConfigError(f"FSDP cannot shard {', '.join(scalars)}: no dimensions; use parallel = 'ddp'")
    # Outputs such as class tokens are views; nothing changes a model's outputs in place, which is what torch warns of.
    warnings.filterwarnings("ignore", r"FSDP2-wrapped module .* returned a view tensor", UserWarning)
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # FSDP shards no other layout
    mesh = init_device_mesh(device.type, (world(),))
    mixed: dict[str, Any] = (
        {"param_dtype": DTYPES[precision], "reduce_dtype": torch.float32} if precision in DTYPES else {}
    )
    for block in getattr(model, "blocks", ()):
        fully_shard(block, mesh=mesh, mp_policy=MixedPrecisionPolicy(**mixed))
    name = type(model).__name__
    # Sharded again here too, or weights would be whole after a pass forward that none backward follows.
    policy = MixedPrecisionPolicy(**mixed, output_dtype=torch.float32)
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
    type(model).__name__ = name  # of the class that FSDP has made of the model's: its folder is to say the model's
    return model


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model that `parallelise` or `torch.compile` was given."""
    return list(_layers(model))[-1]


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    """What is around a model, from the outside in, and the model."""
    yield model
    if isinstance(model, DistributedDataParallel):
        yield from _layers(model.module)
    elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
        yield from _layers(inner)


@contextmanager
def micro_batch(model: nn.Module, *, last: bool) -> Iterator[None]:
    """Run the forward and backward pass of one micro-batch; gradients are exchanged in the `last` one only.

    FSDP gathers weights in every micro-batch, and DDP learns the graph in the first: all processes must run equally
    many. One without a picture left runs any other with its loss multiplied by zero.

    Args:
        model: what `parallelise` returned.
        last: whether this is the last micro-batch of the optimiser's step.
    """
    if world() == 1:
        yield
        return
    from torch.distributed.fsdp import FSDPModule

    with ExitStack() as stack:
        for layer in _layers(model):
            if isinstance(layer, FSDPModule):
                layer.set_requires_gradient_sync(last)
                layer.set_is_last_backward(last)
            elif isinstance(layer, Replicated):
                stack.enter_context(layer.accumulating(last))
        yield


def clip_gradients(model: nn.Module, max_norm: float) -> Tensor:
    """Scale all gradients so that their norm, over all weights of all processes, is at most `max_norm`.

    Args:
        model: what `parallelise` returned, after the backward pass.
        max_norm: infinity only measures.

    Returns:
        The norm before, a scalar; not finite if a gradient is not.
    """
    weights = [weight for weight in model.parameters() if weight.grad is not None]
    norm = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    if world() > 1 and hasattr(norm, "full_tensor"):  # a DTensor: the norm of this process's shards
        norm = norm.full_tensor()
    nn.utils.clip_grads_with_norm_(weights, max_norm, norm)
    return norm


def sharded_as(whole: Tensor, weight: Tensor) -> Tensor:
    """Return a tensor that every process has whole, sharded as a weight of its shape is.

    Every process has to call it. Where the weight is not sharded, or has another shape, it is returned as it is.
    """
    if world() == 1 or whole.shape != weight.shape:
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor

    return distribute_tensor(whole, weight.device_mesh, weight.placements) if isinstance(weight, DTensor) else whole


def full_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the whole state dict under the model's own keys, on the CPU: on process 0, and nothing on the others.

    Every process has to call it.
    """
    if world() == 1:
        return {key: tensor.detach().cpu() for key, tensor in unwrap(model).state_dict().items()}
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    return get_model_state_dict(  # type: ignore[return-value]
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
