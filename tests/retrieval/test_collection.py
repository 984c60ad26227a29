"""Collections on disk: what is put is found again, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nexus.errors import CollectionError, ConfigError, InputError
from nexus.retrieval import Collection, Identity, Writer, ann
from nexus.retrieval.collection import relative_name

DIMS = 16
IDENTITY = Identity(
    model="tiny", weights_digest="w1", preprocess={"resize": 256}, preprocess_digest="p1", pooling="cls", dims=DIMS
)


def vectors(count: int, seed: int = 0, dims: int = DIMS) -> NDArray[np.float32]:
    return (10 * np.random.default_rng(seed).normal(size=(count, dims))).astype(np.float32)


def name(index: int) -> bytes:
    return b"folder%d/%d.jpg" % (index % 3, index)


def put(writer: Writer, index: int, vector: NDArray[np.float32]) -> None:
    writer.put(
        name(index), hashlib.sha256(b"%d" % index).hexdigest(), (index << 60) % (1 << 64), (index, index), vector
    )


def fill(folder: Path, array: NDArray[np.float32], identity: Identity = IDENTITY) -> Collection:
    with Collection.writer(folder, identity, folder.parent / "photos") as writer:
        for index, vector in enumerate(array):
            put(writer, index, vector)
    return Collection.open(folder)


def nearest(array: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The definition, in float64."""
    array, queries = array.astype(float), queries.astype(float)
    cosine = queries @ array.T / np.linalg.norm(array, axis=1) / np.linalg.norm(queries, axis=1, keepdims=True)
    return np.argsort(-cosine, axis=1)[:, :k]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "photos.nexus"


def test_what_is_put_is_found_again(folder: Path) -> None:
    array = vectors(50)
    collection = fill(folder, array)
    assert collection.count == len(collection) == 50
    np.testing.assert_array_equal(collection.vectors, array)
    np.testing.assert_array_equal(np.concatenate(list(collection.blocks(7))), array)
    assert collection.names[4] == name(4)
    assert collection.path(4) == str(folder.parent / "photos" / "folder1" / "4.jpg")
    assert collection.sha256[4] == hashlib.sha256(b"4").hexdigest()
    assert collection.phashes[15] == (15 << 60) % (1 << 64), "the sign bit survives SQLite"
    assert collection.position(collection.path(4)) == collection.position(name(4)) == 4
    assert collection.position("elsewhere.jpg") is None
    assert collection.identity == IDENTITY


def test_search_gives_both_distances_in_order(folder: Path) -> None:
    array, queries = vectors(200), vectors(7, seed=1)
    found = fill(folder, array).search(queries, 10)
    np.testing.assert_array_equal(found.positions, nearest(array, queries, 10))
    chosen = array[found.positions].astype(float)
    wide = queries[:, None].astype(float)
    cosine = (chosen * wide).sum(-1) / np.linalg.norm(chosen, axis=-1) / np.linalg.norm(wide, axis=-1)
    np.testing.assert_allclose(found.cosine, cosine, atol=1e-6)
    np.testing.assert_allclose(found.l2, np.linalg.norm(chosen - wide, axis=-1), rtol=1e-5)


def test_an_image_finds_itself_at_distance_nought(folder: Path) -> None:
    array = vectors(60)
    collection = fill(folder, array)
    found = collection.search(array, 1)
    assert (found.positions[:, 0] == np.arange(60)).all()
    assert (found.l2 == 0).all()
    np.testing.assert_allclose(found.cosine, 1, atol=1e-6)
    hit = collection.hits(found)[3][0]
    assert hit.path == collection.path(3)
    assert hit.l2 == 0


def test_zero_vectors_are_at_cosine_nought(folder: Path) -> None:
    array = vectors(5)
    array[2] = 0
    collection = fill(folder, array)
    found = collection.search(array, 5)
    assert np.isfinite(found.cosine).all()
    assert found.cosine[2].tolist() == [0] * 5
    assert found.cosine[0][found.positions[0] == 2] == 0


