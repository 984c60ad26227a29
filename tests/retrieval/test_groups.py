"""Clusters, folders and recommendations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from nexus.errors import ConfigError, InputError
from nexus.retrieval import Collection, Identity
from nexus.retrieval import organize as organize_module
from nexus.retrieval.ann import normalised
from nexus.retrieval.cluster import choose_k, cluster, hdbscan, kmeans, silhouette
from nexus.retrieval.organize import organize, plan_folders
from nexus.retrieval.recommend import profile, recommend

DIMS = 24
IDENTITY = Identity(model="tiny", weights_digest="w", preprocess_digest="p", dims=DIMS)


def blobs(sizes: Sequence[int], spread: float = 0.08, seed: int = 0) -> tuple[Any, Any]:
    """Vectors around random directions, of random length, and the labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    centres = normalised(rng.normal(size=(len(sizes), DIMS)).astype(np.float32))
    vectors = centres[labels] + spread * rng.normal(size=(len(labels), DIMS))
    return (vectors * rng.uniform(1, 50, size=(len(labels), 1))).astype(np.float32), labels


def collect(folder: Path, vectors: Any) -> Collection:
    with Collection.writer(folder / "photos.nexus", IDENTITY, folder) as writer:
        for number, vector in enumerate(vectors):
            writer.put(b"%03d.jpg" % number, f"{number:064x}", None, (1, 1), vector)
    return Collection.open(folder / "photos.nexus")


@pytest.mark.parametrize("method", ["kmeans", "hdbscan"])
def test_blobs_are_found(tmp_path: Path, method: str) -> None:
    vectors, labels = blobs([40, 30, 20, 10])
    collection = collect(tmp_path, vectors)
    result = cluster(collection, method=method)
    assert [len(group.paths) for group in result.clusters] == [40, 30, 20, 10]
    for group in result.clusters:
        members = [int(Path(path).stem) for path in group.paths]
        assert len(set(labels[members])) == 1
        assert group.representative == group.paths[0]
        centroid = normalised(vectors)[members].mean(0)
        nearest = members[int(np.argmax(normalised(vectors)[members] @ centroid))]
        assert Path(group.representative).name == f"{nearest:03d}.jpg"
        assert list(group.cosine) == sorted(group.cosine, reverse=True)
    assert result.silhouette is not None
    assert result.silhouette > 0.5
    assert result == cluster(collection, method=method), "the same again"
    assert "4 groups of 100 images" in result.lines()[0]


def test_hdbscan_leaves_strangers_unassigned(tmp_path: Path) -> None:
    vectors, _ = blobs([20, 20])
    strangers = 10 * np.random.default_rng(5).normal(size=(3, DIMS)).astype(np.float32)
    result = cluster(collect(tmp_path, np.concatenate([vectors, strangers])), method="hdbscan")
    assert len(result.clusters) == 2
    assert [Path(path).name for path in result.unassigned] == ["040.jpg", "041.jpg", "042.jpg"]
    assert (hdbscan(normalised(strangers)) == -1).all(), "fewer images than a group needs"


def test_the_number_of_groups_is_chosen_or_given(tmp_path: Path) -> None:
    vectors, labels = blobs([25] * 6)
    unit = normalised(vectors)
    assert choose_k(unit) == 6
    assert choose_k(unit[:1]) == choose_k(unit[:3]) == 1
    assert adjusted_rand_score(labels, kmeans(unit, 6)) > 0.99
    result = cluster(collect(tmp_path, vectors), k=2)
    assert len(result.clusters) == 2
    assert sum(len(group.paths) for group in result.clusters) == 150


def test_silhouette_is_scikit_learns() -> None:
    vectors, labels = blobs([20, 15, 1], spread=0.3)
    unit = normalised(vectors)
    assert silhouette(unit, labels) == pytest.approx(silhouette_score(unit, labels, metric="cosine"), abs=1e-5)
    assert silhouette(unit, np.zeros(36, np.int64)) is None


