"""Small labelled pictures, a small model, and a trainer over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nexus.datasets import LabelledImages
from nexus.models.cv import ResNet, VisionTransformer
from nexus.objectives import Supervised
from nexus.training.build import prepare
from nexus.training.config import TrainConfig
from nexus.training.run_folder import RunFolder
from nexus.training.trainer import Trainer
from nexus.transforms.preprocess import PreprocessSpec

VIT = {"image_size": 16, "patch_size": 8, "embed_dim": 16, "num_layers": 2, "num_heads": 2, "num_classes": 0}
RESNET = {"block": "basic", "depths": (1, 1), "widths": (8, 16), "strides": (1, 2), "stem": "3x3", "stem_width": 8}
CLASSES = ("blue", "green", "red")


def coloured(count: int, seed: int = 0) -> LabelledImages:
    """Noisy pictures of 20x20 pixels whose colour is their class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    pixels = rng.integers(0, 130, (count, 20, 20, 3))
    pixels[np.arange(count), :, :, 2 - targets] += 80
    return LabelledImages(list(pixels.astype(np.uint8)), targets, CLASSES, "colours")


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Return a function that makes a trainer; settings are those of a short run without augmentation."""

    def make(
        name: str = "run",
        *,
        train: LabelledImages | None = None,
        val: LabelledImages | None = None,
        model: dict[str, Any] | None = None,
        progress: Any = None,
        strict: bool = False,
        **settings: Any,
    ) -> Trainer:
        values = {"epochs": 2, "batch_size": 8, "lr": 3e-3, "schedule": {"warmup_steps": 1}, "precision": "fp32"}
        config = TrainConfig.parse({**values, "augment": {"scale": None, "flip": 0.0}, **settings})
        torch.manual_seed(0)
        network = VisionTransformer(VIT) if model is None else ResNet(model)
        network.preprocess = PreprocessSpec(resize=16, crop=(16, 16))
        folder = RunFolder.open(tmp_path / name, {"config": config.to_dict()})
        data = coloured(22) if train is None else train
        objective = Supervised(config.loss, len(data.classes), multi_label=data.multi_label)
        ready = prepare(network, data.classes, config, size=None)
        device = torch.device("cpu")
        held = coloured(9, seed=1) if val is None and train is None else val
        return Trainer(
            ready, objective, config, data, held, folder, device=device, workers=1, progress=progress, strict=strict
        )

    return make
