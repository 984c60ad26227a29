from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nexus._seeds import generator, sample_seeds
from nexus.datasets.labelled import LabelledImages
from nexus.datasets.loader import Samples, TrainLoader
from nexus.errors import ConfigError, InputError
from nexus.transforms.augment import AugmentConfig, augment
from nexus.transforms.decode import Decoder
from nexus.transforms.image import open_image
from nexus.transforms.preprocess import PreprocessSpec

SPEC = PreprocessSpec(resize=18, crop=(16, 16))
AUGMENT = AugmentConfig(policy="trivialaugment")
CLASSES = ("cat", "dog", "owl")


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (20, 24, 3), np.uint8)


def arrays(count: int, targets: Any = None) -> LabelledImages:
    labels = np.arange(count) % 3 if targets is None else np.asarray(targets)
    return LabelledImages([noise(number) for number in range(count)], labels, CLASSES)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.png" for number in range(11)]
    for number, path in enumerate(paths):
        Image.fromarray(noise(number)).save(path)
    return LabelledImages(paths, np.arange(11) % 3, CLASSES)


def steps_of(data: LabelledImages, epoch: int = 0, start: int = 0, **options: Any) -> list[list[Samples]]:
    with TrainLoader(data, SPEC, workers=1, **{"augment": AUGMENT, **options}) as loader:
        return list(loader.epoch(epoch, start))


def joined(parts: list[Samples]) -> dict[str, list[Any]]:
    """Everything that must not depend on how a step is divided, sample by sample; of a partner, which sample it is."""
    return {
        "indices": [index for part in parts for index in part.indices.tolist()],
        "seeds": [seed for part in parts for seed in part.seeds.tolist()],
        "targets": [target for part in parts for target in part.targets.tolist()],
        "pixels": [image.numpy().tobytes() for part in parts for image in part.images],
        "mixed": [part.indices[place].item() for part in parts for place in part.partners.tolist()],
    }


def test_a_step_holds_what_it_says(files: LabelledImages) -> None:
    steps = steps_of(files, batch_size=4, seed=3)
    assert [len(step) for step in steps] == [1, 1, 1]
    for (samples,) in steps:
        count = len(samples.indices)
        assert samples.images.shape == (count, 16, 16, 3)
        assert samples.images.dtype == torch.uint8
        assert samples.targets.tolist() == (samples.indices % 3).tolist()
        assert samples.seeds.tolist() == sample_seeds(3, 0, samples.indices.numpy()).tolist()
        assert not samples.skipped
        for image, index, seed in zip(samples.images, samples.indices.tolist(), samples.seeds.tolist(), strict=True):
            expected = augment(open_image(files.sources[index]), SPEC, AUGMENT, generator(seed))
            np.testing.assert_array_equal(image.numpy(), expected)
    assert [step[0].partners.tolist() for step in steps] == [[1, 0, 3, 2], [1, 0, 3, 2], [1, 0, 2]]


