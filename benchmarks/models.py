"""The backbones, each beside transformers and timm: images per second, equality, share of what the machine can do."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.engines import photographs
from benchmarks.report import Report, Settings, Table
from benchmarks.twins import Network, random_model, twins
from nexus import registry
from nexus._system import usable_cores
from nexus.engines.agreement import MINIMUM, agreement
from nexus.engines.auto import TRIAL_IMAGES, Selector, Trial
from nexus.engines.base import Job
from nexus.engines.catalogue import resolve_device
from nexus.engines.timing import TimingTable, compare
from nexus.models.base import NexusModule
from nexus.models.loading import build_on_meta, load_model
from nexus.models.summary import summarize
from nexus.transforms.preprocess import PreprocessSpec, normalise

SWIN_B = {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]}
B0 = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}
B3 = {"width_coefficient": 1.2, "depth_coefficient": 1.4, "hidden_dim": 1536, "depthwise_padding": [5, 18]}
SMALL = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518}

NETWORKS = (
    Network("EfficientNet-B0", "efficientnet_b0", "tf_efficientnet_b0", "EfficientNet", B0),
    Network("EfficientNet-B3", "efficientnet_b3", "tf_efficientnet_b3", "EfficientNet", B3),
    Network("EfficientNet-B3, trained", "efficientnet_b3.tv_in1k", "efficientnet_b3", None, trained=True),
    Network("ResNet-50", "resnet50", "resnet50", "ResNet"),
    Network("ConvNeXt-T", "convnext_tiny", "convnext_tiny", "ConvNext"),
    Network("Swin-T", "swin_t", "swin_tiny_patch4_window7_224", "Swin"),
    Network("Swin-B", "swin_b", "swin_base_patch4_window7_224", "Swin", SWIN_B),
    Network("ViT-B/16", "vit_base_patch16_224", "vit_base_patch16_224", "ViT"),
    Network("DINOv2-S/14", "dinov2_vits14", "vit_small_patch14_dinov2", "Dinov2", SMALL, "embeddings"),
    Network("DINOv2-B/14", "dinov2_vitb14", "vit_base_patch14_dinov2", "Dinov2", {"image_size": 518}, "embeddings"),
)
QUICK = ("EfficientNet-B0", "ResNet-50", "DINOv2-S/14")

OURS, AUTO = "nexus", "nexus, automatic engine"
JOB = 10_000
"""Images of the job that the automatic engine is chosen for: a twentieth of its time may go into choosing."""

SECONDS = 60.0
"""At most for the pairs of one network, so that all are measured in minutes; at least one pair is run."""

CLAIMED = {
    "ResNet-50": (25, 76.5, 1200),
    "EfficientNet-B3": (12, 81.6, 800),
    "ViT-B/16": (86, 84.1, 650),
    "Swin-B": (88, 83.5, 580),
    "DINOv2-B/14": (86, 84.5, 600),
}
"""Million parameters, top-1 in percent, images/s: "ImageNet-1K Classification" in the document "Computer Vision Models"
that the project set out from, which names neither hardware nor batch."""


@dataclass(frozen=True)
class Result:
    """What was measured of one network.

    Attributes:
        network: which.
        size: (height, width) of the input.
        timing: of all who took part; the reference is ours.
        engine: what the automatic choice took.
        refused: what it timed, but did not take for other answers.
        parameters, multiply_adds: counted.
    """

    network: Network
    size: tuple[int, int]
    timing: TimingTable
    engine: str
    refused: tuple[Trial, ...]
    parameters: int
    multiply_adds: int

    def ours_beside(self, library: str) -> float | None:
        """How many times as fast as a library ours is; None where that is not installed."""
        ratios = [row.ratio for row in self.timing.rows if row.name == library]
        return 1 / ratios[0] if ratios else None

    def rate(self, name: str) -> float | None:
        """Images per second."""
        return next((row.per_second for row in self.timing.rows if row.name == name), None)

    def agreement(self, name: str) -> float | None:
        """Lowest cosine with ours in eager fp32."""
        return next((row.agreement for row in self.timing.rows if row.name == name), None)


def run(settings: Settings) -> Report:
    """Measure all networks."""
    torch.set_num_threads(usable_cores())
    batch, pairs = (1, 1) if settings.quick else (8, 9)
    peaks, results = Peaks(256 if settings.quick else 2048), []
    for network in NETWORKS:
        if network.name in QUICK or not settings.quick:
            peaks.measure()
            results.append(measure(network, batch, pairs, 0 if settings.quick else JOB))
    peaks.measure()
    tables = [_speed(results), _agreement(results), _refused(results), _shares(results, peaks), _claims(results)]
    return Report("models", "Backbones beside transformers and timm", tables, _method(batch))


def _method(batch: int) -> str:
    return (
        f"Batches of {batch} photographs, preprocessed before, through the whole network to its logits (DINOv2: to its "
        f"class token), with PyTorch's threads on all {usable_cores()} cores. All have the same weights, which our "
        "loader reads from the state dicts of both libraries: random ones, but for the trained EfficientNet-B3, which "
        "has torchvision's. The module is called as its users call it, under `inference_mode`, in eager fp32. The "
        "automatic engine gets pixels and normalises them too; it was chosen as "
        f"for a job of {JOB:,} images, and held against eager fp32 on these weights. What is compared runs in one "
        "process, one after the other, again and again; a ratio is the median of such pairs. Position embeddings of "
        "DINOv2 are those of 518 pixels, resampled at each call, but by timm once. The process keeps the memory that "
        "it frees, as nexus's engines make it, and all are the faster for it."
    )


class Peaks:
    """The fastest matrix product that was seen on this machine.

    Args:
        side: of the square matrices.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self.best = {torch.float32: 0.0, torch.bfloat16: 0.0}

    def measure(self, repeats: int = 5) -> None:
        """Try again; a machine is not always as fast as it can be."""
        for kind in self.best:
            a, b = (torch.randn(self.side, self.side).to(kind) for _ in range(2))
            for _ in range(repeats):
                start = time.perf_counter()
                torch.mm(a, b)
                rate = 2 * self.side**3 / (time.perf_counter() - start)
                self.best[kind] = max(self.best[kind], rate)

    def share(self, multiply_adds: int, rate: float, kind: torch.dtype) -> float:
        """How much of the peak so many images per second are."""
        return 2 * multiply_adds * rate / self.best[kind]


