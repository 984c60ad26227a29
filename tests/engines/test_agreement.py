from __future__ import annotations

import numpy as np
import pytest

from nexus.engines import agreements
from nexus.engines.agreement import MINIMUM, agreement


@pytest.fixture
def outputs() -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "embeddings": rng.standard_normal((3, 64)).astype(np.float32),
        "tokens": rng.standard_normal((3, 10, 64)).astype(np.float32),
        "features": [rng.standard_normal((3, 64, 4, 4)).astype(np.float32) for _ in range(2)],
    }


def changed(outputs: dict[str, object], key: str, array: np.ndarray) -> dict[str, object]:
    return {**outputs, key: array}


def test_equal_outputs_agree(outputs: dict[str, object]) -> None:
    assert agreements(outputs, outputs) == pytest.approx(
        {"embeddings": 1, "tokens": 1, "features.0": 1, "features.1": 1}
    )
    assert agreement(outputs, outputs) == pytest.approx(1)


def test_one_bad_image_counts_not_the_mean(outputs: dict[str, object]) -> None:
    bad = np.array(outputs["embeddings"])
    bad[1] = -bad[1]
    figures = agreements(outputs, changed(outputs, "embeddings", bad))
    assert figures["embeddings"] == pytest.approx(-1)
    assert figures["tokens"] == pytest.approx(1)


def test_small_vectors_are_not_hidden_by_large_ones(outputs: dict[str, object]) -> None:
    tokens = np.array(outputs["tokens"])
    tokens[:, 0] *= 1000  # an outlier token decides the cosine of the whole image
    wrong = tokens.copy()
    wrong[:, 1:] = tokens[:, 1:][..., ::-1]
    reference = changed(outputs, "tokens", tokens)
    whole = (tokens * wrong).sum() / np.linalg.norm(tokens) / np.linalg.norm(wrong)
    assert whole > MINIMUM > agreements(reference, changed(reference, "tokens", wrong))["tokens"]


def test_feature_maps_are_compared_along_their_channels(outputs: dict[str, object]) -> None:
    maps = np.array(outputs["features"][0])  # type: ignore[index]
    scaled = maps * np.linspace(0.5, 1.5, 16, dtype=np.float32).reshape(4, 4)  # each position's direction is kept
    figures = agreements({"features": [maps]}, {"features": [scaled]})
    whole = (maps * scaled).sum(axis=(1, 2, 3)) / np.linalg.norm(maps.reshape(3, -1), axis=1)
    whole /= np.linalg.norm(scaled.reshape(3, -1), axis=1)
    assert figures["features.0"] == pytest.approx(whole.min())
    turned = np.roll(maps, 1, axis=2)
    assert agreements({"features": [maps]}, {"features": [turned]})["features.0"] < 0.2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_disagrees(outputs: dict[str, object], value: float) -> None:
    bad = np.array(outputs["embeddings"])
    bad[2, 5] = value
    assert agreement(outputs, changed(outputs, "embeddings", bad)) == -1


def test_a_missing_output_or_another_shape_disagrees(outputs: dict[str, object]) -> None:
    assert agreement(outputs, {key: value for key, value in outputs.items() if key != "tokens"}) == -1
    assert agreement(outputs, changed(outputs, "tokens", np.zeros((3, 9, 64), np.float32))) == -1


def test_zeros_agree_with_zeros_only() -> None:
    zeros, ones = {"logits": np.zeros((2, 4), np.float32)}, {"logits": np.ones((2, 4), np.float32)}
    assert agreement(zeros, zeros) == 1
    assert agreement(zeros, ones) == 0


def test_an_output_without_vectors_agrees() -> None:
    nothing = {"aux": {"registers": np.zeros((2, 0, 8), np.float32)}}
    assert agreements(nothing, nothing) == {"aux.registers": 1}
