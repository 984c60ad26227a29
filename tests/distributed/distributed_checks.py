"""What the tests do inside a job: a small model trained on any number of processes. Also the script of the job.

torchrun --nproc-per-node 2 distributed_checks.py FOLDER CHECK...
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nexus.distributed.checkpoint import load_sharded, save_sharded
from nexus.distributed.deepspeed import ZeRO
from nexus.distributed.launch import (
    all_reduce_max,
    all_reduce_sum,
    barrier,
    broadcast_text,
    gather_objects,
    is_main,
    process_group,
    rank,
    world,
)
from nexus.distributed.pipeline import Pipeline
from nexus.distributed.shard import clip_gradients, full_weights, micro_batch, parallelise, unwrap
from nexus.errors import ConfigError
from nexus.models.cv.dinov2 import DINOv2
from nexus.models.cv.vit import VisionTransformer

FOLDER = Path(sys.argv[1] if __name__ == "__main__" else ".")
"""What the checks of a job read and write."""

CPU = torch.device("cpu")

CONFIG = {"image_size": 28, "patch_size": 7, "num_classes": 5, "embed_dim": 16, "num_layers": 2, "num_heads": 2}
"""A model with a weight that nothing reads (the mask token) and some that two processes cannot share evenly."""

SIZES = (7, 7, 7, 8, 1, 7)
"""Samples of each batch. Two processes get 4 + 3 of them, and at last 1 + 0."""


def model(**changes: Any) -> DINOv2:
    """The same on every process."""
    torch.manual_seed(0)
    net = DINOv2({**CONFIG, **changes}).train()
    nn.init.ones_(net.mask_token)  # so that it would be seen if it decayed
    return net


def batch(step: int) -> tuple[Tensor, Tensor]:
    """This process's share of a batch."""
    numbers, size = torch.Generator().manual_seed(step), SIZES[step]
    images, targets = torch.randn(size, 3, 28, 28, generator=numbers), torch.randint(5, (size,), generator=numbers)
    share = slice(rank() * (size + 1) // world(), (rank() + 1) * (size + 1) // world())
    return images[share], targets[share]


def summed_loss(net: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Without a sample, the loss of some picture, times zero."""
    if len(images) == 0:
        return 0 * summed_loss(net, torch.zeros(1, 3, 28, 28), torch.zeros(1, dtype=torch.long))
    return F.cross_entropy(net(images, outputs=("logits",))["logits"], targets, reduction="sum")


def train(
    net: nn.Module, optimizer: torch.optim.Optimizer, steps: Sequence[int] = range(6), micro_batches: int = 1
) -> list[list[float]]:
    """Train, and return the loss and the norm of the gradients of each step."""
    curve = []
    for step in steps:
        images, targets = batch(step)
        parts = list(zip(images.tensor_split(micro_batches), targets.tensor_split(micro_batches)))
        total = torch.zeros(())
        for number, part in enumerate(parts, start=1):
            with micro_batch(net, last=number == len(parts)):
                loss = summed_loss(net, *part)
                (loss * world() / SIZES[step]).backward()
            total += loss.detach()
        norm = clip_gradients(net, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        curve.append([float(all_reduce_sum(total)) / SIZES[step], float(norm)])
    return curve


def adamw(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.1)


def run(
    parallel: str, *, micro_batches: int = 1, recompute: bool = False, precision: str = "fp32", frozen: bool = False
) -> dict[str, Any]:
    """Train six steps; the curve, and how far the weights came (the sum of each)."""
    net = model()
    net.gradient_checkpointing = recompute
    if frozen:
        net.blocks[0].requires_grad_(False)
    net = parallelise(net, parallel, CPU, precision=precision)  # type: ignore[assignment, arg-type]
    curve = train(net, adamw(net), micro_batches=micro_batches)
    return {"curve": curve, "weights": {key: float(value.sum()) for key, value in full_weights(net).items()}}


# -- what the tests ask for by name ---------------------------------------------------------------------------------


def messages() -> Any:
    """Everything that processes tell one another."""
    barrier()
    mine = torch.tensor([float(rank()), 1.0])
    return {
        "gathered": gather_objects({"rank": rank(), "text": "ä" * rank()}),
        "told": gather_objects([broadcast_text("häuser" if is_main() else "?"), broadcast_text("")]),
        "sum": gather_objects(all_reduce_sum(mine).tolist()),
        "max": gather_objects(all_reduce_max(mine).tolist()),
        "kept": gather_objects(mine.tolist()),
        "nested": _nested(),
    }


def _nested() -> int:
    with process_group(CPU):
        return world()


def ddp() -> Any:
    return run("ddp")


def fsdp() -> Any:
    return run("fsdp")


def ddp_micro() -> Any:
    return run("ddp", micro_batches=3)


def fsdp_micro() -> Any:
    return run("fsdp", micro_batches=3)


def ddp_recompute() -> Any:
    return run("ddp", micro_batches=2, recompute=True)


def fsdp_recompute() -> Any:
    return run("fsdp", micro_batches=2, recompute=True)


def ddp_frozen() -> Any:
    return run("ddp", frozen=True)


def fsdp_frozen() -> Any:
    return run("fsdp", frozen=True)


def fsdp_bf16() -> Any:
    return run("fsdp", precision="bf16")


def shapes() -> Any:
    """Numbers of weights: of the model, and what each process keeps of it; and what is not whole outside a block."""
    net = model()
    whole = sum(weight.numel() for weight in net.parameters())
    net = parallelise(net, "fsdp", CPU)  # type: ignore[assignment]
    kept = sum(weight.to_local().numel() for weight in net.parameters())  # type: ignore[attr-defined]
    return {"whole": whole, "kept": gather_objects(kept), "unwrapped": unwrap(net) is net}


def refusals() -> Any:
    """What cannot be spread, and how that is said."""
    said = []
    scalar = model()
    scalar.scale = nn.Parameter(torch.ones(()))
    for net, parallel in ((model(), "none"), (model(), "fsdpp"), (scalar, "fsdp")):
        try:
            parallelise(net, parallel, CPU)  # type: ignore[arg-type]
        except ConfigError as error:
            said.append(str(error))
    return said


def begin(parallel: str, folder: Path) -> Any:
    """Train three steps, save, and train three more while the checkpoint is written."""
    net = parallelise(model(), parallel, CPU)  # type: ignore[arg-type]
    optimizer = adamw(net)
    averaged = {"average": 2 * unwrap(net).head.weight.detach()}
    train(net, optimizer, range(3))
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, 28, 28))  # what was run last does not matter
    net.train()
    handle = save_sharded(folder, net, optimizer, {"step": 3}, tensors=averaged)
    curve = train(net, optimizer, range(3, 6))
    handle.wait()
    return curve


def resume(parallel: str, folder: Path) -> Any:
    """Go on from a checkpoint with another model, and another optimiser."""
    net = parallelise(model(), parallel, CPU)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    optimizer = adamw(net)
    optimizer.param_groups[0]["lr"] = 1.0
    averaged = torch.zeros_like(unwrap(net).head.weight.detach())
    extra = load_sharded(folder, net, optimizer, tensors={"average": averaged})
    total = averaged.sum()
    total = total.full_tensor() if hasattr(total, "full_tensor") else total
    return {"extra": extra, "average": float(total), "curve": train(net, optimizer, range(extra["step"], 6))}


def save_fsdp() -> Any:
    return begin("fsdp", FOLDER / "by_fsdp")


def save_ddp() -> Any:
    return begin("ddp", FOLDER / "by_ddp")


def fsdp_from_fsdp() -> Any:
    return resume("fsdp", FOLDER / "by_fsdp")


def ddp_from_fsdp() -> Any:
    return resume("ddp", FOLDER / "by_fsdp")


def fsdp_from_ddp() -> Any:
    return resume("fsdp", FOLDER / "by_ddp")


def fsdp_from_one() -> Any:
    return resume("fsdp", FOLDER / "by_one")


def ddp_from_one() -> Any:
    return resume("ddp", FOLDER / "by_one")


def vit() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer({**CONFIG, "num_layers": 3}).train()


def pipelined(schedule: str) -> Any:
    """Train six steps of eight pictures, each process some blocks; the losses and the weights at the end."""
    spread = Pipeline(
        vit(), torch.zeros(2, 3, 28, 28), micro_batches=4, loss=mean_of_eight, device=CPU,
        schedule=schedule,  # type: ignore[arg-type]
    )  # fmt: skip
    optimizer = adamw(spread.stage)
    losses = []
    for step in range(6):
        losses.append(float(spread.step(*eight(step))))
        optimizer.step()
        optimizer.zero_grad()
    kept = gather_objects(sum(weight.numel() for weight in spread.stage.parameters()))
    return {"losses": losses, "weights": {k: float(w.sum()) for k, w in spread.weights().items()}, "kept": kept}


def mean_of_eight(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits, targets, reduction="sum") / 8


def eight(step: int) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(step)
    return torch.randn(8, 3, 28, 28, generator=numbers), torch.randint(5, (8,), generator=numbers)


def pipeline_1f1b() -> Any:
    return pipelined("1f1b")


def pipeline_gpipe() -> Any:
    return pipelined("gpipe")


def pipeline_refusals() -> Any:
    """What cannot be a pipeline of two."""
    said = []
    for net, micro_batches in ((vit(), 1), (VisionTransformer({**CONFIG, "num_layers": 1}), 2)):
        try:
            Pipeline(net, torch.zeros(2, 3, 28, 28), micro_batches=micro_batches, loss=mean_of_eight, device=CPU)
        except ConfigError as error:
            said.append(str(error))
    return said


def zero(stage: Literal[1, 2, 3]) -> Any:
    """Train six steps with DeepSpeed, in three micro-batches each."""
    warnings.simplefilter("ignore")  # it uses what torch has deprecated
    net = model()
    spread = ZeRO(net, adamw(net), stage=stage, max_norm=1.0, micro_batches=3)
    curve = []
    for step, size in enumerate(SIZES):
        images, targets = batch(step)
        total = torch.zeros(())
        for part in zip(images.tensor_split(3), targets.tensor_split(3)):
            loss = summed_loss(spread.network, *part)
            norm = spread.step(loss * world() / size)
            total += loss.detach()
        curve.append([float(all_reduce_sum(total)) / size, norm])
    return curve


def zero_1() -> Any:
    return zero(1)


def zero_2() -> Any:
    return zero(2)


def zero_3() -> Any:
    return zero(3)


def fails() -> Any:
    """One process fails while the other waits for it."""
    if rank() == 1:
        raise ConfigError("process 1 has a reason")
    barrier()


def main() -> None:
    warnings.simplefilter("error")
    checks: dict[str, Callable[[], Any]] = globals()
    with process_group(CPU):
        found = {name: checks[name]() for name in sys.argv[2:]}
        if is_main():
            (FOLDER / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
