from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nexus.datasets import read_labelled, read_splits
from nexus.errors import InputError
from nexus.results import Skipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ["1.jpg", "2.jpg", "3.jpg", "train/4.jpg", "val/5.jpg"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def table(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def names(data: object) -> list[str]:
    return [Path(path).name for path in data.sources]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "header", ["path,label", "file_name,class", "image,labels", "FileName,Label", "id,filename,label"]
)
def test_columns(folder: Path, header: str) -> None:
    id = "7," if header.startswith("id") else ""
    data = read_labelled(table(folder, f"{header}\n{id}1.jpg,dog\n{id}2.jpg,cat\n{id}3.jpg,\n"))
    assert data.classes == ("cat", "dog")
    assert data.targets.tolist() == [1, 0, -1]
    assert list(data.sources) == [folder / "1.jpg", folder / "2.jpg", folder / "3.jpg"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.tsv", "path\tlabel\n1.jpg\tb, c\n2.jpg\ta\n"),
        ("data.csv", "\ufeffpath;label\r\n1.jpg;b, c\r\n2.jpg;a\r\n"),
        ("data.csv", 'path,label\n"1.jpg","b, c"\n\n2.jpg,a\n'),
        ("data.jsonl", '{"path": "1.jpg", "label": "b, c"}\n\n{"path": "2.jpg", "label": "a"}\n'),
    ],
)
def test_forms(folder: Path, name: str, text: str) -> None:
    data = read_labelled(table(folder, text, name))
    assert data.classes == ("a", "b, c")
    assert data.targets.tolist() == [1, 0]


def test_numbers_are_in_order_of_size(folder: Path) -> None:
    data = read_labelled(table(folder, "path,label\n1.jpg,10\n2.jpg,9\n3.jpg,-1\n"))
    assert data.classes == ("9", "10")
    assert data.targets.tolist() == [1, 0, -1]


def test_several_classes_by_a_separator(folder: Path) -> None:
    data = read_labelled(table(folder, "path,labels\n1.jpg,dog|cat\n2.jpg,cat\n3.jpg,\n"))
    assert data.classes == ("cat", "dog")
    assert data.targets.dtype == bool
    assert data.targets.tolist() == [[True, True], [True, False], [False, False]]


def test_a_column_for_each_class(folder: Path) -> None:
    skipped: list[Skipped] = []
    file = table(folder, "image,rust,scab,width,healthy\n1.jpg,1,0,80,0\n2.jpg,1.0,1,64,0\n3.jpg,0,0,64,1\n")
    data = read_labelled(file, on_skip=skipped.append)
    assert data.classes == ("rust", "scab", "healthy")
    assert data.targets.astype(int).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert ["'width'" in one.reason for one in skipped] == [True]
    with pytest.raises(InputError, match=r"row 2: rust = '2' is neither 0 nor 1"):
        read_labelled(table(folder, "image,rust\n1.jpg,1\n2.jpg,2\n"))


def test_parts_by_a_column(folder: Path) -> None:
    rows = "1.jpg,a,train\n2.jpg,b,Training\n3.jpg,b,valid\n"
    splits = read_splits(table(folder, f"path,label,split\n{rows}"))
    assert names(splits.train) == ["1.jpg", "2.jpg"]
    assert splits.val is not None
    assert names(splits.val) == ["3.jpg"]
    assert splits.val.targets.tolist() == [1]  # not 0, its number among the classes of val
    assert splits.test is None
    with pytest.raises(InputError, match="row 4: split = 'none' is none of"):
        read_splits(table(folder, f"path,label,split\n{rows}1.jpg,a,none\n"))


def test_columns_by_name(folder: Path) -> None:
    file = table(folder, "photo,label,species\n1.jpg,x,oak\n2.jpg,x,elm\n")
    data = read_labelled(file, image="photo", label="species")
    assert data.classes == ("elm", "oak")
    with pytest.raises(InputError, match=r"no column 'kind' for the labels; it has 'photo', 'label', 'species'"):
        read_labelled(file, image="photo", label="kind")


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no column path, file_name, image or filename; it has 'file', 'label'"):
        read_labelled(table(folder, "file,label\n1.jpg,a\n"))
    with pytest.raises(InputError, match=r"no column label, labels or class, nor columns of 0 and 1.*'path', 'kind'"):
        read_labelled(table(folder, "path,kind\n1.jpg,a\n"))
    with pytest.raises(InputError, match="has no rows"):
        read_labelled(table(folder, "path,label\n"))
    with pytest.raises(InputError, match="row 2: no file is named"):
        read_labelled(table(folder, "path,label\n1.jpg,a\n,b\n"))
    with pytest.raises(InputError, match="row 1: it has not as many fields as the header"):
        read_labelled(table(folder, "path,label\n1.jpg,a,b\n"))
    with pytest.raises(InputError, match=r"x.jpg, named by .*data.csv, does not exist; paths are relative"):
        read_labelled(table(folder, "path,label\nx.jpg,a\n"))
    with pytest.raises(InputError, match="row 1: it is not JSON"):
        read_labelled(table(folder, "path\n", "data.jsonl"))


def test_a_table_that_is_none(folder: Path) -> None:
    (folder / "metadata.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"metadata\.parquet cannot be read as a Parquet file"):
        read_labelled(folder)
    (folder / "data.csv").write_bytes(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(InputError, match=r"data.csv cannot be read as a table in UTF-8"):
        read_labelled(folder / "data.csv")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_metadata_of_hugging_face(folder: Path, ending: str) -> None:
    rows = [{"file_name": "train/4.jpg", "label": "a"}, {"file_name": "val/5.jpg", "label": "a"}]
    if ending == "csv":
        table(
            folder,
            "file_name,label\n" + "".join(f"{row['file_name']},{row['label']}\n" for row in rows),
            "metadata.csv",
        )
    elif ending == "jsonl":
        table(folder, "".join(f"{json.dumps(row)}\n" for row in rows), "metadata.jsonl")
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    splits = read_splits(folder)
    assert list(splits.train.sources) == [folder / "train" / "4.jpg"]
    assert splits.val is not None
    assert list(splits.val.sources) == [folder / "val" / "5.jpg"]


def test_metadata_in_the_folders_of_the_parts(folder: Path) -> None:
    table(folder / "train", '{"file_name": "4.jpg", "label": ["a", "b"]}\n', "metadata.jsonl")
    table(folder / "val", '{"file_name": "5.jpg", "label": ["b"]}\n', "metadata.jsonl")
    splits = read_splits(folder)
    assert splits.train.targets.tolist() == [[True, True]]
    assert splits.val is not None
    assert splits.val.targets.tolist() == [[False, True]]
    assert list(splits.val.sources) == [folder / "val" / "5.jpg"]
