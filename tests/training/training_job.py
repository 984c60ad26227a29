"""A run with all that draws random numbers, on any number of processes. Also the script of the job.

    torchrun --nproc-per-node 2 training_job.py FOLDER none|ddp|fsdp [MODEL [STEP]]

The first process kills itself when STEP is logged.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nexus.datasets import LabelledImages
from nexus.distributed import launch
from nexus.models.base import NexusModule
from nexus.models.cv import ConvNeXt, VisionTransformer
from nexus.objectives import Supervised
from nexus.results import ProgressEvent
from nexus.training.build import prepare
from nexus.training.config import TrainConfig
from nexus.training.run_folder import RunFolder
from nexus.training.trainer import Trainer
from nexus.transforms.preprocess import PreprocessSpec

SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 8,
    "micro_batch": 2,
    "lr": 3e-3,
    "schedule": {"warmup_steps": 1},
    "precision": "fp32",
    "augment": {"policy": "randaugment"},
    "mix": {},
    "erase": {},
    "drop_path": 0.3,
    "ema": {"decay": 0.9},
    "clip_grad": 1.0,
    "checkpoint_minutes": 0,
}
"""Batches of 8, 8 and 1 pictures: the last leaves the second of two processes without one."""

MODELS: dict[str, Callable[[], NexusModule]] = {
    "VisionTransformer": lambda: VisionTransformer({
        "image_size": 16, "patch_size": 8, "embed_dim": 16, "num_layers": 2, "num_heads": 2, "num_classes": 0,
    }),
    "ConvNeXt": lambda: ConvNeXt({"depths": (1, 1), "widths": (8, 16), "num_classes": 0}),
}  # fmt: skip
"""Without batch norm, whose statistics are those of a process."""


def noise(count: int, seed: int) -> LabelledImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 20, 20, 3), dtype=np.uint8)
    return LabelledImages(list(pixels), np.arange(count) % 3, ("blue", "green", "red"), "noise")


def train(path: Path, parallel: str, model: str = "VisionTransformer", stop: int | None = None) -> RunFolder:
    """Train on this process and those beside it, up to a step if it is given."""

    def watch(event: ProgressEvent) -> None:
        if stop is not None and len(folder.records("step")) >= stop:
            os.kill(os.getpid(), signal.SIGKILL)

    config = TrainConfig.parse({**SETTINGS, "channels_last": model == "ConvNeXt"})
    folder = RunFolder(path)
    if launch.is_main():
        RunFolder.open(path, {"config": config.to_dict()})
    launch.barrier()
    torch.manual_seed(0)
    built = MODELS[model]()
    built.preprocess = PreprocessSpec(resize=16, crop=(16, 16))
    data = noise(17, seed=0)
    ready = prepare(built, data.classes, config, size=None)
    Trainer(
        ready, Supervised(config.loss, 3, multi_label=False), config, data, noise(9, seed=1), folder,
        device=torch.device("cpu"), parallel=parallel, workers=1, progress=watch,  # type: ignore[arg-type]
    ).fit()  # fmt: skip
    return folder


if __name__ == "__main__":
    warnings.simplefilter("error")
    with launch.process_group(torch.device("cpu")):
        train(Path(sys.argv[1]), *sys.argv[2:4], *map(int, sys.argv[4:]))
