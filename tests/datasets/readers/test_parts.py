from __future__ import annotations

from pathlib import Path

import pytest

from nexus.datasets.readers.parts import dataset_name


@pytest.mark.parametrize(
    ("origin", "called"),
    [
        ("zoo", "zoo"),
        ("zoo/train", "zoo"),
        ("/data/my zoo/Validation/", "my zoo"),
        ("zoo/train-stations", "train-stations"),  # a class of pictures, or a dataset: not a part
        ("zoo/train.csv (train)", "zoo"),
        ("zoo/pictures.csv (val)", "pictures.csv"),
        ("mnist/train-images-idx3-ubyte.gz", "mnist"),
        ("mnist/t10k-images-idx3-ubyte.gz", "mnist"),
        ("C:\\pictures\\zoo\\test", "zoo"),
        ("hf:owner/name (train)", "hf:owner/name"),
        ("/train", "train"),
        ("arrays", "arrays"),
    ],
)
def test_a_dataset_is_called_by_its_name_and_not_by_its_part(origin: str, called: str) -> None:
    assert dataset_name(origin) == called


def test_here_is_the_folder_s_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zoo").mkdir()
    monkeypatch.chdir(tmp_path / "zoo")
    assert (dataset_name("."), dataset_name("train")) == ("zoo", "zoo")
