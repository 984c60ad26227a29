from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import datasets
from nexus.datasets import TrainLoader, read_labelled
from nexus.errors import InputError
from nexus.transforms import PreprocessSpec

GREYS = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
LABELS = [1, 0, 1, 0]


def png(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.stack([GREYS[number]] * 3, axis=-1)).save(stream, "PNG")
    return stream.getvalue()


def as_folders(root: Path) -> Path:
    for number, label in enumerate(LABELS):
        (root / str(label)).mkdir(exist_ok=True, parents=True)
        (root / str(label) / f"{number}.png").write_bytes(png(number))
    return root


def as_table(root: Path) -> Path:
    as_folders(root)
    rows = [f"{label}/{number}.png,{label}\n" for number, label in enumerate(LABELS)]
    (root / "table.csv").write_text("path,label\n" + "".join(rows))
    return root / "table.csv"


def as_idx(root: Path) -> Path:
    root.mkdir()
    for name, array in (("images-idx3", GREYS), ("labels-idx1", np.array(LABELS, np.uint8))):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        (root / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return root


def as_shards(root: Path) -> Path:
    root.mkdir()
    with tarfile.open(root / "shard-0.tar", "w") as archive:
        for number, label in enumerate(LABELS):
            for ending, data in (("png", png(number)), ("cls", str(label).encode())):
                info = tarfile.TarInfo(f"{number}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return root


def as_saved(root: Path) -> Path:
    datasets.disable_progress_bars()
    cells = [{"bytes": png(number), "path": None} for number in range(4)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["0", "1"])})
    datasets.Dataset.from_dict({"image": cells, "label": LABELS}, features=features).save_to_disk(root)
    return root


def as_arrays(_: Path) -> Any:
    return np.stack([GREYS] * 3, axis=-1), LABELS


@pytest.mark.parametrize("keep", [as_folders, as_table, as_idx, as_shards, as_saved, as_arrays])
def test_the_same_pictures_reach_training(tmp_path: Path, keep: Callable[[Path], Any]) -> None:
    data = read_labelled(keep(tmp_path / "data"))
    assert data.classes == ("0", "1")
    spec = PreprocessSpec(resize=16, crop=(16, 16))
    with TrainLoader(data, spec, batch_size=4, shuffle=False, workers=1) as loader:
        ((batch,),) = loader.epoch(0)
    order = [1, 3, 0, 2] if keep is as_folders else [0, 1, 2, 3]
    assert not batch.skipped
    assert np.array_equal(batch.images.numpy(), np.stack([GREYS[order]] * 3, axis=-1))
    assert batch.targets.tolist() == [LABELS[number] for number in order]


def test_what_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"notes\.txt is no dataset: give a folder, or a file that ends in \.csv"):
        read_labelled(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="list is no dataset"):
        read_labelled([tmp_path])


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", forbidden)
    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(InputError, match=r"cannot be (read|listed) \(Permission denied\)"):
        read_labelled(tmp_path)