def test_k_is_limited_by_what_is_there(folder: Path) -> None:
    collection = fill(folder, vectors(3))
    assert collection.search(vectors(1), 10).positions.shape == (1, 3)
    with pytest.raises(ConfigError, match="k = 0"):
        collection.search(vectors(1), 0)


def test_an_empty_collection_finds_nothing(folder: Path, tmp_path: Path) -> None:
    collection = Collection.create(folder, tmp_path, IDENTITY)
    assert collection.search(vectors(2)).positions.shape == (2, 0)
    assert collection.vectors.shape == (0, DIMS)
    assert collection.hits(collection.search(vectors(2))) == [[], []]
    assert collection.build_ann("hnsw") == "flat"


def test_search_within_folders_and_patterns(folder: Path) -> None:
    array = vectors(90)
    collection = fill(folder, array)
    for within, chosen in (
        ("folder1", np.arange(1, 90, 3)),
        ("folder1/", np.arange(1, 90, 3)),
        (["folder0", "folder2"], np.setdiff1d(np.arange(90), np.arange(1, 90, 3))),
        ("*/1?.jpg", np.arange(10, 20)),
        (collection.path(4), np.array([4])),
        (collection.root, np.arange(90)),
    ):
        found = collection.search(array[:5], 4, within=within)
        np.testing.assert_array_equal(
            found.positions, chosen[nearest(array[chosen], array[:5], 4)], err_msg=str(within)
        )
    with pytest.raises(InputError, match=r"no image of .* lies within 'folder'"):
        collection.search(array[:1], within="folder")


@pytest.mark.parametrize("bad", [vectors(1, dims=DIMS + 1), np.full((1, DIMS), np.nan)])
def test_vectors_that_do_not_fit_are_refused(folder: Path, bad: NDArray[np.float32]) -> None:
    collection = fill(folder, vectors(3))
    with pytest.raises(InputError):
        collection.search(bad)
    with Collection.writer(folder, IDENTITY) as writer, pytest.raises(InputError, match=r"new\.jpg"):
        writer.put(b"new.jpg", "00" * 32, None, (1, 1), bad[0])
    assert Collection.open(folder).count == 3


def test_names_are_raw_bytes(folder: Path, tmp_path: Path) -> None:
    odd = [b"a\nb.jpg", b"\xff\xfe.jpg", b"..\\x.jpg", "é.jpg".encode(), b"-"]
    with Collection.writer(folder, IDENTITY, tmp_path) as writer:
        for path, vector in zip(odd, vectors(5), strict=True):
            writer.put(path, "00" * 32, None, (1, 1), vector)
    collection = Collection.open(folder)
    assert list(collection.names) == odd
    assert [os.fsencode(path) for path in collection.paths] == [
        os.path.join(os.fsencode(tmp_path), path) for path in odd
    ]
    json.loads(collection.hits(collection.search(vectors(1), 5))[0][0].to_json())
    assert not collection.has_phash.any()


def test_a_collection_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd \xff?#%41"))
    collection = fill(folder, vectors(1200))
    assert collection.build_ann("hnsw") == "hnsw"
    assert Collection.open(folder).build_ann("hnsw") == "hnsw"


def test_relative_names(tmp_path: Path) -> None:
    assert relative_name(tmp_path / "a" / "b.jpg", tmp_path) == b"a/b.jpg"
    assert relative_name(f"{tmp_path}/a/../b.jpg", tmp_path) == b"b.jpg"
    assert relative_name("a/b.jpg", tmp_path) == b"a/b.jpg"
    assert relative_name("/elsewhere/b.jpg", tmp_path) == b"/elsewhere/b.jpg"
    assert relative_name("/b.jpg", "/") == b"b.jpg"
    assert relative_name(f"{tmp_path}x/b.jpg", tmp_path) == os.fsencode(f"{tmp_path}x/b.jpg")