def measure(network: Network, batch: int, pairs: int, images: int) -> Result:
    """Time one network in all libraries.

    Args:
        network: which.
        batch: images per call.
        pairs: pairs per candidate.
        images: size of the job that the automatic engine is chosen for.
    """
    variant = registry.variant(network.variant)
    spec = PreprocessSpec.parse(variant.preprocess)
    pixels = photographs(spec, batch)
    prepared = torch.from_numpy(normalise(pixels, spec))
    with torch.inference_mode(False):
        if network.trained:
            model = load_model(network.variant, mirror=True)
        else:
            model = random_model(network, torch.from_numpy(normalise(photographs(spec, 8), spec)))
        others = twins(network, model, spec.size)
    selector = _selector(model, network.output, pixels, spec, images)
    candidates: dict[str, Callable[[], Any]] = {
        OURS: lambda: {"out": _called(lambda x: model(x, outputs=(network.output,))[network.output], prepared)},
        **{name: lambda twin=twin: {"out": _called(twin, prepared)} for name, twin in others.items()},
        AUTO: lambda: {"out": selector(pixels)[network.output]},
    }
    timing = compare(candidates, OURS, pairs=pairs, seconds=SECONDS, units=batch, agreement=agreement)
    counted = summarize(build_on_meta(variant.class_name, variant.config), spec.size, (network.output,))
    refused = tuple(trial for trial in selector.choice().trials if trial.refused and trial.ratio)
    return Result(network, spec.size, timing, selector.engine, refused, counted.parameters, counted.multiply_adds)


def _selector(model: NexusModule, output: str, pixels: np.ndarray, spec: PreprocessSpec, images: int) -> Selector:
    """Choose the engine for a copy: it may bring the weights into another memory layout."""
    job = Job(copy.deepcopy(model), (output,), resolve_device("cpu"), pixels[:2], spec, usable_cores())
    selector = Selector(job)
    selector.expect(images)
    selector(pixels)
    return selector


