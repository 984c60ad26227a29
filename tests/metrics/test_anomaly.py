"""Scores, pixels and regions: scikit-learn's values, and AUPRO by its definition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from nexus.errors import ConfigError, InputError
from nexus.metrics.anomaly import aupro, auroc, best_f1, pixel_auroc


def scene(seed: int = 0, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Heat maps of three pictures, and masks with a large region, a small one, a diagonal pair and none."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((3, 24, 30), bool)
    masks[0, 2:12, 3:15] = True
    masks[0, 18:20, 20:23] = True
    masks[1, 5, 5] = masks[1, 6, 6] = True
    maps = rng.random(masks.shape) + 0.6 * masks
    return (maps if levels is None else np.round(maps * levels) / levels), masks


def by_definition(maps: np.ndarray, regions: list[np.ndarray], limit: float) -> float:
    """A threshold at every value, one region at a time; straight lines between the points, by a fine grid."""
    odd = np.logical_or.reduce(regions)
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        rates.append(float(above[~odd].mean()))
        overlaps.append(float(np.mean([above[region].mean() for region in regions])))
    grid = np.linspace(0, limit, 200_001)
    return float(np.interp(grid, rates, overlaps).mean())


@pytest.mark.parametrize("levels", [None, 12])
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_is_its_definition(levels: int | None, limit: float) -> None:
    maps, masks = scene(levels=levels)
    large, small, pair = (np.zeros_like(masks) for _ in range(3))
    large[0, 2:12], small[0, 18:20], pair[1] = masks[0, 2:12], masks[0, 18:20], masks[1]
    assert aupro(maps, masks, limit) == pytest.approx(by_definition(maps, [large, small, pair], limit), abs=2e-4)


def test_aupro_counts_regions_not_pixels() -> None:
    maps, masks = np.zeros((1, 20, 20)), np.zeros((1, 20, 20), bool)
    masks[0, :10, :10] = masks[0, 15, 15] = True
    maps[0, :10, :10] = 1  # the large region is found, the small one is not
    assert aupro(maps, masks) == pytest.approx(0.5 + 0.5 * 0.15, abs=1e-9)
    assert pixel_auroc(maps, masks) > 0.99


def test_perfect_and_useless_maps() -> None:
    masks = scene()[1]
    assert aupro(masks.astype(float), masks) == pytest.approx(1)
    assert aupro(np.zeros(masks.shape), masks) == pytest.approx(0.15)  # the diagonal, up to 0.3
    assert aupro(-masks.astype(float), masks) == pytest.approx(0)


def test_auroc_is_scikit_learns() -> None:
    maps, masks = scene()
    assert pixel_auroc(maps, masks) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))
    assert auroc([0.1, 0.4, 0.35, 0.8], [False, False, True, True]) == 0.75


def test_best_f1_tries_every_threshold() -> None:
    rng = np.random.default_rng(3)
    odd = rng.random(80) < 0.3
    scores = np.round(rng.normal(size=80) + odd, 1)
    found = best_f1(scores, odd)
    every = {threshold: f1_score(odd, scores >= threshold) for threshold in np.unique(scores)}
    assert found.f1 == pytest.approx(max(every.values()))
    assert found.threshold == max(t for t, f1 in every.items() if f1 == pytest.approx(found.f1))
    assert found.f1 == pytest.approx(2 / (1 / found.precision + 1 / found.recall))


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(InputError, match=r"shape \(2,\) and truth of shape \(3,\)"):
        auroc([1, 2], [True, False, True])
    with pytest.raises(InputError, match="nothing odd among"):
        auroc([1, 2], [False, False])
    with pytest.raises(InputError, match="nothing normal among"):
        best_f1([1, 2], [True, True])
    with pytest.raises(InputError, match="NaN"):
        auroc([1, np.nan], [True, False])
    with pytest.raises(InputError, match=r"\(N, H, W\) is needed"):
        aupro(np.eye(3), np.eye(3) > 0)
    with pytest.raises(ConfigError, match="limit = 0"):
        aupro(*scene(), limit=0)
