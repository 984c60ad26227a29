"""Greedy k-centre selection: the definition, however many steps are taken at once."""

from __future__ import annotations

import numpy as np
import pytest

from nexus.errors import InputError
from nexus.evaluation import coreset as module
from nexus.evaluation.coreset import coreset, k_center_greedy, random_projection


def clustered(count: int, dims: int, seed: int = 0) -> np.ndarray:
    """Points around a few places, far from the origin, as features are; some of them twice."""
    rng = np.random.default_rng(seed)
    places = rng.normal(scale=4, size=(7, dims))
    points = 20 + places[rng.integers(7, size=count)] + rng.normal(size=(count, dims))
    points[count // 2 :: 10] = points[0]
    return points.astype(np.float32)


def one_by_one(points: np.ndarray, count: int, start: int) -> list[int]:
    """The definition, in float64: each point the farthest from those before it."""
    exact = points.astype(np.float64)
    chosen, far = [start], np.full(len(points), np.inf)
    for _ in range(count - 1):
        far = np.minimum(far, np.linalg.norm(exact - exact[chosen[-1]], axis=1))
        chosen.append(int(far.argmax()))
    return chosen


@pytest.mark.parametrize("ahead", [1, 8, 256])
def test_points_are_chosen_one_by_one(ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_AHEAD", ahead)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 100)
    points = clustered(900, 6)
    assert k_center_greedy(points, 400, start=17).tolist() == one_by_one(points, 400, start=17)


def test_many_follow_from_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    approach = module._approach
    monkeypatch.setattr(module, "_approach", lambda *args: (passes.append(1), approach(*args)))
    k_center_greedy(clustered(4000, 16), 400)
    assert len(passes) < 100


def test_equal_points_are_chosen_once() -> None:
    points = np.zeros((30, 3), np.float32)
    assert sorted(k_center_greedy(points, 30, start=4)) == list(range(30))
    assert k_center_greedy(points[:1], 1).tolist() == [0]


def test_a_coreset_keeps_what_is_rare() -> None:
    """A plane of points with ten beside it: of a hundred at random, hardly one is of the ten."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 300))
    points[::100] += 30 * rng.normal(size=(10, 300))
    chosen = coreset(points.astype(np.float32), 100, dims=64)
    assert len(set(chosen)) == 100
    assert set(range(0, 1000, 100)) <= set(chosen)
    far = np.linalg.norm(points[:, None, :2] - points[chosen][:, :2], axis=2).min(1)
    assert far.max() < 0.3 * np.linalg.norm(points[:, :2], axis=1).std()


def test_the_seed_decides() -> None:
    points = clustered(500, 40)
    assert np.array_equal(coreset(points, 50, dims=16, seed=3), coreset(points, 50, dims=16, seed=3))
    assert not np.array_equal(coreset(points, 50, dims=16, seed=3), coreset(points, 50, dims=16, seed=4))


def test_projections_keep_distances() -> None:
    points = clustered(60, 2000, seed=1)
    projected = random_projection(points, 128, np.random.default_rng(0))
    assert projected.shape == (60, 128)
    first, second = np.triu_indices(60, 1)
    before = np.linalg.norm(points[first] - points[second], axis=1)
    after = np.linalg.norm(projected[first] - projected[second], axis=1)
    apart = before > 1
    assert abs(after[apart] / before[apart] - 1).max() < 0.35
    assert random_projection(points, 2000, np.random.default_rng(0)) is points


@pytest.mark.parametrize("count", [0, 6])
def test_a_count_that_cannot_be(count: int) -> None:
    with pytest.raises(InputError, match=rf"count = {count}: must be 1..5"):
        k_center_greedy(np.ones((5, 2), np.float32), count)
