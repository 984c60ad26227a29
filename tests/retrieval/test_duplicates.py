"""Duplicates and near-copies: two finders, each of which sees what the other does not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nexus.assets import PHOTOS
from nexus.errors import ConfigError, InputError
from nexus.retrieval import Collection, Identity
from nexus.retrieval.ann import normalised
from nexus.retrieval.copies import calibrate, copy_scores, find_copies
from nexus.retrieval.dedupe import dedupe
from nexus.retrieval.pairs import groups_of, hamming, hash_neighbours, similar_pairs
from nexus.transforms.edits import EDITS

DIMS = 32
IDENTITY = Identity(model="tiny", weights_digest="w", preprocess_digest="p", dims=DIMS)


def collect(folder: Path, images: Sequence[tuple[str, str, int | None, Any]]) -> Collection:
    """A collection of (name, content, hash, vector)."""
    with Collection.writer(folder / "photos.nexus", IDENTITY, folder) as writer:
        for name, content, phash, vector in images:
            writer.put(name.encode(), content * 32, phash, (1, 1), vector)
    return Collection.open(folder / "photos.nexus")


def random_images(count: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, DIMS)).astype(np.float32), rng.integers(0, 1 << 64, count, dtype=np.uint64)


def test_each_pair_says_which_finder_found_it(tmp_path: Path) -> None:
    vectors, hashes = random_images(6)
    h = [int(value) for value in hashes]
    mixed = 0.8 * vectors[1] / np.linalg.norm(vectors[1]) + 0.6 * vectors[5] / np.linalg.norm(vectors[5])
    collection = collect(
        tmp_path,
        [
            ("a.jpg", "00", h[0], vectors[0]),
            ("a again.jpg", "00", h[0], vectors[0]),
            ("a flipped.jpg", "01", h[4], vectors[0] * 1.1),  # the features see it, the hash does not
            ("b.jpg", "02", h[1], vectors[1]),
            ("b recoloured.jpg", "03", h[1] ^ 0b101, mixed),  # the hash sees it, the features do not quite
            ("c.jpg", "04", h[2], vectors[2]),
            ("c smaller.jpg", "05", h[2] ^ 1, vectors[2] + 0.01),  # both see it
            ("c smaller still.jpg", "06", None, vectors[2] + 0.02),
            ("like c only by hash.jpg", "07", h[2], -vectors[2]),  # the features contradict
            ("d.jpg", "08", h[3], vectors[3]),
        ],
    )
    result = dedupe(collection)
    assert result.count == 10
    assert [[Path(path).name for path in group.paths] for group in result.exact] == [["a.jpg", "a again.jpg"]]
    found = [[Path(path).name for path in group.paths] for group in result.near]
    assert found == [
        ["a.jpg", "a flipped.jpg"],
        ["b.jpg", "b recoloured.jpg"],
        ["c.jpg", "c smaller.jpg", "c smaller still.jpg"],
    ]
    by = {(Path(p.first).name, Path(p.second).name): (p.found_by, p.bits) for g in result.near for p in g.pairs}
    assert by["a.jpg", "a flipped.jpg"][0] == ("features",)
    assert by["b.jpg", "b recoloured.jpg"] == (("phash",), 2)
    assert by["c.jpg", "c smaller.jpg"] == (("phash", "features"), 1)
    assert by["c.jpg", "c smaller still.jpg"] == (("features",), 64)
    assert dedupe(collection, near=False).near == ()
    assert "found by phash" in "\n".join(result.lines())


def test_a_hash_that_the_features_contradict_found_no_pair(tmp_path: Path) -> None:
    """Also where the features alone are asked for less than the hash needs of them."""
    vectors = np.eye(DIMS)[[0, 0]]
    vectors[1, 1] = 1  # cosine 0.71
    collection = collect(tmp_path, [("a.jpg", "00", 5, vectors[0]), ("b.jpg", "01", 5, vectors[1])])
    (group,) = dedupe(collection, cosine=0.5, bits_cosine=0.9).near
    assert [pair.found_by for pair in group.pairs] == [("features",)]


def test_dedupe_of_nothing_and_one(tmp_path: Path) -> None:
    empty = Collection.create(tmp_path / "empty.nexus", tmp_path, IDENTITY)
    assert dedupe(empty).lines() == ["0 exact and 0 near groups among 0 images"]
    one = collect(tmp_path, [("a.jpg", "00", 1, np.ones(DIMS))])
    assert dedupe(one).near == ()


@pytest.mark.parametrize("wrong", [{"cosine": 1.1}, {"bits": 65}, {"bits_cosine": -2}])
def test_thresholds_out_of_range_are_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values())))):
        dedupe(collect(tmp_path, [("a.jpg", "00", 1, np.ones(DIMS))]), **wrong)


def test_pairs_are_those_of_the_full_matrix() -> None:
    vectors, hashes = random_images(400)
    vectors[200:] = vectors[:200] + 0.35 * random_images(200, seed=1)[0]
    hashes[300:] = hashes[:100] ^ np.uint64(0b111)
    has_hash = np.arange(400) % 7 > 0
    unit = normalised(vectors)
    pairs = similar_pairs(unit, hashes, has_hash, cosine=0.95, bits=4, bits_cosine=-1)
    cosine = unit @ unit.T
    bits = np.array([[bin(int(a) ^ int(b)).count("1") for b in hashes] for a in hashes])
    near = (cosine >= 0.95) | ((bits <= 4) & has_hash & has_hash[:, None])
    wanted = np.argwhere(np.triu(near, 1))
    assert len(wanted) > 150
    np.testing.assert_array_equal(np.stack([pairs.first, pairs.second], 1), wanted)
    np.testing.assert_allclose(pairs.cosine, cosine[pairs.first, pairs.second], atol=1e-6)


def test_many_equal_images_are_one_group() -> None:
    count = 300
    unit, hashes = np.tile(normalised(random_images(1)[0]), (count, 1)), np.zeros(count, np.uint64)
    pairs = similar_pairs(unit, hashes, np.ones(count, bool), cosine=0.95, bits=8, bits_cosine=0.6, neighbours=8)
    assert len(pairs.first) < 20 * count
    assert groups_of(count, pairs.first, pairs.second) == [list(range(count))]


def test_union_find() -> None:
    first, second = np.array([5, 1, 7, 2, 9]), np.array([1, 2, 8, 5, 9])
    assert groups_of(10, first[:4], second[:4]) == [[1, 2, 5], [7, 8]]


def test_hashes_are_compared_bit_by_bit() -> None:
    hashes = random_images(50)[1]
    np.testing.assert_array_equal(
        hamming(hashes, hashes[::-1]),
        [bin(int(a) ^ int(b)).count("1") for a, b in zip(hashes, hashes[::-1], strict=True)],
    )
    np.testing.assert_array_equal(hash_neighbours(hashes ^ np.uint64(1), hashes, 1)[:, 0], np.arange(50))


def test_near_copies_of_protected_pictures(tmp_path: Path) -> None:
    vectors, hashes = random_images(40)
    protected = collect(
        tmp_path, [(f"{n}.jpg", f"{n:02x}", int(hashes[n]) if n else None, vectors[n]) for n in range(30)]
    )
    suspects = np.stack([vectors[0], vectors[3] * 2, vectors[35], vectors[36]])
    suspect_hashes = np.array([1, int(hashes[33]), int(hashes[4]) ^ 1, int(hashes[36])], np.uint64)
    by_missing_hash, by_features, by_hash, innocent = find_copies(protected, suspects, suspect_hashes)
    assert [(Path(match.path).name, match.bits) for match in by_missing_hash] == [("0.jpg", 64)]
    assert [Path(match.path).name for match in by_features] == ["3.jpg"]
    assert by_features[0].score == pytest.approx(1, abs=1e-5)
    assert [(Path(match.path).name, match.bits) for match in by_hash] == [("4.jpg", 1)]
    assert by_hash[0].score == pytest.approx(1 - 1 / 32)
    assert innocent == ()
    lenient = find_copies(protected, suspects, suspect_hashes, threshold=0.01, k=3)
    assert [len(matches) for matches in lenient] == [3] * 4
    assert all(a.score >= b.score for matches in lenient for a, b in itertools.pairwise(matches))
    with pytest.raises(ConfigError, match="threshold = 0"):
        find_copies(protected, suspects, suspect_hashes, threshold=0)


def describe(pictures: Sequence[Image.Image]) -> tuple[Any, Any]:
    """Colours on a coarse grid as features, and the real perceptual hash."""
    from nexus.transforms.phash import perceptual_hash

    grids = [np.asarray(picture.resize((6, 6), Image.Resampling.BOX), np.float32).ravel() for picture in pictures]
    vectors = np.stack(grids) - np.mean(grids, axis=1, keepdims=True)
    return vectors, np.array([perceptual_hash(picture) for picture in pictures], np.uint64)


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    files = sorted(PHOTOS.glob("*.jpg"))[:12]
    return [Image.open(file).convert("RGB").resize((160, 120)) for file in files]


def test_a_calibration_counts_alarms_and_recall(photos: list[Image.Image]) -> None:
    groups = list(range(12))
    groups[1] = 0  # as if two showed the same thing
    result = calibrate(photos, describe, EDITS, threshold=0.9, groups=groups)
    unrelated = 12 * 11 - 2
    assert result.pairs == unrelated // 2 + len(EDITS) * unrelated
    assert result.pairs > 1_000
    vectors, hashes = describe(photos)
    unit = normalised(vectors)
    alarms = 0
    for name, edit in {"": lambda picture: picture, **EDITS}.items():
        edited, edited_hashes = describe([edit(picture) for picture in photos])
        for a in range(12):
            for b in range(12):
                bits = bin(int(edited_hashes[a]) ^ int(hashes[b])).count("1")
                score = max(float(normalised(edited)[a] @ unit[b]), 1 - bits / 32)
                alarms += score >= 0.9 and groups[a] != groups[b] and (bool(name) or a < b)
    assert result.false_alarms == alarms
    assert result.false_alarm_rate == alarms / result.pairs < result.false_alarm_upper < 1
    assert result.recall["JPEG 20"] == result.recall["resize 50 %"] == 1
    assert result.recall["flip"] < 1, "neither a colour grid nor the hash sees through a flip"
    assert any("recognised" in line for line in result.lines())
    with pytest.raises(InputError, match="at least 2"):
        calibrate(photos[:2], describe, EDITS, groups=[0, 0])


def test_scores() -> None:
    scores = copy_scores(np.array([0.5, 0.5, 1.0]), np.array([0, 32, 64]))
    np.testing.assert_allclose(scores, [1, 0.5, 1])


@pytest.mark.parametrize("name", EDITS)
def test_edits_change_a_picture_and_keep_it_rgb(name: str, photos: list[Image.Image]) -> None:
    before = photos[0].tobytes()
    edited = EDITS[name](photos[0])
    assert edited.mode == "RGB"
    assert photos[0].tobytes() == before
    assert edited.size != photos[0].size or edited.tobytes() != before
    assert EDITS[name](photos[0]).tobytes() == edited.tobytes()
    assert EDITS[name](Image.new("RGB", (1, 1))).mode == "RGB"
