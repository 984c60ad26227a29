"""The usual mistakes are said before a run, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from nexus.datasets import LabelledImages
from nexus.models.cv import ResNet, VisionTransformer
from nexus.training.config import resolve
from nexus.training.preflight import attends, warnings_before

VIT = VisionTransformer(
    {"image_size": 16, "patch_size": 8, "embed_dim": 16, "num_layers": 1, "num_heads": 2, "num_classes": 2}
)
RESNET = ResNet({"block": "basic", "depths": (1,), "widths": (8,), "strides": (1,), "stem_width": 8})


def data(*counts: int) -> LabelledImages:
    targets = np.repeat(np.arange(len(counts)), counts)
    return LabelledImages(range(len(targets)), targets, tuple("abc"[: len(counts)]))  # type: ignore[arg-type]


def test_it_knows_attention() -> None:
    assert attends(VIT)
    assert not attends(RESNET)


@pytest.mark.parametrize(
    ("mode", "model", "values", "counts", "said"),
    [
        ("scratch", VIT, {}, (60_000, 60_000), []),
        ("scratch", VIT, {}, (300, 300), ["underfit"]),
        ("scratch", RESNET, {}, (300, 300), []),
        ("finetune", VIT, {"schedule": {"warmup_epochs": 0}}, (300, 300), ["without warm-up"]),
        ("finetune", RESNET, {"schedule": {"warmup_epochs": 0}}, (300, 300), []),
        ("finetune", VIT, {"lr": 1e-2}, (300, 300), ["unusually high"]),
        ("scratch", RESNET, {"lr": 1e-6}, (300, 300), ["unusually low"]),
        ("finetune", VIT, {"lora": {}}, (300, 300), []),
        (
            "finetune",
            VIT,
            {"lr": 5e-5, "lora": {}},
            (300, 300),
            ["unusually low to finetune with LoRA: 0.0001 to 0.01"],
        ),
        ("finetune", RESNET, {"lr": 1e-1, "optimizer": {"name": "sgd"}}, (300, 300), []),
        ("finetune", RESNET, {"batch_size": 1000}, (300, 300), ["batch_size = 1000"]),
        ("finetune", RESNET, {}, (4000, 100), ["'a' has 4000 pictures and 'b' 100"]),
        ("finetune", RESNET, {"balanced": True}, (4000, 100), []),
    ],
)
def test_only_what_is_unusual_is_said(
    mode: str, model: object, values: dict[str, object], counts: tuple[int, ...], said: list[str]
) -> None:
    found = warnings_before(mode, model, resolve(mode, values), data(*counts))  # type: ignore[arg-type]
    assert len(found) == len(said), found
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence
