"""The verbs over pictures: embed, similarity, classify, visualize."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nexus
from nexus.errors import ConfigError, InputError

Command = Callable[..., tuple[int, str, str]]
Crowd = Callable[[int], Path]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize(
    ("pooling", "layer"), [("cls", None), ("mean", None), ("patch", None), ("cls", 0), ("mean", -1)]
)
def test_files_hold_what_the_predictor_gives(
    folder: Path, model: str, tmp_path: Path, pooling: str, layer: int | None
) -> None:
    import pyarrow.parquet as pq

    there = nexus.embed(str(folder), model=model, pooling=pooling, layer=layer)
    for name in ("x.npz", "x.parquet"):
        done = nexus.embed(str(folder), out=str(tmp_path / name), model=model, pooling=pooling, layer=layer)
        assert (done.count, done.shape) == (7, there.vectors.shape[1:])
    with np.load(tmp_path / "x.npz") as file:
        assert np.allclose(file["vectors"], there.vectors, atol=1e-4)
        assert tuple(file["sources"]) == there.sources
        assert json.loads(str(file["header"]))["pooling"] == pooling
    table = pq.read_table(tmp_path / "x.parquet")
    rows = np.array(table["vector"].to_pylist()).reshape(there.vectors.shape)
    assert np.allclose(rows, there.vectors, atol=1e-4)
    assert [path.decode() for path in table["path"].to_pylist()] == list(there.sources)
    assert not list(tmp_path.glob("*.part"))


def test_embed_takes_arrays_and_images(folder: Path, model: str) -> None:
    with Image.open(folder / "gibbon.jpg") as image:
        image.load()
    there = nexus.embed([image, np.asarray(image), str(folder / "gibbon.jpg")], model=model, decode="exact")
    assert np.allclose(there.vectors, there.vectors[0], atol=1e-4)


def test_a_killed_embed_goes_on(crowd: Crowd, start: Start, model: str, tmp_path: Path) -> None:
    folder, out = crowd(200), tmp_path / "x.npz"
    process = start("embed", folder, "--out", out, "--model", model, "--engine", "eager", "--batch-size", "2")
    names = tmp_path / "x.npz.part" / "names.jsonl"
    while process.poll() is None and not (names.exists() and names.read_text().count("\n") >= 10):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not out.exists()
    done = nexus.embed(str(folder), out=str(out), model=model, engine="eager", batch_size=2)
    assert done.resumed >= 10
    assert done.count == 207
    with np.load(out) as file:
        fresh = nexus.embed(str(folder), model=model, engine="eager")
        assert tuple(file["sources"]) == fresh.sources
        assert np.allclose(file["vectors"], fresh.vectors, atol=1e-3)


def test_embed_refuses_other_suffixes(folder: Path, model: str) -> None:
    with pytest.raises(ConfigError, match=r"the suffix must be one of \.npz, \.parquet"):
        nexus.embed(str(folder), out="x.csv", model=model)


def test_similarity(folder: Path, model: str, tmp_path: Path, command: Command) -> None:
    pair = [str(folder / "chambord.jpg"), str(folder / "DSC_1187.jpg")]
    found = nexus.similarity([*pair, str(folder / "giraffe.jpg")], model=model, picture=str(tmp_path / "m.png"))
    assert found.cosine.shape == (3, 3)
    assert found.cosine[0, 1] == pytest.approx(1, abs=1e-4)
    assert found.cosine[0, 2] < 0.999
    assert (tmp_path / "m.png").is_file()
    code, said, _ = command("similarity", *pair, "--model", model)
    assert (code, said) == (0, "similarity: 1.0000, distance: 0.0000\n")
    with pytest.raises(InputError, match="two pictures or more are needed to compare, 1 could be read"):
        nexus.similarity(pair[:1], model=model)


def test_classify_from_examples(folder: Path, model: str, tmp_path: Path) -> None:
    examples = tmp_path / "examples"
    for label, names in {"castle": ["chambord.jpg"], "ape": ["gibbon.jpg"]}.items():
        (examples / label).mkdir(parents=True)
        for name in names:
            shutil.copy(folder / name, examples / label)
            shutil.copy(folder / name, examples / label / f"again-{name}")
    pictures = [str(folder / name) for name in ("DSC_1187.jpg", "gibbon.jpg")]
    for method in ("knn", "probe"):
        found = nexus.classify(pictures, examples=str(examples), method=method, k=1, model=model)
        assert [one.predictions[0].label for one in found.pictures] == ["castle", "ape"]
        assert found.accuracy == 1.0
    with pytest.raises(InputError, match="has examples of 0 classes"):
        nexus.classify(pictures, examples=str(folder), model=model)


def test_classify_by_a_head(folder: Path, tmp_path: Path) -> None:
    import torch

    from nexus.models.cv import ResNet

    torch.manual_seed(0)
    config = {"block": "basic", "depths": (1, 1, 1, 1), "embed_dim": 8, "widths": (8, 8, 8, 8), "num_classes": 3}
    classifier = ResNet({key: value for key, value in config.items() if key in ResNet.Config.model_fields})
    classifier.labels = ("cat", "dog", "cow")
    found = nexus.classify(str(folder), model=classifier.eval(), size=64, top_k=2)
    assert len(found.pictures) == 7
    assert all(one.predictions[0].score >= one.predictions[1].score for one in found.pictures)
    assert found.classes == ("cat", "dog", "cow")


def test_classify_needs_examples_or_a_classifier(folder: Path, model: str) -> None:
    with pytest.raises(ConfigError, match=r"say labels= .*, examples= "):
        nexus.classify(str(folder))
    with pytest.raises(InputError, match="has no classifier head"):
        nexus.classify(str(folder), model=model)


def test_the_patch_picture(folder: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "pca.png"
    found = nexus.visualize_pca(
        [str(folder / "giraffe.jpg"), str(folder / "bad.jpg")], out=str(out), model=model, size=56
    )
    assert [Path(name).name for name in found.names] == ["giraffe.jpg"]
    assert len(found.skipped) == 1
    with Image.open(out) as image:
        assert image.width > 3 * 200
