"""Training steps beside timm and transformers: images per second, and whether they take the same step."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from benchmarks.engines import photographs
from benchmarks.report import Report, Settings, Table
from benchmarks.twins import Network, random_model, twins
from nexus import registry
from nexus._system import usable_cores
from nexus.datasets import LabelledImages
from nexus.datasets.loader import Samples
from nexus.engines.timing import TimingTable, compare
from nexus.models.base import NexusModule
from nexus.objectives import Supervised
from nexus.training.config import TrainConfig
from nexus.training.run_folder import RunFolder
from nexus.training.trainer import Trainer
from nexus.transforms.preprocess import PreprocessSpec, normalise

SMALL = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
NETWORKS = (
    Network("ResNet-50", "resnet50", "resnet50", "ResNet"),
    Network("ViT-S/16", "vit_small_patch16_224.augreg_in1k", "vit_small_patch16_224", "ViT", SMALL),
)
QUICK_NETWORK = Network("ResNet-18", "resnet18", "resnet18", "ResNet", {
    "depths": [2, 2, 2, 2], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512],
})  # fmt: skip

WAYS: dict[str, dict[str, Any]] = {
    "nexus": {"precision": "fp32"},
    "nexus, compiled": {"precision": "fp32", "compile": True},
    "nexus, bf16": {"precision": "bf16"},
    "nexus, bf16, compiled": {"precision": "bf16", "compile": True},
}
"""Settings of `nexus train` by what the table calls them."""

CLASSES = 1000
LR, WEIGHT_DECAY = 1e-4, 0.05
SECONDS = 240.0
"""At most for the pairs of one network."""

METHOD = (
    "One step of fp32 training with AdamW on a batch of {batch} photographs of 224 pixels that is in memory already: "
    "forward pass, cross entropy, backward pass, optimiser; nexus also with its settings `compile=true` and "
    "`precision=bf16`. timm and transformers are run as their users run them in a "
    "loop of their own: normalised NCHW pictures, `torch.optim.AdamW` with its defaults. nexus does the step of its "
    "`Trainer`, which takes bytes and normalises them, too; it lays convolutional networks out channels last and has "
    "PyTorch's fused AdamW. All begin with the same random weights, so the loss of the first step shows whether they "
    "do the same. The last row is no step: it computes the matrix products and convolutions of nexus's fp32 step, in "
    "their order, and nothing else (those of attention as its formula has them), which no step on these kernels can "
    "be faster than. A ratio is the median over alternating pairs in one process, on all {cores} cores; it keeps the "
    "memory that it frees, as nexus makes it, and the others are the faster for it, too."
)

PRODUCTS_ALONE = "its products alone"


def run(settings: Settings) -> Report:
    """Measure all networks."""
    torch.set_num_threads(usable_cores())
    batch, pairs = (2, 1) if settings.quick else (16, 7)
    networks, ways = ([QUICK_NETWORK], ("nexus", "nexus, bf16")) if settings.quick else (NETWORKS, tuple(WAYS))
    tables = [measure(network, batch, pairs, {name: WAYS[name] for name in ways}) for network in networks]
    method = METHOD.format(batch=batch, cores=usable_cores())
    return Report("training", "Training steps beside timm and transformers", tables, method)


def measure(network: Network, batch: int, pairs: int, ways: Mapping[str, Mapping[str, Any]]) -> Table:
    """Time one network's step in all libraries, ours in several ways."""
    spec = PreprocessSpec.parse(registry.variant(network.variant).preprocess)
    pixels = photographs(spec, batch)
    images, labels = torch.from_numpy(normalise(pixels, spec)), torch.arange(batch) % CLASSES
    model = random_model(network, images)
    model.preprocess = spec
    rivals = {name: Rival(twin, images, labels) for name, twin in twins(network, model, spec.size).items()}
    with ExitStack() as stack:
        steps: dict[str, Callable[[], float]] = dict(rivals)
        for name, changes in ways.items():
            steps[name] = stack.enter_context(ours(model, pixels, labels, changes))
        first = {name: step() for name, step in steps.items()}
        steps[PRODUCTS_ALONE] = products_of_a_step(model, pixels, labels)
        timing = compare(steps, "nexus", pairs=pairs, warmup=1, seconds=SECONDS, units=batch)
    return table(network, timing, first)


class Rival:
    """A step as a user of another library writes it."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        self.model, self.images, self.labels = model.train(), images, labels
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)

    def __call__(self) -> float:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


@contextmanager
def ours(
    model: NexusModule, pixels: np.ndarray, labels: Tensor, changes: Mapping[str, Any]
) -> Iterator[Callable[[], float]]:
    """The step of a `Trainer` over a copy of the model, on a batch that is there."""
    config = TrainConfig.parse({
        "epochs": 1000, "batch_size": len(labels), "lr": LR, "clip_grad": None, **changes,
        "optimizer": {"weight_decay": WEIGHT_DECAY}, "loss": {"label_smoothing": 0.0},
        "schedule": {"kind": "constant", "warmup_epochs": 0},
    })  # fmt: skip
    data = LabelledImages(list(pixels), labels.numpy(), tuple(str(number) for number in range(CLASSES)))
    numbers = torch.arange(len(labels))
    batch = [Samples(torch.from_numpy(pixels), labels, numbers, numbers, numbers, [])]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            copy.deepcopy(model), Supervised(config.loss, CLASSES), config, data, None, RunFolder(folder),
            device=torch.device("cpu"), workers=1,
        )  # fmt: skip
        yield lambda: float(trainer.step(batch)["loss"])


def products_of_a_step(model: NexusModule, pixels: np.ndarray, labels: Tensor) -> Products:
    """Watch one step of a copy of the model."""
    with ours(model, pixels, labels, WAYS["nexus"]) as step, sdpa_kernel(SDPBackend.MATH), Products() as products:
        step()
    return products


class Products(TorchDispatchMode):
    """Notes the matrix products and convolutions that are computed within it; a call computes them again.

    Operands are random then, those of one shape and layout the same.
    """

    KINDS = (
        torch.ops.aten.mm.default,
        torch.ops.aten.addmm.default,
        torch.ops.aten.bmm.default,
        torch.ops.aten.convolution.default,
        torch.ops.aten.convolution_backward.default,
    )

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._operands: dict[tuple[torch.Size, tuple[int, ...]], Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.KINDS:
            self._calls.append((func, tree_map_only(Tensor, self._like, args)))
        return func(*args, **(kwargs or {}))

    def _like(self, operand: Tensor) -> Tensor:
        layout = operand.shape, operand.stride()
        if layout not in self._operands:
            self._operands[layout] = torch.empty_strided(*layout).normal_()
        return self._operands[layout]

    def __call__(self) -> None:
        with torch.no_grad():
            for func, operands in self._calls:
                func(*operands)


def table(network: Network, timing: TimingTable, first: dict[str, float]) -> Table:
    """One row per library and way; ratios are of speeds, to that of nexus in eager fp32."""
    columns = {"": "", "images/s": ",.1f", "times nexus": ".2f", "quartiles": "", "pairs": "d", "first loss": ".5f"}
    rows: list[tuple[Any, ...]] = []
    for row in timing.rows:
        beside = (None, None) if row.name == "nexus" else (row.ratio, f"{row.low:.2f} to {row.high:.2f}")
        rows.append((row.name, row.per_second, *beside, row.pairs, first.get(row.name)))
    return Table(network.name, columns, rows)
