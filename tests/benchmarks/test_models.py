"""The benchmark of backbones compares like with like, and counts right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from benchmarks.models import AUTO, CLAIMED, NETWORKS, OURS, QUICK, Peaks, Result, measure
from benchmarks.twins import Network, adopt, random_model, twins

from nexus import registry
from nexus.engines.agreement import agreement
from nexus.engines.timing import TimingRow, TimingTable, machine
from nexus.errors import WeightsError
from nexus.models.cv import DINOv2, ResNet

ROWS = {OURS: 1.0, "transformers": 0.8, "timm": 0.5, AUTO: 3.0}


def result(rows: Mapping[str, float]) -> Result:
    timed = [
        TimingRow(name=name, seconds=1 / ratio, per_second=ratio, ratio=ratio, low=ratio, high=ratio, pairs=1)
        for name, ratio in rows.items()
    ]
    return Result(
        NETWORKS[0], (224, 224), TimingTable(rows=tuple(timed), unit="images", machine=machine()), AUTO, (), 1, 1
    )


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_every_network_is_one_of_ours(network: Network) -> None:
    variant = registry.variant(network.variant)
    assert (variant.labels is not None) == (network.output == "logits")


def test_names_are_those_of_the_table() -> None:
    names = {network.name for network in NETWORKS}
    assert names > set(CLAIMED)
    assert names > set(QUICK)


@pytest.mark.parametrize(
    ("name", "least"),
    [("ResNet-50", 1 - 1e-9), ("DINOv2-S/14", 0.9999)],  # transformers resamples positions without DINOv2's offset
)
def test_twins_compute_the_same(name: str, least: float) -> None:
    (network,) = (one for one in NETWORKS if one.name == name)
    images = torch.rand(2, 3, 56, 56)
    model = random_model(network, images)
    other = twins(network, model, (56, 56))["transformers"]
    with torch.inference_mode():
        ours, theirs = model(images, outputs=(network.output,))[network.output], other(images)
    assert ours.std() > 0.01
    assert agreement({"out": ours.numpy()}, {"out": theirs.numpy()}) > least


def test_weights_of_another_network_are_refused() -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    theirs = ResNetForImageClassification(ResNetConfig(depths=[1, 1, 1, 1], num_labels=3))
    with pytest.raises(WeightsError):
        adopt(theirs, DINOv2({"embed_dim": 32, "num_layers": 1, "num_heads": 2}))
    with pytest.raises((WeightsError, RuntimeError)):
        adopt(theirs, ResNet({"depths": (1, 1, 1, 1), "widths": (8, 8, 8, 8), "num_classes": 3}))


def test_ratios_are_ours_beside_theirs() -> None:
    found = result(ROWS)
    assert found.ours_beside("transformers") == pytest.approx(1.25)
    assert found.ours_beside("timm") == pytest.approx(2.0)
    assert result({OURS: 1.0, AUTO: 2.0}).ours_beside("timm") is None


def test_shares_are_of_the_peak() -> None:
    peaks = Peaks(16)
    peaks.measure()
    assert all(rate > 0 for rate in peaks.best.values())
    peaks.best[torch.float32] = 1e9
    assert peaks.share(multiply_adds=50_000_000, rate=5.0, kind=torch.float32) == pytest.approx(0.5)


def test_one_network_is_measured() -> None:
    network: Any = next(one for one in NETWORKS if one.name == "EfficientNet-B0")
    found = measure(network, batch=1, pairs=1, images=0)
    assert found.engine == "eager"
    assert found.agreement("transformers") == pytest.approx(1, abs=1e-6)
    assert found.agreement(AUTO) == pytest.approx(1, abs=1e-6)
    assert found.multiply_adds > 3e8
