"""Principal components against numpy's SVD, the two steps on features whose object is known, and the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nexus.errors import InputError
from nexus.visualization.feature_pca import otsu_threshold, patch_pca, principal_components

GRID = (12, 16)


def scene(count: int = 2, object_share: float = 0.25, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Patches of an object with two parts before a background that varies, and the object's mask."""
    random = np.random.default_rng(seed)
    directions = np.linalg.qr(random.normal(size=(32, 4)))[0].T
    height, width = GRID
    mask = np.zeros((count, height, width), dtype=bool)
    rows = round(height * object_share**0.5)
    columns = round(width * object_share**0.5)
    for image in range(count):
        top, left = 2 + image, 3 + image
        mask[image, top : top + rows, left : left + columns] = True
    part = np.where(np.arange(width) < width // 2, 1.0, -1.0)
    tokens = np.where(mask[..., None], 8 * directions[0] + 4 * part[:, None] * directions[1], -4 * directions[0])
    tokens = tokens + np.linspace(-2, 2, height)[:, None, None] * directions[2]
    tokens = tokens + 0.2 * random.normal(size=tokens.shape)
    return tokens.reshape(count, height * width, 32).astype(np.float32), mask


def test_components_equal_those_of_a_singular_value_decomposition() -> None:
    x = np.random.default_rng(1).normal(size=(200, 12)) @ np.diag(np.linspace(3, 0.1, 12))
    found = principal_components(torch.from_numpy(x), 5)
    _, singular, rows = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs((found.vectors.numpy() * rows[:5]).sum(1)), 1, atol=1e-9)
    np.testing.assert_allclose(found.explained.numpy(), (singular**2 / (singular**2).sum())[:5], atol=1e-12)
    np.testing.assert_allclose(found.project(torch.from_numpy(x)).numpy(), (x - x.mean(0)) @ found.vectors.numpy().T)


def test_signs_do_not_depend_on_the_solver() -> None:
    x = torch.randn(100, 8, dtype=torch.float64)
    vectors = principal_components(x, 4).vectors
    assert (vectors.gather(1, vectors.abs().argmax(1, keepdim=True)) > 0).all()
    torch.testing.assert_close(principal_components(x.flip(0), 4).vectors, vectors)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_two_steps_find_the_object_and_its_parts(share: float) -> None:
    tokens, mask = scene(object_share=share)
    found = patch_pca(tokens, GRID)
    assert found.separated
    np.testing.assert_array_equal(found.foreground, mask)
    assert (found.two_step[~mask] == 0).all()
    left_half = np.broadcast_to(np.arange(GRID[1]) < GRID[1] // 2, mask.shape)
    first = found.two_step[..., 0]
    gap = first[mask & left_half].mean() - first[mask & ~left_half].mean()
    assert abs(gap) > 0.5  # the first component of the object tells its two parts apart
    assert found.explained_two[0] > 0.5


def test_the_object_does_not_depend_on_the_sign_of_the_features() -> None:
    tokens, mask = scene()
    np.testing.assert_array_equal(patch_pca(-tokens, GRID).foreground, mask)
    np.testing.assert_array_equal(patch_pca(tokens, GRID, invert=True).foreground, ~mask)


def test_a_threshold_can_be_given() -> None:
    tokens, mask = scene()
    np.testing.assert_array_equal(patch_pca(tokens, GRID, threshold=0.0).foreground, mask)
    nothing = patch_pca(tokens, GRID, threshold=50.0)
    assert not nothing.separated
    assert nothing.foreground.all()


def test_types_ranges_and_repetition() -> None:
    tokens, _ = scene()
    found, again = patch_pca(tokens, GRID), patch_pca(torch.from_numpy(tokens).bfloat16().float(), GRID)
    assert found.single_step.shape == found.two_step.shape == (2, *GRID, 3)
    for colours in (found.single_step, found.two_step):
        assert colours.dtype == np.float32
        assert colours.min() >= 0
        assert colours.max() <= 1
    assert np.abs(found.single_step - again.single_step).mean() < 0.01
    np.testing.assert_array_equal(patch_pca(tokens, GRID).two_step, found.two_step)


def test_one_image_alone() -> None:
    tokens, mask = scene(count=1)
    np.testing.assert_array_equal(patch_pca(tokens, GRID).foreground, mask)


def test_equal_features_are_grey_and_all_foreground() -> None:
    found = patch_pca(np.full((1, 16, 8), 0.3, dtype=np.float32))
    assert not found.separated
    assert found.foreground.all()
    assert (found.single_step == 0.5).all()
    assert (found.two_step == 0.5).all()
    assert (found.explained_single == 0).all()


def test_fewer_patches_or_channels_than_components() -> None:
    assert patch_pca(np.ones((1, 1, 5))).two_step.shape == (1, 1, 1, 3)
    narrow = principal_components(torch.randn(10, 2), 3)
    assert narrow.vectors.shape == (3, 2)
    assert narrow.explained.sum().item() == pytest.approx(1)
    assert narrow.explained[2] == 0


def test_otsu_cuts_in_the_middle_of_the_gap() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(0, 0.1, 900), np.random.default_rng(1).normal(5, 0.1, 30)])
    assert 1 < otsu_threshold(values) < 4
    assert otsu_threshold(np.array([0.0, 10.0])) == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("shape", [(4, 8), (1, 0, 8), (1, 7, 8)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"tokens must be|do not fill a grid"):
        patch_pca(np.zeros(shape))


def test_values_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="NaN"):
        patch_pca(np.full((1, 4, 2), np.nan))
    with pytest.raises(InputError, match="at least one"):
        otsu_threshold(np.array([]))
    with pytest.raises(InputError, match="vectors, channels"):
        principal_components(torch.zeros(3), 1)


@pytest.mark.parametrize("upsample", ["nearest", "bicubic"])
def test_the_picture_shows_photo_one_step_and_two_steps(upsample: str) -> None:
    tokens, mask = scene()
    found = patch_pca(tokens, GRID)
    photos = [Image.new("RGB", (160, 120), "#ff0000")] * 2
    page = found.render(photos, side=160, upsample=upsample, captions=["one.jpg", "two\n.jpg"])
    reds = np.argwhere((np.asarray(page) == (255, 0, 0)).all(-1))
    top, left = reds.min(0)
    assert len(reds) == 2 * 160 * 120
    panel = np.asarray(page)[top : top + 120, left + 2 * 172 : left + 2 * 172 + 160]
    centres = panel[5::10, 5::10]
    far = ~mask[0]  # away from the object's edge also the smoothed picture is black
    far[1:-1, 1:-1] &= ~mask[0][:-2, 1:-1] & ~mask[0][2:, 1:-1] & ~mask[0][1:-1, :-2] & ~mask[0][1:-1, 2:]
    assert (centres[far] <= 2).all()
    assert centres[mask[0]].any(-1).mean() > 0.9


def test_the_picture_wants_one_photo_per_image() -> None:
    found = patch_pca(scene()[0], GRID)
    with pytest.raises(InputError, match="1 photos"):
        found.render([Image.new("RGB", (8, 8))])
    with pytest.raises(InputError, match="'linear'"):
        found.render([Image.new("RGB", (8, 8))] * 2, upsample="linear")