def test_the_plan_names_what_is_new_changed_and_gone(folder: Path) -> None:
    fill(folder, vectors(4))
    files = [(name(0), 0, 0), (name(1), 1, 99), (name(2), 99, 2), (b"new.jpg", 1, 1), (b"new.jpg", 1, 1)]
    with Collection.writer(folder, IDENTITY) as writer:
        plan = writer.plan(files)
        assert plan == ([b"new.jpg"], [name(1), name(2)], [name(0)], [name(3)])
        assert writer.content(name(1)) == hashlib.sha256(b"1").hexdigest()
        assert writer.content(b"new.jpg") is None
        writer.touch(name(1), (1, 99))
        put(writer, 2, vectors(1, seed=5)[0])
        writer.remove(name(3))
        writer.remove(b"never there")
        writer.commit()
        plan = writer.plan([(name(0), 0, 0), (name(1), 1, 99), (name(2), 2, 2)])
        assert plan == ([], [], [name(0), name(1), name(2)], [])
    collection = Collection.open(folder)
    np.testing.assert_array_equal(collection.take(collection.position(name(2))), vectors(1, seed=5)[0])


def test_the_last_word_on_a_path_counts(folder: Path, tmp_path: Path) -> None:
    array = vectors(3)
    with Collection.writer(folder, IDENTITY, tmp_path) as writer:
        put(writer, 0, array[0])
        put(writer, 0, array[1])
        put(writer, 1, array[1])
        writer.remove(name(1))
        writer.remove(name(2))
        put(writer, 2, array[2])
        writer.touch(name(2), (7, 7))
    collection = Collection.open(folder)
    assert list(collection.names) == [name(0), name(2)]
    np.testing.assert_array_equal(collection.vectors, array[1:])