def _called(module: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return module(images).numpy()


def _speed(results: Sequence[Result]) -> Table:
    columns: Mapping[str, str] = {
        "images/s": "",
        "pixels": "d",
        "transformers": ",.1f",
        "timm": ",.1f",
        OURS: ",.1f",
        AUTO: ",.1f",
        "engine": "",
        "ours beside transformers": ".2f",
        "ours beside timm": ".2f",
        "automatic beside ours": ".2f",
        "automatic beside the faster of them": ".2f",
    }
    rows = []
    for result in results:
        beside = [result.ours_beside(library) for library in ("transformers", "timm")]
        gain = result.timing[AUTO].ratio
        slowest = min((ratio for ratio in beside if ratio is not None), default=None)
        rates = [result.rate(name) for name in ("transformers", "timm", OURS, AUTO)]
        rows.append(
            (result.network.name, result.size[0], *rates, result.engine, *beside, gain, slowest and slowest * gain)
        )
    return Table("Speed", columns, rows, "The last four say how many times as fast.")


def _agreement(results: Sequence[Result]) -> Table:
    columns = {"": "", "transformers": ".6f", "timm": ".6f", AUTO: ".6f"}
    rows = [
        (result.network.name, *(result.agreement(name) for name in ("transformers", "timm", AUTO)))
        for result in results
    ]
    return Table("Lowest cosine with ours in eager fp32", columns, rows)


def _refused(results: Sequence[Result]) -> Table:
    rows = [
        (result.network.name, trial.engine, trial.ratio, trial.agreement)
        for result in results
        for trial in result.refused
    ]
    columns = {"": "", "engine": "", "times ours in eager fp32": ".2f", "lowest cosine": ".4f"}
    note = f"Of {TRIAL_IMAGES} photographs; {MINIMUM} is the least that the automatic choice takes."
    return Table("Tried and refused for other answers", columns, rows, note)


def _shares(results: Sequence[Result], peaks: Peaks) -> Table:
    rows = []
    for result in results:
        kind = torch.bfloat16 if result.engine.endswith("bf16") else torch.float32
        shares = [
            peaks.share(result.multiply_adds, result.timing[name].per_second, precision)
            for name, precision in ((OURS, torch.float32), (AUTO, kind))
        ]
        rows.append((result.network.name, 2 * result.multiply_adds / 1e9, *shares, str(kind).removeprefix("torch.")))
    columns = {"": "", "GFLOP per image": ".2f", OURS: ".0%", AUTO: ".0%", "of which peak": ""}
    best = {str(kind).removeprefix("torch."): rate for kind, rate in peaks.best.items()}
    figures = ", ".join(f"{rate / 1e9:,.0f} GFLOP/s in {kind}" for kind, rate in best.items())
    note = f"The fastest product of two {peaks.side}x{peaks.side} matrices seen in this run: {figures}."
    return Table("Share of the machine's matrix-product peak", columns, rows, note)


def _claims(results: Sequence[Result]) -> Table:
    rows = []
    for result in results:
        if result.network.name in CLAIMED:
            millions, top1, rate = CLAIMED[result.network.name]
            rows.append(
                (result.network.name, millions, result.parameters / 1e6, top1, _score(result.network), rate,
                 result.timing[OURS].per_second, result.timing[AUTO].per_second)
            )  # fmt: skip
    columns = {
        "": "",
        "million parameters, claimed": ".0f",
        "counted": ".1f",
        "top-1 claimed": ".1f",
        "top-1 of our variant, by its source": "",
        "images/s claimed": ",d",
        "measured in eager": ",.1f",
        "measured, automatic engine": ",.1f",
    }
    note = (
        'Claimed: the table "ImageNet-1K Classification" of the document "Computer Vision Models" that the project set '
        "out from; it names no hardware. Top-1 is not measured here, where ImageNet is not."
    )
    return Table("What was claimed, and what this machine does", columns, rows, note)


def _score(network: Network) -> str:
    score = registry.variant(network.variant).score or {}
    figures = [f"{value:g} ({key.removeprefix('imagenet_1k_')})" for key, value in score.items() if key != "source"]
    return f"{', '.join(figures)}; {score['source']}" if figures else "states none"
