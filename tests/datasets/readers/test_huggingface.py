from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value
from nexus.datasets import read_labelled, read_splits
from nexus.datasets.readers import huggingface
from nexus.errors import InputError
from nexus.transforms import EncodedImage, open_image


@pytest.fixture(autouse=True)
def _own_datasets_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache of datasets"))
    datasets.disable_progress_bars()


def png(value: int) -> bytes:
    stream = io.BytesIO()
    PillowImage.fromarray(np.full((4, 4, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


PICTURES = [png(10), png(20), png(30)]


def dataset(labels: list[Any], feature: Any = None, name: str = "label") -> Dataset:
    """`feature` None: names that are numbers in another order, so that a label read as a name shows."""
    feature = feature or ClassLabel(names=["1", "0"])
    cells = [{"bytes": data, "path": f"{n}.png"} for n, data in enumerate(PICTURES[: len(labels)])]
    features = Features({"caption": Value("string"), "image": Image(), name: feature})
    return Dataset.from_dict({"caption": ["x"] * len(labels), "image": cells, name: labels}, features=features)


def test_an_opened_dataset() -> None:
    data = read_labelled(dataset([0, 1, None]))
    assert data.classes == ("1", "0")
    assert data.targets.tolist() == [0, 1, -1]
    assert [source.data for source in data.sources] == PICTURES  # type: ignore[union-attr]
    assert isinstance(data.sources[1], EncodedImage)
    assert "[1] 1.png" in data.sources[1].name
    assert open_image(data.sources[1]).getpixel((0, 0)) == (20, 20, 20)


def test_a_shuffled_dataset_with_a_transform() -> None:
    shuffled = dataset([0, 1, 0]).select([2, 1]).with_transform(lambda batch: {"pixel_values": [0] * len(batch)})
    data = read_labelled(shuffled)
    assert data.targets.tolist() == [0, 1]
    assert [source.data for source in data.sources] == [PICTURES[2], PICTURES[1]]  # type: ignore[union-attr]


def test_several_classes() -> None:
    data = read_labelled(dataset([[0, 1], [], [1]], List(ClassLabel(names=["a", "b"])), "labels"))
    assert data.targets.astype(int).tolist() == [[1, 1], [0, 0], [0, 1]]
    names = read_labelled(dataset([["b"], ["a", "b"]], List(Value("string"))))
    assert names.classes == ("a", "b")
    assert names.targets.astype(int).tolist() == [[0, 1], [1, 1]]


def test_parts() -> None:
    labels = {"train": [0, 1, 0], "validation": [1], "test": [-1], "extra": [0]}
    splits = read_splits(DatasetDict({name: dataset(of_part) for name, of_part in labels.items()}))
    assert splits.val is not None
    assert splits.val.targets.tolist() == [1]
    assert splits.test is None
    assert len(splits.skipped) == 2  # extra is no part, test has no labels


def test_columns() -> None:
    fine = dataset([0, 1], name="fine").add_column("coarse", [0, 0]).cast_column("coarse", ClassLabel(names=["c"]))
    with pytest.raises(InputError, match="the classes may be in fine or coarse: say label="):
        read_labelled(fine)
    assert read_labelled(fine, label="coarse").classes == ("c",)
    assert read_labelled(dataset([0, 1], name="species")).classes == ("1", "0")
    with pytest.raises(InputError, match="it has caption, image, text: say label="):
        read_labelled(dataset(["a"], Value("string"), "text"))
    with pytest.raises(InputError, match="no pictures in any column; it has caption, label"):
        read_labelled(dataset([0]).remove_columns("image"))
    with pytest.raises(InputError, match="no pictures in caption"):
        read_labelled(dataset([0]), image="caption")
    with pytest.raises(InputError, match="without streaming"):
        read_labelled(dataset([0]).to_iterable_dataset())


def test_a_saved_dataset(tmp_path: Path) -> None:
    dataset([0, 1]).save_to_disk(tmp_path / "one")
    assert read_labelled(tmp_path / "one").targets.tolist() == [0, 1]
    DatasetDict({"train": dataset([0, 1]), "test": dataset([1])}).save_to_disk(tmp_path / "parts")
    splits = read_splits(tmp_path / "parts")
    assert splits.test is not None
    assert [source.data for source in splits.test.sources] == PICTURES[:1]  # type: ignore[union-attr]


def test_parquet_shards(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "data"
    folder.mkdir(parents=True)
    dataset([0, 1]).to_parquet(folder / "train-00000-of-00002.parquet")
    dataset([1]).to_parquet(folder / "train-00001-of-00002.parquet")
    dataset([1]).to_parquet(folder / "validation-00000-of-00001.parquet")
    splits = read_splits(tmp_path / "repository")
    assert splits.train.classes == ("1", "0")
    assert splits.train.targets.tolist() == [0, 1, 1]
    assert [source.data for source in splits.train.sources] == [*PICTURES[:2], PICTURES[0]]  # type: ignore[union-attr]
    assert splits.val is not None
    assert splits.val.targets.tolist() == [1]
    one = read_labelled(folder / "train-00001-of-00002.parquet")
    assert one.targets.tolist() == [1]


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"train\.parquet cannot be read by datasets"):
        read_labelled(tmp_path / "train.parquet")


def test_a_picture_that_is_missing_or_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(PICTURES[1])
    cells = [None, {"bytes": None, "path": str(tmp_path / "1.png")}]
    features = Features({"image": Image(), "label": ClassLabel(names=["a"])})
    data = read_labelled(Dataset.from_dict({"image": cells, "label": [0, 0]}, features=features))
    assert data.sources[0] == EncodedImage(b"", "Dataset[0]")  # the loader says that it is empty
    assert data.sources[1] == tmp_path / "1.png"


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load(*arguments: object) -> DatasetDict:
        asked.append((arguments, datasets.config.HF_HUB_OFFLINE, datasets.config.HF_UPDATE_DOWNLOAD_COUNTS))
        return DatasetDict({"train": dataset([0, 1]), "extra": dataset([0])})

    before = datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface, "_why_unreachable", lambda _: "")
    splits = read_splits("hf:owner/name:config")
    assert splits.train.targets.tolist() == [0, 1]
    assert splits.train.origin == "hf:owner/name:config (train)"
    assert [one.source for one in splits.skipped] == ["hf:owner/name:config (extra)"]
    read_splits("hf:owner/name")
    assert asked == [(("owner/name", "config"), False, False), (("owner/name", None), False, False)]
    assert before == datasets.config.HF_HUB_OFFLINE


def test_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    with pytest.raises(InputError, match=r"not in the cache of datasets, and the network is switched off"):
        read_labelled("hf:owner/absent")
    monkeypatch.delenv("NEXUS_OFFLINE")

    def silent(_: float, call: object) -> None:
        raise TimeoutError("no answer within 4 s")

    monkeypatch.setattr(huggingface, "within", silent)
    with pytest.raises(InputError, match=r"the hub does not give it \(no answer within 4 s\)"):
        read_labelled("hf:owner/absent")
