"""LeNet, AlexNet and NiN: sizes of the papers, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nexus.errors import ConfigError, InputError
from nexus.models.base import NexusModule
from nexus.models.cv import AlexNet, LeNet, NiN


def parameters(build: type[NexusModule], config: dict[str, Any]) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config).parameters())


def test_alexnets_have_the_papers_sizes() -> None:
    assert parameters(AlexNet, {}) == 61_100_840  # torchvision's AlexNet_Weights, num_params
    first = {"widths": (96, 256, 384, 384, 256), "groups": 2, "response_norm": True}
    assert parameters(AlexNet, first) == pytest.approx(60e6, rel=0.02)  # the paper's abstract: 60 million


def test_lenet_has_the_papers_size() -> None:
    """All layers read all maps here, so that C3 has 2,416 weights, and not the 1,516 of table I."""
    c1, c3, c5, f6 = 156, 2_416, 48_120, 10_164
    assert parameters(LeNet, {"num_classes": 0}) == c1 + c3 + c5 + f6


def test_the_last_maps_of_nin_are_its_head() -> None:
    model = NiN({})
    assert (model.head.in_features, model.head.out_features) == (192, 10)
    assert [len(block) // 2 for block in model.blocks] == [3, 3, 2]


@pytest.mark.parametrize(
    ("build", "config", "message"),
    [
        (AlexNet, {"widths": (8, 12, 15, 12, 12), "groups": 2}, "must be even for groups=2"),
        (NiN, {"kernels": (5, 3)}, "need one value per block each"),
        (NiN, {"kernels": (5, 5, 2)}, r"kernels=\(5, 5, 2\) must be odd"),
    ],
)
def test_wrong_configs_are_named(build: type[NexusModule], config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config)


@pytest.mark.parametrize(
    ("build", "shape", "message"),
    [
        (AlexNet, (1, 3, 62, 80), r"62x80 pixels; AlexNet needs 63x63 or more"),
        (LeNet, (1, 1, 28, 28), r"28x28 pixels; LeNet needs 32x32 or more: resize or pad"),
        (LeNet, (1, 3, 32, 32), r"3 channels, this LeNet reads in_channels=1"),
        (NiN, (1, 3, 3, 9), r"3x9 pixels; this NiN needs 4x4 or more"),
    ],
)
def test_wrong_images_are_named(build: type[NexusModule], shape: tuple[int, ...], message: str) -> None:
    config = {"hidden_dim": 8} if build is AlexNet else {}
    with pytest.raises(InputError, match=message):
        build(config)(torch.randn(shape))