def test_an_exception_loses_nothing_that_was_put(folder: Path, tmp_path: Path) -> None:
    def interrupted() -> None:
        with Collection.writer(folder, IDENTITY, tmp_path) as writer:
            put(writer, 0, vectors(1)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert Collection.open(folder).count == 1


def test_ctrl_c_does_not_wait_for_a_compaction(folder: Path) -> None:
    fill(folder, vectors(10))

    def interrupted() -> None:
        with Collection.writer(folder, IDENTITY) as writer:
            for index in range(9):
                writer.remove(name(index))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    collection = Collection.open(folder)
    assert (collection.count, collection.generation) == (1, 1)
    with Collection.writer(folder, IDENTITY):
        pass
    assert Collection.open(folder).generation == 2


def test_commits_come_by_number_and_by_time(folder: Path, tmp_path: Path) -> None:
    with Collection.writer(folder, IDENTITY, tmp_path, commit_every=3) as writer:
        for index, vector in enumerate(vectors(5)):
            put(writer, index, vector)
            assert Collection.open(folder).count == (index + 1) // 3 * 3
    with Collection.writer(folder, IDENTITY, commit_seconds=0.0) as writer:
        put(writer, 9, vectors(1)[0])
        assert Collection.open(folder).count == 6


def test_bytes_of_an_unfinished_commit_are_cut_off(folder: Path) -> None:
    collection = fill(folder, vectors(4))
    path = folder / "vectors-1.f32"
    with path.open("ab") as file:
        file.write(b"orphans")
    assert Collection.open(folder).count == 4, "readers do not see them"
    with Collection.writer(folder, IDENTITY) as writer:
        assert path.stat().st_size == 4 * 4 * DIMS
        put(writer, 4, vectors(5)[4])
    np.testing.assert_array_equal(Collection.open(folder).vectors, vectors(5))
    np.testing.assert_array_equal(collection.vectors, vectors(4))


def test_dead_rows_are_compacted_at_a_fifth_and_readers_keep_theirs(folder: Path) -> None:
    array = vectors(100)
    before = fill(folder, array)
    with Collection.writer(folder, IDENTITY) as writer:
        for index in range(19):
            writer.remove(name(index))
    with_tombstones = Collection.open(folder)
    assert with_tombstones.generation == 1
    assert with_tombstones.count == 81
    np.testing.assert_array_equal(with_tombstones.vectors, array[19:])
    np.testing.assert_array_equal(with_tombstones.search(array[:9], 5).positions, nearest(array[19:], array[:9], 5))
    with Collection.writer(folder, IDENTITY) as writer:
        writer.remove(name(19))
    after = Collection.open(folder)
    assert after.generation == 2
    assert after.names == with_tombstones.names[1:]
    np.testing.assert_array_equal(after.vectors, array[20:])
    assert sorted(file.name for file in folder.iterdir()) == ["meta.sqlite", "vectors-2.f32", "writer.lock"]
    np.testing.assert_array_equal(before.vectors, array)
    np.testing.assert_array_equal(before.search(array[:9], 5).positions, nearest(array, array[:9], 5))


def test_files_written_aside_by_a_crash_are_removed(folder: Path) -> None:
    fill(folder, vectors(4))
    left = ("vectors-2.f32", "vectors-2.f32.aside", "ann-7.faiss", "ann-1.faiss.123.aside")
    for file in left:
        (folder / file).write_bytes(b"x")
    with Collection.writer(folder, IDENTITY):
        assert not any((folder / file).exists() for file in left)


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_approximate_indexes_find_almost_all_and_true_distances(folder: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(30, 32))
    array = (centres[rng.integers(30, size=3000)] + 0.5 * rng.normal(size=(3000, 32))).astype(np.float32)
    identity = IDENTITY.replace(dims=32)
    collection = fill(folder, array, identity)
    truth = collection.search(array[:200], 10)
    assert collection.build_ann(kind) == kind
    assert (folder / "ann-1.faiss").is_file()
    found = collection.search(array[:200], 10)
    recall = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth.positions, found.positions, strict=True)])
    assert recall > (0.99 if kind == "hnsw" else 0.9)
    wide, queries = array.astype(float)[found.positions], array[:200, None].astype(float)
    cosine = (wide * queries).sum(-1) / np.linalg.norm(wide, axis=-1) / np.linalg.norm(queries, axis=-1)
    np.testing.assert_allclose(found.cosine, cosine, atol=2e-6)
    np.testing.assert_allclose(found.l2, np.linalg.norm(wide - queries, axis=-1), rtol=1e-5)
    assert (found.l2[:, 0] == 0).all()
    assert (np.diff(found.cosine, axis=1) <= 0).all()
    np.testing.assert_array_equal(collection.search(array[:200], 10, exact=True).positions, truth.positions)

    with Collection.writer(folder, identity, ann=kind) as writer:
        for index in range(300):
            writer.remove(name(index))
        put(writer, 5000, array[0] + 0.001)
    reopened = Collection.open(folder)
    hits = reopened.search(array[:300], 5)
    assert reopened.names[hits.positions[0, 0]] == name(5000), "rows added after the index was built are found"
    assert not {reopened.names[p] for p in hits.positions.ravel()} & {name(index) for index in range(300)}


def test_the_index_file_is_a_cache(folder: Path) -> None:
    array = vectors(1500)
    with Collection.writer(folder, IDENTITY, folder.parent, ann="hnsw") as writer:
        for index, vector in enumerate(array):
            put(writer, index, vector)
    Collection.open(folder).build_ann()
    truth = Collection.open(folder).search(array[:20], 3, exact=True).positions
    damages: list[Callable[[Path], object]] = [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b"not an index"),
        lambda file: file.write_bytes(file.read_bytes()[: -4 * 1500]),  # the lengths are cut off
    ]
    for damage in damages:
        damage(folder / "ann-1.faiss")
        np.testing.assert_array_equal(Collection.open(folder).search(array[:20], 3).positions, truth)
        assert Collection.open(folder).build_ann() == "hnsw"
        np.testing.assert_array_equal(Collection.open(folder).search(array[:20], 3).positions, truth)


