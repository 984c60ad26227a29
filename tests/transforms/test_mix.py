from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from nexus._seeds import generator, sample_seeds
from nexus.errors import ConfigError
from nexus.transforms.mix import (
    Blend,
    ErasingConfig,
    MixConfig,
    cutmix_box,
    draw_blend,
    erased_box,
    mix,
    random_erasing,
)

MIXUP, CUTMIX = MixConfig(cutmix_alpha=0), MixConfig(mixup_alpha=0)
SIZE = (20, 28)


def batch(count: int = 8, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, one-hot targets, seeds and partners, in float64."""
    images = torch.randn(count, 3, *SIZE, dtype=torch.float64)
    targets = torch.eye(5, dtype=torch.float64)[torch.arange(count) % 5]
    partners = [place ^ 1 if place ^ 1 < count else place for place in range(count)]
    return images, targets, torch.from_numpy(sample_seeds(seed, 0, range(count))), torch.tensor(partners)


def blends(config: MixConfig, count: int = 4000, size: tuple[int, int] = (224, 224)) -> list[Blend]:
    return [draw_blend(seed, size, config) for seed in sample_seeds(1, 0, range(count)).tolist()]


# -- MixUp and CutMix --------------------------------------------------------------------------------------------------


def test_mixup_is_the_papers_equation() -> None:
    images, targets, seeds, partners = batch(7)
    mixed, labels = mix(images, targets, seeds, partners, MIXUP)
    for place in range(7):
        other = int(partners[place])
        share = draw_blend(min(int(seeds[place]), int(seeds[other])), SIZE, MIXUP).label if other != place else 1.0
        expected = share * images[place] + (1 - share) * images[other]
        torch.testing.assert_close(mixed[place], expected, rtol=0, atol=1e-14)
        torch.testing.assert_close(
            labels[place], share * targets[place] + (1 - share) * targets[other], rtol=0, atol=1e-14
        )
    assert torch.equal(mixed[6], images[6])


def test_cutmix_takes_a_box_and_its_exact_area_of_the_label() -> None:
    images, targets, seeds, partners = batch(64)
    mixed, labels = mix(images, targets, seeds, partners, CUTMIX)
    for place in range(64):
        other = int(partners[place])
        own = (mixed[place] == images[place]).all(0)
        theirs = (mixed[place] == images[other]).all(0)
        assert bool((own ^ theirs).all())
        rows, columns = theirs.any(1).nonzero(), theirs.any(0).nonzero()
        if len(rows):
            box = theirs[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert int(box.sum()) == box.numel() == int(theirs.sum())
        share = own.double().mean()
        torch.testing.assert_close(
            labels[place], share * targets[place] + (1 - share) * targets[other], rtol=0, atol=1e-14
        )


@pytest.mark.parametrize("config", [MIXUP, CUTMIX, MixConfig()])
def test_two_partners_exchange_the_same(config: MixConfig) -> None:
    images, targets, seeds, partners = batch(16)
    mixed, labels = mix(images, targets, seeds, partners, config)
    for before, after in ((images, mixed), (targets, labels)):
        torch.testing.assert_close(after[::2] + after[1::2], before[::2] + before[1::2], rtol=0, atol=1e-13)
    assert not torch.equal(mixed, images)
    torch.testing.assert_close(labels.sum(1), torch.ones(16, dtype=torch.float64))


def test_a_pair_is_mixed_alike_wherever_it_lies() -> None:
    images, targets, seeds, partners = batch(8)
    mixed, labels = mix(images, targets, seeds, partners, MixConfig())
    for places in ([0, 1, 2, 3], [6, 7], [5, 4]):
        local = torch.tensor([place ^ 1 for place in range(len(places))])
        some, some_labels = mix(images[places], targets[places], seeds[places], local, MixConfig())
        assert torch.equal(some, mixed[places])
        assert torch.equal(some_labels, labels[places])


def test_shares_are_beta_distributed_and_kinds_as_likely_as_asked() -> None:
    drawn = blends(MixConfig(probability=0.8, switch_probability=0.25))
    mixups = np.array([blend.pixels for blend in drawn if blend.pixels != 1])
    cuts = [blend for blend in drawn if blend.box != (0, 0, 0, 0)]
    assert abs(len(mixups) / len(drawn) - 0.6) < 0.04
    assert abs(len(cuts) / len(drawn) - 0.2) < 0.04
    assert abs(mixups.mean() - 0.5) < 0.03
    assert abs(mixups.var() - 1 / (4 * (2 * 0.8 + 1))) < 0.01  # of Beta(a, a)


def test_the_box_has_the_law_of_the_paper() -> None:
    share, (height, width) = 0.75, (100, 60)
    boxes = np.array([cutmix_box(share, (height, width), generator(seed)) for seed in range(20_000)])
    top, bottom, left, right = boxes.T
    assert (bottom - top).max() == 50  # 100 sqrt(1 - 0.75)
    assert (right - left).max() == 30
    assert boxes.min() == 0
    assert bottom.max() == height
    assert right.max() == width
    # A uniform centre covers a pixel as often as the box fits around it: fully inside, less towards the edge.
    covered = np.zeros((height, width))
    for a, b, c, d in boxes:
        covered[a:b, c:d] += 1
    rows, columns = np.arange(height), np.arange(width)
    reach = [
        np.minimum(place + length // 2, side - 1) - np.maximum(place - (length - length // 2) + 1, 0) + 1
        for place, length, side in ((rows, 50, height), (columns, 30, width))
    ]
    expected = reach[0][:, None] / height * reach[1][None] / width
    assert np.abs(covered / len(boxes) - expected).max() < 0.02
    assert cutmix_box(1.0, (height, width), generator(0))[0] == cutmix_box(1.0, (height, width), generator(0))[1]


@pytest.mark.parametrize("config", [MixConfig(probability=0), MixConfig(mixup_alpha=0, cutmix_alpha=0)])
def test_nothing_is_mixed_where_mixing_is_off(config: MixConfig) -> None:
    images, targets, seeds, partners = batch()
    mixed, labels = mix(images, targets, seeds, partners, config)
    assert not config.active
    assert torch.equal(mixed, images)
    assert torch.equal(labels, targets)


def test_an_empty_batch_stays_empty() -> None:
    images, targets, seeds, partners = (tensor[:0] for tensor in batch())
    mixed, labels = mix(images, targets, seeds, partners, MixConfig())
    assert mixed.shape == (0, 3, *SIZE)
    assert labels.shape == (0, 5)
    assert random_erasing(images, seeds, ErasingConfig()).shape == images.shape


def test_half_precision_stays_half() -> None:
    images, targets, seeds, partners = batch()
    mixed, labels = mix(images.bfloat16(), targets.float(), seeds, partners, MixConfig())
    assert (mixed.dtype, labels.dtype) == (torch.bfloat16, torch.float32)


# -- random erasing ----------------------------------------------------------------------------------------------------


def erased(config: ErasingConfig, count: int = 400) -> tuple[Tensor, Tensor]:
    """Images of sevens after erasing, and which of their pixels are gone."""
    images = torch.full((count, 3, *SIZE), 7.0)
    result = random_erasing(images, torch.from_numpy(sample_seeds(0, 0, range(count))), config)
    assert result is images
    return images, (images != 7.0).any(1)


def test_a_rectangle_of_noise_takes_the_place_of_some_pixels() -> None:
    images, gone = erased(ErasingConfig())
    hit = gone.flatten(1).any(1)
    assert abs(hit.float().mean() - 0.25) < 0.08
    noise = images.permute(1, 0, 2, 3)[:, gone]
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert abs(torch.corrcoef(noise)[0, 1]) < 0.02  # each channel its own
    for mask in gone[hit]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()


def test_const_erases_to_the_mean_colour() -> None:
    images, gone = erased(ErasingConfig(mode="const", probability=1))
    assert gone.flatten(1).any(1).all()
    assert (images.permute(1, 0, 2, 3)[:, gone] == 0).all()


def test_area_and_aspect_of_what_is_erased_have_their_laws() -> None:
    config, size = ErasingConfig(scale=(0.1, 0.2), ratio=(0.5, 2)), (400, 400)
    drawn = [erased_box(size, config, generator(seed)) for seed in range(3000)]
    top, bottom, left, right = np.array([box for box in drawn if box is not None]).T
    assert len(top) == 3000
    area = (bottom - top) * (right - left) / 160_000
    aspect = np.log((bottom - top) / (right - left)) / math.log(2)
    place = top / (400 - (bottom - top))
    for value, low, high in ((area, 0.1, 0.2), (aspect, -1, 1), (place, 0, 1)):
        unit = np.sort((value - low) / (high - low))
        assert np.abs(unit - np.linspace(0, 1, 3000)).max() < 1.95 / math.sqrt(3000) + 0.01  # Kolmogorov, 0.1 %


def test_erasing_depends_on_the_sample_alone() -> None:
    images = torch.randn(12, 3, *SIZE)
    seeds = torch.from_numpy(sample_seeds(3, 1, range(12)))
    whole = random_erasing(images.clone(), seeds, ErasingConfig(probability=0.5))
    assert not torch.equal(whole, images)
    some = random_erasing(images[5:9].clone(), seeds[5:9], ErasingConfig(probability=0.5))
    assert torch.equal(some, whole[5:9])


def test_what_fits_nowhere_is_not_erased() -> None:
    assert erased_box((8, 8), ErasingConfig(scale=(1, 1), ratio=(1, 1)), generator(0)) is None
    _, gone = erased(ErasingConfig(scale=(1, 1), ratio=(1, 1), probability=1), 4)
    assert not gone.any()


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (MixConfig, {"mixup_alpha": -1}),
        (MixConfig, {"probability": 1.1}),
        (ErasingConfig, {"scale": (0.5, 0.1)}),
        (ErasingConfig, {"ratio": (0, 1)}),
        (ErasingConfig, {"mode": "rand"}),
    ],
)
def test_values_out_of_range_are_refused(config: type[MixConfig | ErasingConfig], values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        config.parse(values)
