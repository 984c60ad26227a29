from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from nexus.datasets import (
    LabelledImages,
    Splits,
    align_classes,
    check_classes,
    hold_out,
    keep_classes,
    read_labelled,
    read_splits,
    read_unlabelled,
)
from nexus.errors import ConfigError, InputError


def numbered(targets: object, classes: tuple[str, ...] = ("a", "b", "c"), origin: str = "data") -> LabelledImages:
    array = np.asarray(targets)
    return LabelledImages([f"{origin}/{number}.jpg" for number in range(len(array))], array, classes, origin)


def test_held_out_by_class() -> None:
    data = numbered(np.repeat([0, 1, 2, -1], [100, 20, 3, 5]))
    kept, held = hold_out(data, 0.1, seed=3)
    assert held.counts().tolist() == [10, 2, 1]
    assert kept.counts().tolist() == [90, 18, 2]
    assert int((kept.targets < 0).sum()) == 5
    assert sorted([*kept.sources, *held.sources]) == sorted(data.sources)
    assert list(held.sources) == sorted(held.sources, key=list(data.sources).index)
    again = hold_out(data, 0.1, seed=3)[1]
    assert list(again.sources) == list(held.sources)
    assert list(hold_out(data, 0.1, seed=4)[1].sources) != list(held.sources)


def test_a_class_without_pictures_takes_none_of_the_next() -> None:
    _, held = hold_out(numbered([0, 0, 2, 2]), 0.5)
    assert held.counts().tolist() == [1, 0, 1]


def test_held_out_of_several_classes() -> None:
    rng = np.random.default_rng(0)
    targets = rng.random((2_000, 5)) < [0.5, 0.3, 0.1, 0.03, 0.005]
    data = numbered(targets, ("a", "b", "c", "d", "e"))
    kept, held = hold_out(data, 0.2)
    assert np.abs(held.counts() / data.counts() - 0.2).max() < 0.08
    assert held.counts()[4] == round(0.2 * data.counts()[4])
    assert len(kept) + len(held) == len(data)
    assert abs(len(held) / len(data) - 0.2) < 0.02
    assert int((~held.targets.any(1)).sum()) == round(0.2 * int((~targets.any(1)).sum()))


def test_what_cannot_be_held_out() -> None:
    with pytest.raises(InputError, match=r"only one picture, which cannot be both .* of class 'b'"):
        hold_out(numbered([0, 0, 1]), 0.5)
    for fraction in (1.0, -0.1, 1.5):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            read_splits(numbered([0, 0, 1, 1]), val=fraction)


def test_parts_given_apart() -> None:
    train, val = numbered([0, 1, 2]), numbered([0, 1], ("c", "a"), "val")
    splits = read_splits(train, val=val)
    assert splits.val is not None
    assert splits.val.classes == train.classes
    assert splits.val.targets.tolist() == [2, 0]
    given = read_splits({"train": train, "validation": val, "test": val})
    assert given.val is not None
    assert given.test is not None
    assert read_splits({"train": train, "val": val}, val=0).val is None
    with pytest.raises(InputError, match="dict has no part to train on, only val"):
        read_splits({"val": val})
    assert [one.source for one in read_splits({"train": train, "extra": val}).skipped] == ["extra"]
    with pytest.raises(InputError, match="the parts are called left, right; name one of them train"):
        read_splits({"left": train, "right": val})


def test_fractions_are_disjoint() -> None:
    data = numbered([0, 1] * 20)
    splits = read_splits(data, val=0.25, test=0.2)
    assert splits.val is not None
    assert splits.test is not None
    assert [len(splits.test), len(splits.val), len(splits.train)] == [8, 8, 24]
    assert {*splits.train.sources, *splits.val.sources, *splits.test.sources} == set(data.sources)


def test_a_fraction_takes_the_place_of_the_datasets_own() -> None:
    splits = read_splits({"train": numbered([0, 1] * 5), "val": numbered([0, 1], origin="val")}, val=0.2)
    assert splits.val is not None
    assert splits.val.origin == "data"


def test_a_class_in_val_but_not_in_train() -> None:
    with pytest.raises(InputError, match=r"val has class 'bird', none of the 3 classes to train \('a', 'b', 'c'\)"):
        read_splits(numbered([0, 1, 2]), val=numbered([0, 1], ("a", "bird"), "val"))
    aligned = align_classes(numbered([0, 0], ("a", "never"), "val"), ("b", "a"))  # a name without pictures is no class
    assert aligned.targets.tolist() == [1, 1]


def test_several_classes_are_aligned() -> None:
    train = numbered([[1, 1, 0], [0, 0, 1]])
    one = align_classes(numbered([1, 0, -1], ("c", "a")), train.classes, multi_label=True)
    assert one.targets.astype(int).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]
    several = align_classes(numbered([[1, 1]], ("c", "a")), train.classes, multi_label=True)
    assert several.targets.astype(int).tolist() == [[1, 0, 1]]
    with pytest.raises(InputError, match="pictures of several classes, but one for each"):
        align_classes(several, train.classes)


