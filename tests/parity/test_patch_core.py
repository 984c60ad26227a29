"""PatchCore and its measures give what anomalib gives, from the same features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from golden.make_patch_core import CENTRES, NEIGHBOURS, PICTURES, SIZE, masks
from safetensors.torch import load_file

from nexus.evaluation.coreset import k_center_greedy
from nexus.evaluation.patch_core import heat_maps, image_score, locally_aware, nearest
from nexus.metrics.anomaly import aupro, auroc, best_f1, pixel_auroc

GOLDEN = load_file(Path(__file__).parent / "golden" / "patch_core.safetensors")
KNOWN = {key: value.numpy() for key, value in GOLDEN.items()}
NORMAL = 4 * 144
"""Patches of the pictures of which the bank was made."""


def embedding() -> np.ndarray:
    return locally_aware([GOLDEN["fine"], GOLDEN["coarse"]]).numpy()


def test_patches() -> None:
    np.testing.assert_allclose(embedding().transpose(0, 3, 1, 2), KNOWN["embedding"], atol=1e-5)


def test_the_greedy_choice() -> None:
    chosen = k_center_greedy(embedding().reshape(-1, 12)[:NORMAL], CENTRES, start=int(KNOWN["centres"][0]))
    assert chosen.tolist() == KNOWN["centres"].tolist()


def test_scores_and_maps() -> None:
    patches = embedding().reshape(PICTURES, 144, 12)
    bank = patches.reshape(-1, 12)[:NORMAL][KNOWN["centres"]]
    far, rows = nearest(patches.reshape(-1, 12), bank)
    far, rows = far.reshape(PICTURES, 144), rows.reshape(PICTURES, 144)
    np.testing.assert_allclose(far, KNOWN["patch_scores"], atol=1e-3)  # theirs loses digits near 0: sqrt(a - 2b + c)
    away = KNOWN["patch_scores"] > 0.1
    np.testing.assert_allclose(far[away], KNOWN["patch_scores"][away], atol=1e-4)
    scores = [image_score(*one, bank, NEIGHBOURS) for one in zip(patches, far, rows, strict=True)]
    np.testing.assert_allclose(scores, KNOWN["picture_scores"], atol=1e-4)
    heat = heat_maps(KNOWN["patch_scores"].reshape(PICTURES, 12, 12), SIZE, 4.0)
    np.testing.assert_allclose(heat, KNOWN["heat"], atol=1e-4)


def test_measures() -> None:
    truth, heat = masks().numpy(), KNOWN["heat"]
    unit = (heat - heat.min()) / (heat.max() - heat.min())
    assert auroc(KNOWN["picture_scores"], truth.any((1, 2))) == pytest.approx(float(KNOWN["auroc"][0]), abs=1e-4)
    assert pixel_auroc(unit, truth) == pytest.approx(float(KNOWN["pixel_auroc"][0]), abs=1e-4)
    best = best_f1(unit.ravel(), truth.ravel())
    assert best.f1 == pytest.approx(float(KNOWN["best_f1"][0]), abs=1e-4)
    assert best.threshold == pytest.approx(float(KNOWN["best_f1_threshold"][0]), abs=1e-4)


def test_aupro() -> None:
    """anomalib interpolates each region's curve on a common index in float32; ours has a point at every value."""
    heat = KNOWN["heat"]
    unit = (heat - heat.min()) / (heat.max() - heat.min())
    assert aupro(unit, masks().numpy()) == pytest.approx(float(KNOWN["aupro"][0]), abs=1e-4)