@pytest.mark.parametrize("count", [1, 2, 23])
@pytest.mark.parametrize("batch_size", [1, 5, 8])
@pytest.mark.parametrize("micro_batch", [None, 2, 6])
def test_every_sample_comes_once_and_all_processes_together_give_what_one_gives(
    count: int, batch_size: int, micro_batch: int | None
) -> None:
    data = arrays(count)
    options = {"batch_size": batch_size, "seed": 5, "augment": None}
    whole = [joined(step) for step in steps_of(data, **options)]
    assert sorted(index for step in whole for index in step["indices"]) == list(range(count))
    for world in (1, 2, 3):
        ranks = [steps_of(data, rank=rank, world=world, micro_batch=micro_batch, **options) for rank in range(world)]
        assert {len(steps) for steps in ranks} == {-(-count // batch_size)}
        for number, parts in enumerate(zip(*ranks, strict=True)):
            assert len({len(part) for part in parts}) == 1  # as many micro-batches in every process
            assert joined([samples for part in parts for samples in part]) == whole[number]
            sizes = [len(samples.indices) for part in parts for samples in part]
            assert micro_batch is None or max(sizes) <= micro_batch
            assert max(sizes) - min(sizes) <= 2  # one pair


def test_epochs_and_seeds_differ_and_the_same_ones_do_not() -> None:
    data = arrays(11)

    def run(**options: Any) -> list[dict[str, list[Any]]]:
        return [joined(step) for step in steps_of(data, batch_size=4, **options)]

    assert run(epoch=1, seed=2) == run(epoch=1, seed=2)
    runs = [run(epoch=0, seed=2), run(epoch=1, seed=2), run(epoch=0, seed=3)]
    for a, b in itertools.combinations(runs, 2):
        assert [step["indices"] for step in a] != [step["indices"] for step in b]
        assert not {seed for step in a for seed in step["seeds"]} & {seed for step in b for seed in step["seeds"]}


def test_a_run_taken_up_at_a_step_goes_on_as_it_would_have(files: LabelledImages) -> None:
    options = {"batch_size": 3, "seed": 1, "epoch": 2, "sizes": (16, 24, 32)}
    whole = [joined(step) for step in steps_of(files, **options)]
    for start in range(5):
        assert [joined(step) for step in steps_of(files, start=start, **options)] == whole[start:]


def test_without_shuffling_and_augmentation_the_pixels_are_those_of_evaluation(files: LabelledImages) -> None:
    steps = steps_of(files, batch_size=4, shuffle=False, augment=None)
    with Decoder(SPEC, workers=1) as decoder:
        expected = [item.pixels for item in decoder.stream(files.sources)]
    np.testing.assert_array_equal(np.concatenate([step[0].images.numpy() for step in steps]), np.stack(expected))
    assert [index for step in steps for index in step[0].indices.tolist()] == list(range(11))


def test_a_picture_that_cannot_be_read_is_skipped_and_named(files: LabelledImages, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("hello")
    sources = list(files.sources)
    sources[4] = bad
    data = LabelledImages(sources, files.targets, CLASSES)
    whole, seen = steps_of(files, batch_size=4, seed=8), []
    for number, (samples,) in enumerate(steps_of(data, batch_size=4, seed=8)):
        seen += [(skipped.source, skipped.reason) for skipped in samples.skipped]
        kept = whole[number][0].indices != 4
        assert torch.equal(samples.images, whole[number][0].images[kept])
        assert torch.equal(samples.indices, whole[number][0].indices[kept])
        assert len(samples.targets) == len(samples.seeds) == len(samples.partners) == int(kept.sum())
        for place, partner in enumerate(samples.partners.tolist()):
            before = whole[number][0].indices.tolist().index(samples.indices[place])
            mixed = whole[number][0].indices[whole[number][0].partners[before]].item()
            assert samples.indices[partner] == (samples.indices[place] if mixed == 4 else mixed)
    assert seen == [(str(bad), "is text, not a picture")]


def test_a_step_without_a_readable_picture_is_empty(tmp_path: Path) -> None:
    data = LabelledImages([tmp_path / "a.png", tmp_path / "b.png"], [0, 1], CLASSES)
    ((samples,),) = steps_of(data, batch_size=2)
    assert samples.images.shape == (0, 16, 16, 3)
    assert samples.partners.dtype == samples.targets.dtype == torch.int64
    assert {skipped.reason for skipped in samples.skipped} == {"does not exist"}


def test_balanced_epochs_show_every_class_and_every_picture_of_it_equally_often() -> None:
    targets = [0] * 50 + [1] * 8 + [2] * 3 + [-1] * 4
    data = arrays(len(targets), targets)
    loader = TrainLoader(data, SPEC, batch_size=8, balanced=True, seed=4)
    orders = [loader.order(epoch) for epoch in range(3)]
    for order in orders:
        assert len(order) == 65
        assert sorted(np.bincount(data.targets[order])) == [21, 22, 22]
        for members in (np.arange(50, 58), np.arange(58, 61)):
            counts = np.bincount(order, minlength=65)[members]
            assert counts.max() - counts.min() <= 1
        assert np.bincount(order, minlength=65)[:50].max() == 1
    assert not np.array_equal(orders[0], orders[1])
    np.testing.assert_array_equal(loader.order(0), orders[0])


def test_a_picture_that_is_drawn_again_is_changed_anew() -> None:
    data = arrays(12, [0] * 10 + [1, 2])
    parts = joined([samples for step in steps_of(data, batch_size=4, balanced=True) for samples in step])
    assert parts["indices"].count(10) == parts["indices"].count(11) == 4
    assert len(set(zip(parts["indices"], parts["pixels"], strict=True))) == 12
    assert len(set(parts["seeds"])) == 12
    first = parts["indices"].index(10)
    assert parts["seeds"][first] == sample_seeds(0, 0, [10])[0]


def test_sizes_are_drawn_for_each_step_and_agree_between_processes() -> None:
    options = {"batch_size": 2, "sizes": (16, 24, 32), "seed": 6}
    sides = [
        [step[0].images.shape[1] for step in steps_of(arrays(30), rank=rank, world=2, **options)] for rank in range(2)
    ]
    assert sides[0] == sides[1]
    assert set(sides[0]) == {16, 24, 32}


def test_several_labels_are_floats() -> None:
    targets = np.array([[True, False, True], [False, False, False]])
    ((samples,),) = steps_of(arrays(2, targets), batch_size=2, shuffle=False)
    assert samples.targets.dtype == torch.float32
    assert samples.targets.tolist() == [[1, 0, 1], [0, 0, 0]]


def test_leaving_an_epoch_early_stops_the_work_and_the_next_one_starts(files: LabelledImages) -> None:
    with TrainLoader(files, SPEC, batch_size=2, augment=AUGMENT, workers=1) as loader:
        for _ in range(3):
            for step in loader.epoch(0):
                assert len(step[0].indices) == 2
                break
        assert len(list(loader.epoch(0))) == 6


def test_the_processes_of_an_epoch_work_on_in_the_next(files: LabelledImages) -> None:
    with TrainLoader(files, SPEC, batch_size=4, workers=1) as loader:
        pools = []
        for epoch in range(2):
            assert len(list(loader.epoch(epoch))) == 3
            pools.append(loader._decoder._pool)
        assert pools[0] is pools[1] is not None
    assert loader._decoder._pool is None


def test_few_sources_are_taken_ahead() -> None:
    taken = []

    class Lazy(list):  # type: ignore[type-arg]
        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            taken.append(index)
            return noise(0)

    data = LabelledImages(Lazy([None] * 1000), np.zeros(1000), CLASSES)
    with TrainLoader(data, SPEC, batch_size=10, workers=1) as loader:
        for number, _ in enumerate(itertools.islice(loader.epoch(0), 20)):
            assert len(taken) <= 10 * (number + 4) + 10


def test_an_error_of_the_dataset_reaches_the_caller() -> None:
    class Broken(list):  # type: ignore[type-arg]
        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            raise OSError("the shard is gone")

    data = LabelledImages(Broken([None] * 4), np.zeros(4), CLASSES)
    with (
        TrainLoader(data, SPEC, batch_size=2, workers=1) as loader,
        pytest.raises(OSError, match="the shard is gone"),
    ):
        next(loader.epoch(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size = 0"),
        ({"micro_batch": 3}, "micro_batch = 3: must be even"),
        ({"micro_batch": 0}, "micro_batch = 0"),
        ({"rank": 2, "world": 2}, "rank = 2"),
        ({"workers": 0}, "workers = 0"),
        ({"balanced": True, "shuffle": False}, "balanced"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainLoader(arrays(4), SPEC, **{"batch_size": 2, **options})


def test_data_that_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(InputError, match="no pictures"):
        TrainLoader(arrays(0, np.zeros(0)), SPEC, batch_size=2)
    with pytest.raises(InputError, match="no labels"):
        TrainLoader(arrays(2, [-1, -1]), SPEC, batch_size=2, balanced=True)
    with pytest.raises(ConfigError, match="balanced"):
        TrainLoader(arrays(2, np.ones((2, 3))), SPEC, batch_size=2, balanced=True)
