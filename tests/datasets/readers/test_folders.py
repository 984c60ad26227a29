from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from nexus.datasets import read_labelled, read_splits
from nexus.errors import InputError
from nexus.results import Skipped


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def listed(data: object) -> list[tuple[str, int]]:
    sources, targets = data.sources, data.targets  # type: ignore[attr-defined]
    root = sources.folder
    return [(Path(path).relative_to(root).as_posix(), int(target)) for path, target in zip(sources, targets)]


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    touch(tmp_path, "dog/b.jpg", "dog/far/below/a.PNG", "cat/z.webp", "cat/.hidden.jpg", "cat/notes.txt", ".git/x.jpg")
    data = read_labelled(tmp_path)
    assert data.classes == ("cat", "dog")
    assert listed(data) == [("cat/z.webp", 0), ("dog/b.jpg", 1), ("dog/far/below/a.PNG", 1)]
    assert data.targets.dtype == np.int64
    assert data.origin == str(tmp_path)
    assert data.sources[0] == tmp_path / "cat" / "z.webp"
    assert data.sources[-1] == tmp_path / "dog" / "far" / "below" / "a.PNG"


def test_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(touch(tmp_path, "a/1.jpg", "b/2.jpg"))
    for source in (".", "./"):
        assert list(read_labelled(source).sources) == [Path("a/1.jpg"), Path("b/2.jpg")]


def test_parts(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "valid/b/3.jpg", "test/a/4.jpg", "originals/5.jpg")
    splits = read_splits(tmp_path)
    assert splits.val is not None
    assert splits.test is not None
    assert listed(splits.train) == [("a/1.jpg", 0), ("b/2.jpg", 1)]
    assert listed(splits.val) == [("b/3.jpg", 1)]
    assert splits.val.classes == splits.test.classes == ("a", "b")
    assert [Path(one.source).name for one in splits.skipped] == ["originals"]
    assert listed(read_labelled(tmp_path, split="validation")) == [("b/3.jpg", 0)]
    with pytest.raises(InputError, match="several parts; say split= one of test, train, val"):
        read_labelled(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "bus/2.jpg", "plane/3.jpg")
    assert read_labelled(tmp_path).classes == ("bus", "plane", "train")


def test_pictures_beside_the_classes_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg", "cover.jpg")
    skipped: list[Skipped] = []
    assert len(read_labelled(tmp_path, on_skip=skipped.append)) == 2
    assert [one.source for one in skipped] == [str(tmp_path / "cover.jpg")]


def test_no_classes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folders of classes \(2 pictures lie in it\)"):
        read_labelled(touch(tmp_path, "1.jpg", "2.jpg"))
    with pytest.raises(InputError, match="does not exist"):
        read_labelled(tmp_path / "absent")


def test_a_test_folder_without_classes_is_left_out(tmp_path: Path) -> None:
    splits = read_splits(touch(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "test/3.jpg"))
    assert splits.test is None
    assert ["no labels" in one.reason for one in splits.skipped] == [True]


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "store/1.jpg", "data/b/2.jpg")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "data" / "b" / "loop").symlink_to(tmp_path / "data" / "b", target_is_directory=True)
    assert listed(read_labelled(tmp_path / "data")) == [("a/1.jpg", 0), ("b/2.jpg", 1)]


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    scandir = os.scandir

    def forbidden(path: str) -> object:
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(InputError, match=r"b cannot be listed \(Permission denied\)\. Give yourself"):
        read_splits(tmp_path)


def test_a_long_list_is_small(tmp_path: Path) -> None:
    """What is kept of a picture is its name and two numbers: a string and a path would be over 200 bytes."""
    for label in "abcd":
        (tmp_path / label).mkdir()
        for number in range(500):
            os.close(os.open(tmp_path / label / f"{number:08}.jpg", os.O_CREAT))
    tracemalloc.start()
    data = read_labelled(tmp_path)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data) == 2_000
    assert held < 80 * len(data)
