"""Features on disk: what the model would give, found by content, whoever writes, dies or empties at the same time."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import feature_writer
import numpy as np
import pytest
import torch
from feature_writer import WIDTHS, key, row
from PIL import Image
from tiny_vit import TinyViT

from nexus.datasets.labelled import LabelledImages
from nexus.engines import Predictor
from nexus.errors import InputError
from nexus.evaluation import FeatureCache, feature_cache
from nexus.evaluation._feature_store import FeatureStore
from nexus.evaluation.feature_cache import evict, features_dir
from nexus.results import ProgressEvent

COUNT = 9


@pytest.fixture
def predictor() -> Iterator[Predictor]:
    with Predictor(TinyViT().eval(), engine="eager", batch_size=4, workers=1) as predictor:
        yield predictor


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(COUNT)]
    for path in paths:
        Image.fromarray(rng.integers(256, size=(34, 40, 3), dtype=np.uint8)).save(path)
    return paths


def no_more(*_: Any, **__: Any) -> Any:
    raise AssertionError("a picture ran through the model again")


def test_rows_are_what_the_model_gives_and_come_from_the_disk_next_time(
    predictor: Predictor, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = LabelledImages(files, np.arange(COUNT) % 2, ("a", "b"))
    first = FeatureCache(predictor).features(data)
    assert first.computed == COUNT
    np.testing.assert_array_equal(first.rows, predictor.embed(files).vectors)
    np.testing.assert_array_equal(first.kept, np.arange(COUNT))
    monkeypatch.setattr(Predictor, "stream", no_more)
    again = FeatureCache(predictor).features(data.subset([5, 2]))
    assert again.computed == 0
    np.testing.assert_array_equal(again.rows, first.rows[[5, 2]])


def test_a_picture_is_known_by_its_content(predictor: Predictor, files: list[Path], tmp_path: Path) -> None:
    cache = FeatureCache(predictor)
    whole = cache.features(files)
    files[0].rename(tmp_path / "moved.png")
    shutil.copy(files[1], tmp_path / "copy.png")
    files[2].write_bytes(files[3].read_bytes())
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(files[4])
    found = cache.features([tmp_path / "moved.png", tmp_path / "copy.png", *files[1:6], files[4].read_bytes()])
    assert found.computed == 1  # the fifth, once
    np.testing.assert_array_equal(found.rows[[0, 1, 2, 3, 4, 6]], whole.rows[[0, 1, 1, 3, 3, 5]])
    np.testing.assert_array_equal(found.rows[5], found.rows[7])
    np.testing.assert_array_equal(found.rows[5], predictor.embed(files[4]).vectors[0])


def test_pixels_without_a_file_are_known_by_themselves(predictor: Predictor, files: list[Path]) -> None:
    cache, pixels = FeatureCache(predictor), np.asarray(Image.open(files[0]))
    forms = [pixels, Image.open(files[0]), torch.from_numpy(pixels.transpose(2, 0, 1).copy()), pixels / 255]
    found = cache.features(forms)
    assert found.computed == 1
    assert len(np.unique(found.rows, axis=0)) == 1
    assert cache.features([pixels[:, ::-1]]).computed == 1
    assert cache.features([pixels.reshape(40, 34, 3)]).computed == 1


def test_what_cannot_be_read_is_named_with_the_reason(predictor: Predictor, files: list[Path], tmp_path: Path) -> None:
    files[3].write_bytes(b"no picture")
    shutil.copy(files[3], files[6])
    absent = tmp_path / "absent.png"
    found = FeatureCache(predictor).features([*files, absent, np.zeros(3)])
    assert found.kept.tolist() == [0, 1, 2, 4, 5, 7, 8]
    assert len(found.rows) == 7
    assert [skip.source for skip in found.skipped] == [str(files[3]), str(files[6]), str(absent), "ndarray (3,)"]
    assert "does not exist" in found.skipped[2].reason
    assert FeatureCache(predictor).features([absent]).rows.shape == (0, 32)


def test_several_outputs_lie_side_by_side(predictor: Predictor, files: list[Path]) -> None:
    outputs = ("embeddings", "tokens", "features.0", "aux.prefix_tokens.-1")
    found = FeatureCache(predictor, outputs).features(files)
    assert found.rows.shape == (COUNT, 4 * 32)
    wanted = [("cls", None), ("mean", None), ("mean", 0), ("cls", -1)]
    for name, (pooling, layer) in zip(outputs, wanted, strict=True):
        expected = predictor.embed(files, pooling, layer).vectors
        np.testing.assert_allclose(found.rows[:, found.columns[name]], expected, atol=1e-6)
    with pytest.raises(InputError, match="depth"):
        FeatureCache(predictor, ("depth",)).features(files)


def test_another_model_spec_or_output_has_rows_of_its_own(predictor: Predictor) -> None:
    folders = {FeatureCache(predictor).folder, FeatureCache(predictor, ("tokens",)).folder}
    spec = {"interpolation": "nearest"}
    folders.add(FeatureCache(Predictor(predictor.model, engine="eager", preprocess=spec)).folder)
    folders.add(FeatureCache(Predictor(TinyViT().eval(), engine="eager")).folder)
    predictor.model.config = {**predictor.model.config, "eps": 1}
    folders.add(FeatureCache(predictor).folder)
    assert len(folders) == 5
    assert {folder.parent for folder in folders} == {features_dir()}


def test_scattered_rows_that_are_many_lie_in_a_file(
    predictor: Predictor, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(predictor)
    whole = cache.features(files)
    assert isinstance(whole.rows, np.memmap)  # in the order in which they were made
    monkeypatch.setattr(feature_cache, "IN_MEMORY", 0)
    monkeypatch.setattr(feature_cache, "BLOCK", 4)
    found = cache.features(files[::-1])
    assert isinstance(found.rows, np.memmap)
    np.testing.assert_array_equal(found.rows, whole.rows[::-1])


def test_progress_is_told(predictor: Predictor, files: list[Path]) -> None:
    events: list[ProgressEvent] = []
    FeatureCache(predictor).features(files, progress=events.append)
    assert [event.stage for event in events] == ["look up", "embed", "embed", "embed"]
    assert (events[-1].done, events[-1].total) == (COUNT, COUNT)


def test_damaged_weights_leave_nothing_behind(files: list[Path]) -> None:
    model = TinyViT().eval()
    torch.nn.init.constant_(model.norm.weight, float("nan"))
    cache = FeatureCache(Predictor(model, engine="eager", workers=1))
    with pytest.raises(InputError, match="NaN"):
        cache.features(files[:1])
    assert FeatureStore(cache.folder).find([])[1].size == 0


# -- the files ------------------------------------------------------------------------------------------------------


def check(store: FeatureStore, told: set[int]) -> None:
    """Every key that was told is there, and every key that is there has a row of its own."""
    places, rows, widths = store.find([key(number) for number in range(max(told, default=0) + 4000)])
    there = np.flatnonzero(places >= 0)
    assert told <= set(there.tolist())
    assert sorted(places[there].tolist()) == list(range(len(rows)))
    if len(there):
        assert widths == WIDTHS
        np.testing.assert_array_equal(rows[places[there]], np.stack([row(number) for number in there]))


def test_kill_9_of_writers_beside_each_other_loses_and_doubles_nothing(tmp_path: Path) -> None:
    folder, told = tmp_path / "store", set[int]()
    for attempt in range(2):
        processes = [
            subprocess.Popen(
                [sys.executable, feature_writer.__file__, str(folder), str(2 * attempt + place)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for place in range(2)
        ]
        draw = random.Random(attempt)
        for process in processes:  # by progress, so that a busy machine tests the same
            assert process.stdout is not None
            for _ in range(draw.randrange(1, 12)):
                told |= set(map(int, process.stdout.readline().split()))
        time.sleep(draw.random() * 0.01)
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            output, _ = process.communicate()
            complete = [line for line in output.splitlines(keepends=True) if line.endswith("\n")]
            told |= {int(number) for line in complete for number in line.split()}
        check(FeatureStore(folder), told)
    assert len(told) > 50
    FeatureStore(folder).add([key(1 << 40)], row(1)[None], WIDTHS)
    assert (folder / "rows.f32").stat().st_size == 4 * 5 * len(FeatureStore(folder).find([])[1])


@pytest.mark.parametrize("harm", ["no rows", "short rows", "no index", "other index"])
def test_what_is_damaged_is_made_again(harm: str, predictor: Predictor, files: list[Path]) -> None:
    cache = FeatureCache(predictor)
    whole = np.array(cache.features(files).rows)
    rows, index = cache.folder / "rows.f32", cache.folder / "meta.sqlite"
    if harm == "no rows":
        rows.unlink()
    elif harm == "short rows":
        rows.write_bytes(rows.read_bytes()[:-4])
    elif harm == "no index":
        index.unlink()
    else:
        index.write_bytes(b"not a database at all" * 100)
    again = cache.features(files)
    assert again.computed == COUNT
    np.testing.assert_allclose(again.rows, whole, atol=1e-6)
    assert cache.features(files).computed == 0


def test_the_longest_unused_go_first(predictor: Predictor, files: list[Path]) -> None:
    caches = [FeatureCache(predictor, (output,)) for output in ("embeddings", "tokens", "features.0")]
    rows = [cache.features(files).rows for cache in caches]
    caches[0] = FeatureCache(predictor)  # used again
    kept = np.array(rows[1])
    sizes = [FeatureStore(cache.folder).size() for cache in caches]
    assert evict(sum(sizes) - 1) == sizes[1]
    np.testing.assert_array_equal(rows[1], kept)  # whoever reads them goes on
    assert [cache.features(files[:1]).computed for cache in (caches[0], caches[2], caches[1])] == [0, 0, 1]
    assert FeatureCache(predictor, max_bytes=0).features(files).computed == 0  # its own stay
    assert caches[2].features(files[:1]).computed == 1


def test_emptied_in_the_middle_of_the_work(predictor: Predictor, files: list[Path]) -> None:
    cache, emptied = FeatureCache(predictor), []

    def empty(event: ProgressEvent) -> None:
        if event.stage == "embed" and event.done == COUNT and not emptied:
            emptied.append(evict(0))

    cache.features(files[:4])
    found = cache.features(files, progress=lambda event: empty(event.model_copy(update={"done": event.done + 4})))
    assert emptied
    assert found.rows.shape == (COUNT, 32)
    np.testing.assert_allclose(found.rows, predictor.embed(files).vectors, atol=1e-5)