def test_kmeans_does_not_depend_on_length_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    vectors, _ = blobs([5, 4])
    np.testing.assert_array_equal(kmeans(normalised(vectors), 2), kmeans(normalised(vectors * 7), 2))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0, "method": "kmean"}, "did you mean 'kmeans'"),
        ({"k": 11}, r"k = 11: must be 1\.\.10"),
        ({"k": 0}, r"k = 0: must be 1\.\.10"),
        ({"k": 2, "method": "hdbscan"}, "leave k out"),
        ({"method": "hdbscan", "min_size": 1}, "min_size = 1"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cluster(collect(tmp_path, blobs([10])[0]), **arguments)


def test_nothing_cannot_be_grouped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        cluster(Collection.create(tmp_path / "photos.nexus", tmp_path, IDENTITY))


@pytest.fixture
def files(tmp_path: Path) -> list[list[str]]:
    """Two groups of files, two of which have the same name."""
    groups = [["x/a.jpg", "x/b.jpg", "y/a.jpg"], ["y/c.jpg", "z/same"]]
    for group in groups:
        for name in group:
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
    return [[str(tmp_path / "photos" / name) for name in group] for group in groups]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ORGANISED = {
    "group-01/a.jpg": b"x/a.jpg",
    "group-01/b.jpg": b"x/b.jpg",
    "group-01/a (2).jpg": b"y/a.jpg",
    "group-02/c.jpg": b"y/c.jpg",
    "group-02/same": b"z/same",
}


@pytest.mark.parametrize("link", [False, True])
def test_files_are_brought_into_folders(tmp_path: Path, files: list[list[str]], link: bool) -> None:
    destination, before = tmp_path / "sorted", contents(tmp_path / "photos")
    planned = organize(plan_folders(files), destination, link=link, dry_run=True)
    assert not destination.exists()
    done = organize(plan_folders(files), destination, link=link)
    assert contents(destination) == ORGANISED
    assert contents(tmp_path / "photos") == before
    assert planned.placements == done.placements
    assert {placement.action for placement in done.placements} == {"link" if link else "copy"}
    assert os.path.samefile(files[0][0], destination / "group-01/a.jpg") == link
    again = organize(plan_folders(files), destination, link=link)
    assert {placement.action for placement in again.placements} == {"kept"}
    assert contents(destination) == ORGANISED


def test_nothing_is_overwritten(tmp_path: Path, files: list[list[str]]) -> None:
    (tmp_path / "sorted" / "group-01").mkdir(parents=True)
    (tmp_path / "sorted" / "group-01" / "a.jpg").write_bytes(b"precious")
    (tmp_path / "sorted" / "group-01" / "b.jpg").symlink_to("nowhere")
    organize(plan_folders(files), tmp_path / "sorted")
    found = contents(tmp_path / "sorted")
    assert found["group-01/a.jpg"] == b"precious"
    assert found["group-01/a (2).jpg"] == b"x/a.jpg"
    assert found["group-01/a (3).jpg"] == b"y/a.jpg"
    assert found["group-01/b (2).jpg"] == b"x/b.jpg"
    assert (tmp_path / "sorted" / "group-01" / "b.jpg").is_symlink()


def test_an_interrupted_run_goes_on(tmp_path: Path, files: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    copy, calls = organize_module.shutil.copy2, []

    def interrupted(source: str, target: Path) -> None:
        calls.append(source)
        if len(calls) == 3:
            target.write_bytes(b"hal")
            raise KeyboardInterrupt
        copy(source, target)

    monkeypatch.setattr(organize_module.shutil, "copy2", interrupted)
    with pytest.raises(KeyboardInterrupt):
        organize(plan_folders(files), tmp_path / "sorted")
    assert len(contents(tmp_path / "sorted")) == 2, "no half file is left"
    (tmp_path / "sorted/group-01/a (2).jpg.nexus-part").write_bytes(b"left by kill -9")
    result = organize(plan_folders(files), tmp_path / "sorted")
    assert contents(tmp_path / "sorted") == ORGANISED
    assert [placement.action for placement in result.placements] == ["kept", "kept", "copy", "copy", "copy"]


def test_a_disk_without_links_gets_copies(
    tmp_path: Path, files: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(organize_module.os, "link", refuse)
    result = organize(plan_folders(files), tmp_path / "sorted", link=True)
    assert contents(tmp_path / "sorted") == ORGANISED
    assert {placement.action for placement in result.placements} == {"copy"}


@pytest.mark.parametrize("dry_run", [False, True])
def test_files_that_vanished_are_named(tmp_path: Path, files: list[list[str]], dry_run: bool) -> None:
    Path(files[0][1]).unlink()
    counted: list[int] = []
    result = organize(plan_folders(files), tmp_path / "sorted", dry_run=dry_run, progress=counted.append)
    assert [(skip.source, skip.reason) for skip in result.skipped] == [(files[0][1], "No such file or directory")]
    assert len(result.placements) == 4
    assert counted == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_folder_names_stay_below_the_destination(name: str) -> None:
    with pytest.raises(InputError, match="folder"):
        plan_folders([["a.jpg"]], [name])


def test_recommendations_follow_likes_and_avoid_dislikes(tmp_path: Path) -> None:
    vectors, labels = blobs([20, 20, 20])
    collection = collect(tmp_path, vectors)
    ranked = recommend(collection, vectors[:2], k=18, exclude={0, 1})
    assert {labels[int(Path(entry.path).stem)] for entry in ranked} == {0}
    assert not {Path(entry.path).name for entry in ranked} & {"000.jpg", "001.jpg"}
    assert [entry.score for entry in ranked] == sorted((entry.score for entry in ranked), reverse=True)
    both = np.stack([vectors[0], vectors[20]])
    first = recommend(collection, both, vectors[25:27], k=10)
    assert {labels[int(Path(entry.path).stem)] for entry in first} == {0}


def test_exact_copies_of_examples_are_not_recommended(tmp_path: Path) -> None:
    vectors, _ = blobs([5])
    with Collection.writer(tmp_path / "photos.nexus", IDENTITY, tmp_path) as writer:
        for number, vector in enumerate(vectors):
            writer.put(b"%d" % number, f"{number:064x}", None, (1, 1), vector)
        writer.put(b"copy of 0", f"{0:064x}", None, (1, 1), vectors[0])
    ranked = recommend(Collection.open(tmp_path / "photos.nexus"), vectors[:1], exclude={0})
    assert sorted(Path(entry.path).name for entry in ranked) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("k", [0, -1])
def test_at_least_one_is_recommended(tmp_path: Path, k: int) -> None:
    vectors, _ = blobs([5])
    with pytest.raises(ConfigError, match=f"k = {k}: must be at least 1"):
        recommend(collect(tmp_path, vectors), vectors[:2], k=k, exclude={0, 1})


def test_each_example_counts_the_same() -> None:
    first, second = np.eye(DIMS, dtype=np.float32)[:2]
    direction = profile(np.stack([first, 100 * second]), np.zeros((0, DIMS), np.float32))
    np.testing.assert_allclose(direction[:2], np.sqrt(0.5), atol=1e-6)


def test_examples_that_say_nothing_are_refused() -> None:
    one = np.ones((1, DIMS), np.float32)
    with pytest.raises(InputError, match="at least one liked"):
        profile(one[:0], one)
    with pytest.raises(InputError, match="cancel"):
        profile(np.concatenate([one, -one]), one[:0])
