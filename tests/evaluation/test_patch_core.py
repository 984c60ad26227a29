"""PatchCore: each step by its equation, and the whole on textures with a defect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter

from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError, ImageError, InputError, WeightsError
from nexus.evaluation import PatchCore, PatchCoreConfig, patch_core
from nexus.evaluation.patch_core import Bank, heat_maps, image_score, locally_aware, nearest, whole_picture
from nexus.models.cv import DINOv2, ResNet

SIDE = 64


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """A narrow ResNet with random weights, whose maps of stride 8 and 16 are 8x8 and 4x4."""
    torch.manual_seed(0)
    model = ResNet({"block": "basic", "depths": (1, 1, 1, 1), "stem_width": 8, "widths": (8, 8, 12, 16)}).eval()
    return Predictor(model, engine="eager", preprocess=whole_picture(model, SIDE), workers=1)


def texture(seed: int) -> Image.Image:
    """Stripes that start anywhere, with noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    stripes = 128 + 60 * np.sin((rows + columns) / 3 + rng.uniform(0, 6.3))
    pixels = stripes[..., None] + rng.normal(scale=8, size=(SIDE, SIDE, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def damaged(seed: int) -> Image.Image:
    """The same with a bright square in the lower left quarter."""
    picture = texture(seed)
    picture.paste("#ff2010", (10, 40, 26, 56))
    return picture


NORMAL = [texture(seed) for seed in range(12)]


# -- the steps ---------------------------------------------------------------------------------------------------------


def test_patches_know_their_neighbours() -> None:
    fine, coarse = torch.randn(2, 3, 6, 8), torch.randn(2, 5, 3, 4)
    found = locally_aware([fine, coarse]).double()
    assert found.shape == (2, 6, 8, 8)
    padded = F.pad(fine.double(), (1, 1, 1, 1))
    for row, column in [(0, 0), (2, 5), (5, 7)]:
        window = padded[:, :, row : row + 3, column : column + 3]
        torch.testing.assert_close(found[:, row, column, :3], window.mean((2, 3)), atol=1e-6, rtol=1e-6)
    padded = F.pad(coarse.double(), (1, 1, 1, 1))
    pooled = padded.unfold(2, 3, 1).unfold(3, 3, 1).mean((-1, -2))
    # Place (3, 2) of the fine grid lies at (1.25, 0.75) of the coarse one.
    between = 0.75 * (0.25 * pooled[:, :, 1, 0] + 0.75 * pooled[:, :, 1, 1])
    between += 0.25 * (0.25 * pooled[:, :, 2, 0] + 0.75 * pooled[:, :, 2, 1])
    torch.testing.assert_close(found[:, 3, 2, 3:], between, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(locally_aware([fine], 1), fine.permute(0, 2, 3, 1))


def test_wide_maps_are_averaged_to_equal_shares() -> None:
    narrow, wide = torch.randn(1, 4, 2, 2), torch.randn(1, 12, 2, 2)
    found = locally_aware([narrow, wide], 1, dims=12)
    assert found.shape[-1] == 4 + 6
    pairs = wide.view(1, 6, 2, 2, 2).mean(2).permute(0, 2, 3, 1)
    torch.testing.assert_close(found[..., 4:], pairs)


@pytest.mark.parametrize("neighbours", [1, 3, 9, 50])
def test_the_score_is_equation_7(neighbours: int) -> None:
    rng = np.random.default_rng(0)
    bank, patches = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(6, 4)).astype(np.float32)
    far, rows = nearest(patches, bank)
    found = image_score(patches, far[:, 0], rows[:, 0], bank, neighbours)

    between = np.linalg.norm(patches[:, None].astype(float) - bank, axis=2)
    oddest = between.min(1).argmax()
    star = between[oddest].argmin()
    around = np.linalg.norm(bank.astype(float) - bank[star], axis=1).argsort()[:neighbours]
    weight = 1 - np.exp(between[oddest, star]) / np.exp(between[oddest, around]).sum()
    expected = between[oddest, star] * (1 if neighbours == 1 else weight)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_bank_of_one_patch_has_no_neighbours() -> None:
    patch = np.ones((1, 3), np.float32)
    far, rows = nearest(patch, 3 * patch)
    assert image_score(patch, far[:, 0], rows[:, 0], 3 * patch, 9) == pytest.approx(12**0.5)


def test_large_distances_do_not_overflow() -> None:
    bank = np.array([[0.0], [1.0], [5.0]], np.float32)
    far, rows = nearest(np.full((1, 1), 5000, np.float32), bank)
    assert image_score(np.full((1, 1), 5000, np.float32), far[:, 0], rows[:, 0], bank, 3) == pytest.approx(
        4995, rel=0.01
    )


def test_heat_maps_are_smoothed() -> None:
    distances = np.random.default_rng(0).random((2, 5, 7), dtype=np.float32)
    found = heat_maps(distances, (60, 70), 4.0)
    for one, grid in zip(found, distances, strict=True):
        large = F.interpolate(torch.from_numpy(grid)[None, None], size=(60, 70), mode="bilinear")[0, 0].numpy()
        np.testing.assert_allclose(one, gaussian_filter(large, 4.0, mode="mirror"), atol=1e-5)
    np.testing.assert_allclose(heat_maps(np.ones((1, 2, 2), np.float32), (20, 20), 4.0), 1, atol=1e-6)
    assert heat_maps(distances, (5, 7), 0) == pytest.approx(distances)


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_what_is_odd_is_found_and_located(predictor: Predictor) -> None:
    core = PatchCore(predictor, {"coreset": 0.2}).fit(NORMAL)
    assert core.layers == ("pyramid.8", "pyramid.16")
    assert core.patches.shape == (round(0.2 * 12 * 64), 8 + 12)
    scores, maps = core.score([texture(50), damaged(51), texture(52), damaged(53)])
    assert core.bank is not None
    assert (scores >= core.bank.calibration.threshold).tolist() == [False, True, False, True]
    assert maps.shape == (4, SIDE, SIDE)
    peaks = maps.reshape(4, -1).max(1)
    assert (peaks >= core.bank.calibration.map_threshold).tolist() == [False, True, False, True]
    for one in maps[[1, 3]]:
        row, column = np.unravel_index(one.argmax(), one.shape)
        assert 40 <= row < 56
        assert 10 <= column < 26


def test_a_known_picture_is_not_odd_at_all(predictor: Predictor) -> None:
    core = PatchCore(predictor, {"coreset": 1.0}).fit(NORMAL[:3])
    scores, maps = core.score(NORMAL[:3])
    assert scores.max() < 1e-3
    assert maps.max() < 1e-3


def test_the_threshold_is_found_without_a_pictures_own_patches(predictor: Predictor) -> None:
    core = PatchCore(predictor, {"coreset": 1.0}).fit(NORMAL[:5])
    assert core.bank is not None
    for number in range(5):
        others = PatchCore(predictor, {"coreset": 1.0}).fit(NORMAL[:number] + NORMAL[number + 1 : 5])
        scores, maps = others.score([NORMAL[number]])
        assert core.bank.calibration.scores[number] == pytest.approx(float(scores[0]), rel=1e-4)
        assert core.bank.calibration.peaks[number] == pytest.approx(float(maps.max()), rel=1e-4)
    low, high = core.bank.calibration.colours
    assert low < core.bank.calibration.threshold < high


def test_memory_is_bounded_by_blocks(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coresets are chosen of two pictures at a time, and the threshold is found with three."""
    blocks: list[int] = []
    chosen = patch_core.coreset
    monkeypatch.setattr(patch_core, "BLOCK", 100)
    monkeypatch.setattr(patch_core, "CALIBRATED", 3)
    monkeypatch.setattr(patch_core, "coreset", lambda b, *a, **k: (blocks.append(len(b)), chosen(b, *a, **k))[1])
    core = PatchCore(predictor).fit(NORMAL[:7])
    assert blocks == [128, 128, 128, 64]
    assert len(core.patches) == 13 + 13 + 13 + 6
    assert core.bank is not None
    assert (core.bank.pictures, core.bank.seen, len(core.bank.calibration.scores)) == (7, 7 * 64, 3)


def test_equal_seeds_give_equal_banks(predictor: Predictor) -> None:
    first, second, other = (PatchCore(predictor, {"seed": seed}).fit(NORMAL[:4]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.patches, second.patches)
    assert not np.array_equal(first.patches, other.patches)
    assert first.bank == second.bank


def test_a_plain_vit_gives_its_final_tokens() -> None:
    torch.manual_seed(0)
    vit = DINOv2({"image_size": 56, "patch_size": 14, "embed_dim": 32, "num_layers": 2, "num_heads": 2}).eval()
    spec = whole_picture(vit)
    assert (spec.resize, spec.crop) == ((448, 448), None)
    predictor = Predictor(vit, engine="eager", preprocess=whole_picture(vit, 56), workers=1)
    core = PatchCore(predictor, {"neighbourhood": 1, "coreset": 1.0}).fit(NORMAL[:2])
    tokens = predictor.embed(NORMAL[:2], "patch").vectors
    np.testing.assert_allclose(core.patches, tokens.reshape(-1, 32), atol=1e-5)
    blocks = PatchCore(predictor, {"layers": ["features.0", "features.1"]}).fit(NORMAL[:2])
    assert blocks.patches.shape[1] == 64


def test_a_bank_is_kept_in_one_file(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    core = PatchCore(predictor, {"coreset": 0.3, "neighbours": 4})
    with pytest.raises(InputError, match="call fit first"):
        core.save(path)
    core.fit(NORMAL, name="my/model").save(path)
    bank = Bank.read(path)
    assert bank == core.bank
    assert (bank.model, bank.preprocess, bank.config.neighbours) == ("my/model", predictor.preprocess, 4)
    loaded = PatchCore.load(path, predictor)
    for ours, theirs in zip(loaded.score(NORMAL[:2]), core.score(NORMAL[:2]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_bank_of_another_model_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    PatchCore(predictor).fit(NORMAL[:3]).save(path)
    torch.manual_seed(1)
    other = ResNet(predictor.model.config).eval()
    with pytest.raises(WeightsError, match=r"bank.safetensors was made with ResNet, weights \w+; the model here has"):
        PatchCore.load(path, Predictor(other, preprocess=predictor.preprocess))
    with pytest.raises(WeightsError, match=r"preprocessing \w+; the model here has preprocessing"):
        PatchCore.load(path, Predictor(predictor.model, preprocess=whole_picture(predictor.model, 32)))
    (tmp_path / "text").write_text("no tensors")
    for name in ("text", "absent"):
        with pytest.raises(WeightsError, match=f"{name} cannot be read as a memory bank"):
            Bank.read(tmp_path / name)
    save_file({"weight": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no memory bank of this version"):
        PatchCore.load(tmp_path / "other.safetensors", predictor)


def test_what_cannot_be_learnt_from_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two normal pictures or more are needed .*, 1 could be read"):
        PatchCore(predictor).fit(NORMAL[:1])
    with pytest.raises(InputError, match=r"coreset = 0.001: that leaves 1 patches of 2 pictures"):
        PatchCore(predictor, {"coreset": 0.001}).fit(NORMAL[:2])
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        PatchCore(predictor).fit([*NORMAL[:2], tmp_path / "bad.jpg"])
    skipped: list[str] = []
    core = PatchCore(predictor)
    core.fit([*NORMAL[:2], tmp_path / "bad.jpg"], on_skip=lambda bad: skipped.extend(one.source for one in bad))
    assert [Path(one).name for one in skipped] == ["bad.jpg"]
    with pytest.raises(InputError, match="no picture to judge"):
        core.score([])
    with pytest.raises(InputError, match=r"layers: 'embeddings' is no map"):
        PatchCore(predictor, {"layers": ["embeddings"]}).fit(NORMAL)
    with pytest.raises(InputError, match=r"no output 'pyramid.64'"):
        PatchCore(predictor, {"layers": ["pyramid.64"]}).fit(NORMAL)


def test_settings_out_of_range_are_named() -> None:
    for settings, message in [
        ({"coreset": 0}, "coreset = 0"),
        ({"coreset": 1.5}, "coreset = 1.5"),
        ({"neighbourhood": 4}, "neighbourhood = 4: must be odd"),
        ({"sigma": -1}, "sigma = -1"),
        ({"neighbors": 3}, "did you mean 'neighbours'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            PatchCoreConfig.parse(settings)
