from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nexus.errors import ConfigError, WeightsError
from nexus.models.conversion import (
    CheckpointFormat,
    detect_format,
    fuse,
    huggingface_classes,
    rename,
    require_value,
    square_side,
    strip_prefix,
)


def state(*keys: str) -> dict[str, torch.Tensor]:
    return {key: torch.full((1,), float(index)) for index, key in enumerate(keys)}


def test_rename_takes_the_first_match_and_carries_numbers() -> None:
    found = rename(
        state("a.3.b.weight", "a.3.c", "a.12.b.bias", "pool.x", "ab.3", "other"),
        {"a.{}.b": "blocks.{}.B", "a.{}": "rest.{}", "pool": None},
    )
    assert list(found) == ["blocks.3.B.weight", "rest.3.c", "blocks.12.B.bias", "ab.3", "other"]


def test_a_template_is_no_regular_expression() -> None:
    assert list(rename(state("a.b", "axb"), {"a.b": "c"})) == ["c", "axb"]


def test_fuse_concatenates_complete_sets_in_order() -> None:
    parts = ["l.{}.q.w", "l.{}.k.w", "l.{}.v.w"]
    found = fuse(state("l.0.v.w", "l.0.q.w", "l.0.k.w", "l.1.q.w"), parts, "l.{}.qkv.w")
    assert found["l.0.qkv.w"].tolist() == [1, 2, 0]
    assert set(found) == {"l.0.qkv.w", "l.1.q.w"}


@given(st.lists(st.integers(0, 300), unique=True, max_size=6))
def test_renaming_there_and_back_is_the_identity(layers: list[int]) -> None:
    original = state(*(f"a.{layer}.b.weight" for layer in layers), "c")
    there = rename(original, {"a.{}.b": "x.y.{}", "c": "z"})
    assert rename(there, {"x.y.{}": "a.{}.b", "z": "c"}) == original


def test_formats_are_recognised_with_and_without_a_prefix() -> None:
    formats = {
        name: CheckpointFormat(key, lambda state, _: dict(state)) for name, key in {"x": "e.c", "y": "c"}.items()
    }
    assert detect_format(state("a", "e.c"), formats, "file") == "x"
    assert detect_format(state("vit.e.c"), formats, "file") == "x"
    assert detect_format(state("c"), formats, "file") == "y"
    assert strip_prefix(state("vit.e.c", "head"), "vit.").keys() == {"e.c", "head"}
    with pytest.raises(WeightsError, match=r"file is in none of the layouts that this family reads \(x, y\); .* q, r"):
        detect_format(state("q", "r"), formats, "file")


@pytest.mark.parametrize(("value", "side"), [(224, 224), ([16, 16], 16), ((14, 14), 14)])
def test_square_sides(value: Any, side: int) -> None:
    assert square_side({"image_size": value}, "image_size") == side


def test_what_is_not_supported_is_named() -> None:
    with pytest.raises(ConfigError, match=r"image_size = \[224, 192\] is not square"):
        square_side({"image_size": [224, 192]}, "image_size")
    require_value({}, "hidden_act", "gelu")
    with pytest.raises(ConfigError, match="hidden_act = 'relu'"):
        require_value({"hidden_act": "relu"}, "hidden_act", "gelu")


def test_classes_are_counted_only_for_classifiers() -> None:
    names = {"0": "a", "1": "b", "2": "c"}
    assert huggingface_classes({"architectures": ["XModel"], "id2label": names}) == 0
    assert huggingface_classes({"architectures": ["XForImageClassification"], "id2label": names}) == 3
    assert huggingface_classes({"architectures": ["XForImageClassification"]}) == 2
    assert huggingface_classes({}) == 0
