from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from nexus.datasets import read_labelled, read_splits
from nexus.errors import InputError

WNIDS = ("n02012849", "n01440764", "n03126707")
NAMES = "n01440764 tench, Tinca tinca\nn02012849 crane\nn03126707 crane\n"
VAL = ("ILSVRC2012_val_00000001", "ILSVRC2012_val_00000002", "ILSVRC2012_val_00000003")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    images = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    touch(*(images / "train" / wnid / f"{wnid}_1.JPEG" for wnid in WNIDS), *(images / "val" / f"{n}.JPEG" for n in VAL))
    touch(images / "test" / "ILSVRC2012_test_00000001.JPEG")
    (tmp_path / "LOC_synset_mapping.txt").write_text(NAMES)
    rows = [f"{name},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n" for name, wnid in zip(VAL, WNIDS)]
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(reversed(rows)))
    return tmp_path


@pytest.mark.parametrize("inside", ["", "ILSVRC", "ILSVRC/Data/CLS-LOC"])
def test_as_kaggle_has_it(kaggle: Path, inside: str) -> None:
    splits = read_splits(kaggle / inside)
    assert splits.train.classes == ("tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)")
    assert [Path(str(path)).parent.name for path in splits.train.sources] == sorted(WNIDS)
    assert splits.train.targets.tolist() == [0, 1, 2]
    assert splits.val is not None
    assert [Path(str(path)).stem for path in splits.val.sources] == list(VAL)
    assert splits.val.targets.tolist() == [1, 0, 2]


def test_one_part(kaggle: Path) -> None:
    images = kaggle / "ILSVRC" / "Data" / "CLS-LOC"
    val = read_labelled(images / "val")
    assert val.targets.tolist() == [1, 0, 2]
    splits = read_splits(images / "train", val=images / "val")
    assert splits.val is not None
    assert splits.val.classes == splits.train.classes


def test_folders_for_both_parts(tmp_path: Path) -> None:
    touch(*(tmp_path / part / wnid / "1.JPEG" for part in ("train", "val") for wnid in WNIDS))
    splits = read_splits(tmp_path)
    assert splits.val is not None
    assert splits.train.classes == splits.val.classes == tuple(sorted(WNIDS))
    (tmp_path / "LOC_synset_mapping.txt").write_text(NAMES)
    assert read_splits(tmp_path).train.classes[0] == "tench, Tinca tinca"


@pytest.mark.parametrize("mapping", ["meta.mat", "map_clsloc.txt"])
def test_labels_of_the_development_kit(kaggle: Path, mapping: str) -> None:
    """Its numbers are in an order of their own: here that of WNIDS."""
    (kaggle / "LOC_val_solution.csv").unlink()
    kit = kaggle / "ILSVRC" / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("3\n3\n2\n")
    with pytest.raises(InputError, match=r"has numbers of ImageNet's classes, but not meta\.mat"):
        read_splits(kaggle)
    if mapping == "meta.mat":
        rows = [(n, wnid, 0) for n, wnid in enumerate(WNIDS, start=1)] + [(4, "n00001740", 3)]
        synsets = np.array(rows, [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("num_children", "f8")])
        savemat(kit / "meta.mat", {"synsets": synsets.reshape(-1, 1)})
    else:
        (kit / "map_clsloc.txt").write_text("".join(f"{wnid} {n} name\n" for n, wnid in enumerate(WNIDS, start=1)))
    splits = read_splits(kaggle)
    assert splits.val is not None
    assert splits.val.targets.tolist() == [2, 2, 0]


def test_no_labels_near(kaggle: Path) -> None:
    (kaggle / "LOC_val_solution.csv").unlink()
    with pytest.raises(InputError, match=r"their labels are not near: put LOC_val_solution\.csv"):
        read_splits(kaggle)


def test_a_picture_that_is_not_listed(kaggle: Path) -> None:
    touch(kaggle / "ILSVRC" / "Data" / "CLS-LOC" / "val" / "ILSVRC2012_val_00000004.JPEG")
    splits = read_splits(kaggle)
    assert splits.val is not None
    assert len(splits.val) == 3
    assert ["not in the list" in one.reason for one in splits.skipped] == [True]
