from __future__ import annotations

import gc
import io
import json
import tarfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import webdataset
from PIL import Image

from nexus.datasets import read_labelled, read_splits
from nexus.datasets.readers import webdataset as reader
from nexus.errors import InputError
from nexus.transforms import EncodedImage


def jpeg(value: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def pack(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Written by the library whose format it is."""
    for shard in range(3):
        with webdataset.TarWriter(str(tmp_path / f"shards-{shard:03}.tar")) as writer:
            for n in range(4):
                number = 4 * shard + n
                sample = {"jpg": jpeg(number), "cls": number % 3, "txt": "a caption"}
                writer.write({"__key__": f"sub/{number:05}", **sample})
    return tmp_path


def read_by_webdataset(urls: str) -> list[dict[str, bytes]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its files to the garbage collector
        samples = list(webdataset.WebDataset(urls, shardshuffle=False))
        gc.collect()
    return samples


def test_the_same_samples_as_webdataset_reads(shards: Path) -> None:
    data = read_labelled(shards)
    expected = read_by_webdataset(f"{shards}/shards-{{000..002}}.tar")
    assert len(data) == len(expected) == 12
    for source, target, sample in zip(data.sources, data.targets, expected, strict=True):
        assert isinstance(source, EncodedImage)
        assert source.data == sample["jpg"]
        assert source.name.endswith(f"{sample['__key__']}.jpg")
        assert data.classes[target] == sample["cls"].decode()
    assert data.sources[7].data == expected[7]["jpg"]  # type: ignore[union-attr]
    assert [one.data for one in data.sources[-2:]] == [one["jpg"] for one in expected[-2:]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "pattern", ["shards-{000..002}.tar", "shards-{000,001,002}.tar", "shards-*.tar", "s*-00{0..2}.tar"]
)
def test_patterns(shards: Path, pattern: str) -> None:
    data = read_labelled(f"{shards}/{pattern}")
    assert list(data.sources) == list(read_labelled(shards).sources)
    assert list(read_labelled(sorted(shards.iterdir())).sources) == list(data.sources)  # as a shell expands it
    one = read_labelled(shards / "shards-001.tar")
    assert list(one.sources) == list(data.sources)[4:8]


def test_a_tar_is_read_through_once(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read_labelled(shards)
    beside = sorted(shards.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(reader, "_scan", lambda *_: pytest.fail("scanned again"))
        again = read_labelled(shards)
    assert again.targets.tolist() == first.targets.tolist()
    assert len(beside) == 3  # nothing is written beside the user's files
    pack(shards / "shards-000.tar", [("x.png", b"12"), ("x.cls", b"1")])
    assert len(read_labelled(shards)) == 9


def test_names_of_classes(shards: Path) -> None:
    (shards / "classes.txt").write_text("cat\ndog\n10\nnever\n")
    data = read_labelled(shards)
    assert data.classes == ("cat", "dog", "10", "never")
    assert data.targets.tolist() == [n % 3 for n in range(12)]
    (shards / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(InputError, match="there are 2 classes, but a label is number 2"):
        read_labelled(shards)


def test_where_a_label_may_be(tmp_path: Path) -> None:
    about = {"label": ["a", "b"], "colour": "red"}
    labelled = [("1.jpg", b"x"), ("1.json", json.dumps(about).encode()), ("2.txt", b"a\n"), ("2.webp", b"y")]
    path = pack(tmp_path / "s.tar", [*labelled, ("3.png", b"z")])
    data = read_labelled(path)
    assert data.classes == ("a", "b")
    assert data.targets.astype(int).tolist() == [[1, 1], [1, 0], [0, 0]]
    by_colour = read_labelled(path, label="colour")
    assert by_colour.classes == ("red",)
    assert by_colour.targets.tolist() == [0, -1, -1]


def test_what_is_no_sample(tmp_path: Path) -> None:
    others = [("readme", b"x"), (".hidden.jpg", b"x"), ("2.cls", b"0")]
    splits = read_splits(pack(tmp_path / "s.tar", [("dir.d/1.jpg", b"one"), ("dir.d/1.seg.png", b"m"), *others]))
    assert [one.data for one in splits.train.sources] == [b"one"]  # type: ignore[union-attr]
    assert [(one.source, one.reason) for one in splits.skipped] == [(f"{tmp_path / 's.tar'}:2.cls", "has no picture")]


def test_parts(tmp_path: Path) -> None:
    for name in ("train-0.tar", "train-1.tar", "validation-0.tar"):
        sample = [("a.jpg", b"x"), ("a.cls", b"1")]
        pack(tmp_path / "named" / name, [*sample, ("b.jpg", b"y"), ("b.cls", b"0")])
        pack(tmp_path / "folders" / name.partition("-")[0] / name, sample)
    for folder, count in (("named", 4), ("folders", 2)):
        splits = read_splits(tmp_path / folder)
        assert splits.val is not None
        assert [len(splits.train), len(splits.val)] == [count, count // 2]
    val = read_labelled(f"{tmp_path}/named/validation-0.tar")
    assert len(val) == 2


def test_errors(tmp_path: Path) -> None:
    pack(tmp_path / "s-0.tar", [("1.jpg", b"x")])
    with pytest.raises(InputError, match=r"s-1\.tar does not exist, which .* names"):
        read_labelled(f"{tmp_path}/s-{{0..1}}.tar")
    with pytest.raises(InputError, match="matches no file"):
        read_labelled(f"{tmp_path}/t-*.tar")
    with pytest.raises(InputError, match="no samples; they are files like"):
        read_labelled(pack(tmp_path / "a.tar", [("x", b"x")]))
    with pytest.raises(InputError, match=r"c\.tar:1\.cls: its label cannot be read"):
        read_labelled(pack(tmp_path / "c.tar", [("1.jpg", b"x"), ("1.cls", b"one")]))
    cut = pack(tmp_path / "d.tar", [("1.jpg", bytes(5_000))])
    cut.write_bytes(cut.read_bytes()[:3_000])
    with pytest.raises(InputError, match=r"d\.tar is no plain tar file, or it is cut off"):
        read_labelled(cut)
    with tarfile.open(tmp_path / "e.tar", "w:gz"):
        pass
    with pytest.raises(InputError, match=r"e\.tar is no plain tar file"):
        read_labelled(tmp_path / "e.tar")