@pytest.mark.parametrize("more", [0, 90])
def test_the_best_of_many_candidates_come_in_order(more: int) -> None:
    rows = np.array([[7, 3, 5, 4, 9, -1, *range(100, 100 + more)]], dtype=np.int64)
    cosine = np.array([[0.5, 0.9, 0.5, 0.7, 0.1, -np.inf, *[0.0] * more]], dtype=np.float32)
    chosen, values = ann.best(rows, cosine, 4)
    np.testing.assert_array_equal(chosen, [[3, 4, 5, 7]])
    np.testing.assert_array_equal(values, np.float32([[0.9, 0.7, 0.5, 0.5]]))


def test_an_unknown_kind_is_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'hnsw'"):
        fill(folder, vectors(3)).build_ann("hsnw")


def test_reduction_keeps_cosines_and_maps_queries(folder: Path) -> None:
    rng = np.random.default_rng(0)
    array = (rng.normal(size=(300, 6)) @ rng.normal(size=(6, DIMS)) + 3).astype(np.float32)
    before = fill(folder, array)
    with Collection.writer(folder, IDENTITY) as writer:
        projection = writer.reduce(7)
        put(writer, 300, 2 * array[5])
    assert projection.explained == pytest.approx(1, abs=1e-5), "rank 6 and a mean fit into 7 dimensions"
    after = Collection.open(folder)
    assert after.dims == 7
    assert after.vectors.shape == (301, 7)
    assert after.explained == pytest.approx(projection.explained)
    ours, theirs = after.search(array[:9], 1), before.search(array[:9], 1)
    np.testing.assert_allclose(ours.cosine, theirs.cosine, atol=1e-5)
    both = after.search(array[5], 2)
    assert set(both.positions[0]) == {5, 300}
    np.testing.assert_allclose(both.cosine, 1, atol=1e-5)
    with Collection.writer(folder, IDENTITY) as writer:
        assert writer.reduce(7).explained == pytest.approx(projection.explained)
        with pytest.raises(ConfigError, match="dims = 7 before, 5 is asked for"):
            writer.reduce(5)


def test_explained_variance_is_that_of_pca(folder: Path) -> None:
    array = vectors(100) * np.linspace(1, 5, DIMS, dtype=np.float32)
    array -= array.mean(0)
    fill(folder, array)
    with Collection.writer(folder, IDENTITY) as writer:
        projection = writer.reduce(4)
    variances = np.linalg.svd(array.astype(float), compute_uv=False) ** 2
    assert projection.explained == pytest.approx(variances[:4].sum() / variances.sum(), rel=1e-4)
    with Collection.writer(folder, IDENTITY) as writer:
        assert writer.state.dims == 4


def test_nothing_cannot_be_reduced(folder: Path) -> None:
    with (
        Collection.writer(folder, IDENTITY, folder) as writer,
        pytest.raises(ConfigError, match="there is no image yet"),
    ):
        writer.reduce(4)


@pytest.mark.parametrize("dims", [0, DIMS, 12])
def test_a_reduction_that_cannot_be_is_refused(folder: Path, dims: int) -> None:
    fill(folder, vectors(10))
    with Collection.writer(folder, IDENTITY) as writer, pytest.raises(ConfigError, match=f"dims = {dims}"):
        writer.reduce(dims)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_digest": "w2"}, "weights digest: w1, not w2"),
        ({"preprocess_digest": "p2"}, "preprocess digest: p1, not p2"),
        ({"pooling": "mean"}, "pooling: cls, not mean"),
        ({"layer": 3}, "layer: None, not 3"),
    ],
)
def test_other_settings_are_refused_with_the_remedy(folder: Path, change: dict[str, object], message: str) -> None:
    collection = fill(folder, vectors(3))
    other = IDENTITY.replace(**change)
    for attempt in (lambda: Collection.writer(folder, other), lambda: collection.require(other)):
        with pytest.raises(CollectionError, match=rf"{message}.*new folder"):
            attempt()
    renamed = IDENTITY.replace(model="the same weights under another name")
    collection.require(renamed)
    with Collection.writer(folder, renamed):
        pass


