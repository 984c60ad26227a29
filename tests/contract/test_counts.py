"""What `nexus models` says of parameters and operations is what the models have."""

from __future__ import annotations

import pytest
from count_models import count, in_tree

from nexus import registry
from nexus.assets import load_counts

STALE = "src/nexus/assets/models.json is out of date; run `make facts` (or `make facts MODELS='swin*'` for some)"


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
