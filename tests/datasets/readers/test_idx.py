from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from nexus.datasets import read_labelled, read_splits
from nexus.errors import InputError
from nexus.transforms import open_image


def idx(array: np.ndarray) -> bytes:
    """The format as the page of MNIST describes it, written a second time."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def digits(tmp_path: Path) -> tuple[Path, np.ndarray]:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pixels))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([2, 0, 1, 1, 2])))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels[:2])))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([1, 0]))))
    return tmp_path, pixels


def test_idx_files(digits: tuple[Path, np.ndarray]) -> None:
    folder, pixels = digits
    splits = read_splits(folder)
    assert splits.train.classes == ("0", "1", "2")
    assert splits.train.targets.tolist() == [2, 0, 1, 1, 2]
    assert splits.val is None
    assert splits.test is not None
    assert splits.test.classes == ("0", "1", "2")
    for data in (splits.train, splits.test):
        for number, picture in enumerate(data.sources):
            assert isinstance(picture, np.ndarray)
            assert picture.dtype == np.uint8
            assert np.array_equal(picture, np.stack([pixels[number]] * 3, axis=-1))
            assert open_image(picture).size == (3, 4)


def test_names_beside_the_files(digits: tuple[Path, np.ndarray]) -> None:
    folder, _ = digits
    (folder / "classes.txt").write_text("shirt\nshoe\nbag\nhat\n", encoding="utf-8")
    assert read_labelled(folder, split="train").classes == ("shirt", "shoe", "bag", "hat")


def test_damaged_files(digits: tuple[Path, np.ndarray]) -> None:
    folder, pixels = digits
    (folder / "train-images-idx3-ubyte").write_bytes(idx(pixels)[:-1])
    with pytest.raises(InputError, match="or it is cut off"):
        read_splits(folder)
    packed = folder / "t10k-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_labelled(folder, split="test")
    (folder / "train-labels-idx1-ubyte").unlink()
    (folder / "train-images-idx3-ubyte").write_bytes(idx(pixels))
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte or train-labels-idx1-ubyte\.gz must lie beside it"):
        read_splits(folder)


def test_a_changed_file_is_unpacked_again(digits: tuple[Path, np.ndarray]) -> None:
    folder, pixels = digits
    packed = folder / "t10k-images-idx3-ubyte.gz"
    packed.write_bytes(gzip.compress(idx(pixels[:2]), compresslevel=0))
    before = read_labelled(folder, split="test").sources[0]
    size, changed = packed.stat().st_size, packed.stat().st_mtime_ns
    packed.write_bytes(gzip.compress(idx(255 - pixels[:2]), compresslevel=0))
    os.utime(packed, ns=(changed, changed + 1_000_000_000))
    assert packed.stat().st_size == size
    after = read_labelled(folder, split="test").sources[0]
    assert np.array_equal(np.asarray(before), 255 - np.asarray(after))