def test_a_newer_format_is_refused(folder: Path) -> None:
    fill(folder, vectors(3))
    connection = sqlite3.connect(folder / "meta.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for attempt in (lambda: Collection.open(folder), lambda: Collection.writer(folder, IDENTITY)):
        with pytest.raises(CollectionError, match=r"format 99.*pip install -U"):
            attempt()


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="nexus index"):
        Collection.open(tmp_path)
    (tmp_path / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(CollectionError, match="not a collection"):
        Collection.writer(tmp_path, IDENTITY, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["holiday.jpg"]
    with pytest.raises(ConfigError, match="root is needed"):
        Collection.writer(tmp_path / "new.nexus", IDENTITY)
    with pytest.raises(CollectionError, match="index again"):
        Collection.open(tmp_path / "new.nexus")
    with Collection.writer(tmp_path / "new.nexus", IDENTITY, tmp_path):
        pass


def test_damage_is_named(folder: Path) -> None:
    fill(folder, vectors(30))
    os.truncate(folder / "vectors-1.f32", 100)
    for attempt in (lambda: Collection.open(folder), lambda: Collection.writer(folder, IDENTITY)):
        with pytest.raises(CollectionError, match=r"vectors-1\.f32 is damaged"):
            attempt()
    (folder / "meta.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    for attempt in (lambda: Collection.open(folder), lambda: Collection.writer(folder, IDENTITY)):
        with pytest.raises(CollectionError, match=r"meta\.sqlite cannot be used"):
            attempt()


def test_moved_photos_are_found_under_another_root(folder: Path, tmp_path: Path) -> None:
    fill(folder, vectors(3))
    assert Collection.open(folder, root=tmp_path / "moved").path(0) == str(tmp_path / "moved" / "folder0" / "0.jpg")
    assert Collection.open(folder).root == str(tmp_path / "photos")
    with Collection.writer(folder, IDENTITY, tmp_path / "moved"):
        pass
    assert Collection.open(folder).root == str(tmp_path / "moved")


def test_a_second_writer_is_told_who_is_first(folder: Path, tmp_path: Path) -> None:
    with Collection.writer(folder, IDENTITY, tmp_path) as first:
        with pytest.raises(CollectionError, match=rf"process {os.getpid()} on .*Wait for it"):
            Collection.writer(folder, IDENTITY)
        put(first, 0, vectors(1)[0])
    with Collection.writer(folder, IDENTITY) as second:
        assert second.count == 1
    with pytest.raises(CollectionError, match="closed"):
        put(first, 1, vectors(1)[0])


def test_a_writer_that_was_killed_holds_no_lock(folder: Path, tmp_path: Path) -> None:
    script = f"""
import os, signal
from nexus.retrieval import Collection, Identity
writer = Collection.writer({str(folder)!r}, Identity.parse({IDENTITY.to_dict()!r}), {str(tmp_path)!r})
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    with Collection.writer(folder, IDENTITY) as writer:
        assert writer.count == 0


def test_a_read_only_folder_can_be_searched(folder: Path) -> None:
    array = vectors(20)
    fill(folder, array)
    modes = {file: file.stat().st_mode for file in [*folder.iterdir(), folder]}
    try:
        for file, mode in modes.items():
            file.chmod(mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
        np.testing.assert_array_equal(Collection.open(folder).search(array, 1).positions[:, 0], np.arange(20))
    finally:
        for file, mode in modes.items():
            file.chmod(mode)
