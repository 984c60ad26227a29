"""What `nexus models` says of parameters and operations is what the models have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from count_models import count, in_tree

from nexus import registry
from nexus.assets import load_counts
from nexus.transforms.preprocess import PreprocessSpec

STALE = "src/nexus/assets/models.json is out of date; run `make facts` (or `make facts MODELS='swin*'` for some)"

STATED = Path(__file__).parents[1] / "parity" / "golden" / "torchvision_counts.json"
OTHERWISE = {"resnet50.keras_in1k"}
"""The stride of its bottlenecks is in the first convolution, torchvision's is in the second."""


def one_of_each_class() -> list[str]:
    """The first variant of every class."""
    first = {registry.variant(name).class_name: name for name in reversed(in_tree())}
    return sorted(first.values())


def test_every_variant_is_counted() -> None:
    assert set(load_counts()) == set(in_tree()), STALE


@pytest.mark.parametrize("name", one_of_each_class())
def test_a_count_is_right(name: str) -> None:
    assert load_counts().get(name) == count(name), STALE


@pytest.mark.slow
def test_all_counts_are_right() -> None:
    assert {name: count(name) for name in in_tree()} == load_counts(), STALE


def test_counts_are_those_that_torchvision_states() -> None:
    """Variants with exactly as many parameters, at the same input size, are the same architecture."""
    stated = {(one["size"], one["parameters"]): one["gflops"] for one in json.loads(STATED.read_text()).values()}
    compared = []
    for name, counted in load_counts().items():
        variant = registry.variant(name)
        height, width = PreprocessSpec.parse(variant.preprocess).size
        gflops = stated.get((height, counted["parameters"]))
        if height == width and gflops is not None and name not in OTHERWISE:
            assert counted["multiply_adds"] / 1e9 == pytest.approx(gflops, abs=5.1e-4), name
            compared.append(name)
    assert {"resnet50", "efficientnet_b3", "vit_base_patch16_224"} <= set(compared)