def test_some_classes_only() -> None:
    data = numbered([0, 1, 2, -1, 2])
    kept = keep_classes(data, ["c", "a"])
    assert kept.classes == ("c", "a")
    assert kept.targets.tolist() == [1, 0, -1, 0]
    several = keep_classes(numbered([[1, 1, 0], [0, 1, 0], [0, 0, 0]]), ["a"])
    assert several.targets.tolist() == [[True], [False]]
    splits = read_splits(data, val=numbered([0, 1], origin="val"), classes=["b", "a"])
    assert splits.train.classes == ("b", "a")
    with pytest.raises(InputError, match=r"no class 'bb'.*did you mean 'b'"):
        read_splits(data, classes=["bb", "a"])


def test_a_good_dataset_is_silent() -> None:
    assert check_classes(read_splits(numbered([0, 1, 2] * 9), val=0.2)) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (numbered([0, 0, 1, 1]), "no pictures of class 'c'"),
        (numbered([0, 0, 1, 2]), "only one picture, .* of the classes 'b', 'c'"),
        (numbered([0, 0], ("a",)), "one class only"),
        (numbered([-1, -1]), "no pictures with labels"),
        (numbered(np.zeros(0, int)), "no pictures with labels"),
        (numbered([0, 0, 1, 1], ("a", "a")), "two classes of the same name: 'a'"),
    ],
)
def test_what_cannot_be_trained_on(data: LabelledImages, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_classes(Splits(data))


def test_a_single_training_picture_is_possible_but_odd() -> None:
    splits = Splits(numbered([0, 0, 1, 1, 2]), numbered([0, 1, 2], origin="val"))
    assert check_classes(splits) == ["data has a single picture of class 'c': too few to learn from"]


def test_doubts() -> None:
    train = numbered([0, 1, 2] * 3)
    val = dataclasses.replace(numbered([0, 1]), sources=["data/0.jpg", "other.jpg"], origin="val")
    missing, shared = check_classes(Splits(train, val))
    assert "no pictures of class 'c'" in missing
    assert "1 pictures are both in train and in val" in shared
    with pytest.raises(InputError, match="nothing can be judged by it"):
        check_classes(Splits(train, test=numbered([-1])))


def test_the_same_file_by_way_of_a_link(tmp_path: Path) -> None:
    for name in ("train/a/1.jpg", "train/a/2.jpg", "train/b/3.jpg", "train/b/4.jpg", "val/a/5.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "val" / "b").symlink_to(tmp_path / "train" / "b", target_is_directory=True)
    (warning,) = check_classes(read_splits(tmp_path))
    assert warning.startswith("2 pictures are both in train and in val")
    held_out = check_classes(read_splits(tmp_path / "train", val=0.5))
    assert not any("both in train" in doubt for doubt in held_out)


def test_an_empty_folder_of_a_class(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match="has no pictures of class 'c': add pictures, or leave out"):
        check_classes(read_splits(tmp_path, val=0.5))
    assert check_classes(read_splits(tmp_path, classes=("b", "a"))) == []


def test_a_part_without_labels_is_left_out() -> None:
    splits = read_splits({"train": numbered([0, 1, 2]), "test": numbered([-1, -1], origin="test")})
    assert splits.test is None
    assert [one.source for one in splits.skipped] == ["test"]


def test_arrays() -> None:
    pictures = np.zeros((4, 8, 8, 3), np.uint8)
    data = read_labelled((pictures, [3, 0, 1, -1]))
    assert read_labelled((pictures, np.array([3, 0, 1, 2], np.uint8))).classes == data.classes
    assert data.classes == ("0", "1", "2", "3")
    assert data.sources[0].shape == (8, 8, 3)  # type: ignore[union-attr]
    assert read_labelled((pictures, ["b", "a", "b", None])).targets.tolist() == [1, 0, 1, -1]
    assert read_labelled((pictures, ["b", "a", "b", "b"], ["b", "a"])).targets.tolist() == [0, 1, 0, 0]
    assert read_labelled((pictures, np.eye(4)[:, :2])).multi_label
    with pytest.raises(InputError, match="not of 4 items"):
        read_labelled((1, 2, 3, 4))
    with pytest.raises(InputError, match="label 'c', which is none of its 2"):
        read_labelled((pictures, ["b", "a", "b", "c"], ["b", "a"]))
    with pytest.raises(InputError, match="int is no dataset"):
        read_labelled(3)


def test_pictures_without_labels(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    data = read_unlabelled(tmp_path, classes=["a", "b"])
    assert data.targets.tolist() == [-1]
    assert data.classes == ("a", "b")
    with pytest.raises(InputError, match="has no pictures"):
        read_unlabelled([])
