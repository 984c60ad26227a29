from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.config import Config, check_multiple
from nexus.errors import ConfigError


class Inner(Config):
    side: int = 3


class Example(Config):
    image_size: int = 224
    ratio: float = 4.0
    pool: Literal["cls", "mean"] = "cls"
    stages: tuple[int, ...] = (2, 2)
    inner: Inner = Inner()


@given(
    st.builds(
        Example,
        image_size=st.integers(),
        ratio=st.floats(allow_nan=False, allow_infinity=False),
        pool=st.sampled_from(["cls", "mean"]),
        stages=st.lists(st.integers()).map(tuple),
        inner=st.builds(Inner, side=st.integers()),
    )
)
def test_round_trip(config: Example) -> None:
    assert Example.parse(config.to_dict()) == config


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Example: unknown key 'img_size' \(did you mean 'image_size'\?\)"):
        Example.parse({"img_size": 224})


def test_a_key_like_no_other_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="known keys: image_size, ratio, pool, stages, inner"):
        Example.parse({"zzz": 1})


def test_a_wrong_value_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"inner\.side = 'wide': Input should be a valid integer"):
        Example.parse({"inner": {"side": "wide"}})


def test_frozen_and_replaced() -> None:
    config = Example()
    with pytest.raises(ValueError, match="frozen"):
        config.image_size = 1  # type: ignore[misc]
    assert config.replace(image_size=14).image_size == 14
    with pytest.raises(ConfigError, match="did you mean 'ratio'"):
        config.replace(ratios=1)


def test_a_config_of_another_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="a Example is needed here, not a Inner"):
        Example.parse(Inner())


@pytest.mark.parametrize(("value", "nearest"), [(225, "224 or 240"), (10, "16")])
def test_what_is_no_multiple_names_the_nearest(value: int, nearest: str) -> None:
    check_multiple("side", 224, 16, "the patch")
    with pytest.raises(ValueError, match=f"^side = {value} is not a multiple of the patch: take {nearest}$"):
        check_multiple("side", value, 16, "the patch")
