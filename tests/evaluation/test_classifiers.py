"""kNN and linear probe: equal to scikit-learn, deterministic, kept in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from nexus.errors import ConfigError, InputError, WeightsError
from nexus.evaluation import FeatureClassifier, KNNClassifier, LinearProbe, NearestCentroid, load_classifier

NAMES = np.array(["bird", "castle", "goat", "monkey"])


def examples(count: int, seed: int = 0, spread: float = 1.6) -> tuple[Any, list[str]]:
    """Overlapping classes with dimensions of very different scales, and one that is constant."""
    centres = np.random.default_rng(42).normal(size=(4, 12))
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=count)
    features = (centres[labels] + spread * rng.normal(size=(count, 12))) * np.geomspace(0.1, 30, 12) + 5
    features[:, 3] = 7
    return features.astype(np.float32), NAMES[labels].tolist()


@pytest.mark.parametrize("c", [0.01, 1.0, 30.0])
def test_the_linear_probe_is_scikit_learns_logistic_regression(c: float) -> None:
    (features, labels), (others, truth) = examples(200), examples(300, seed=1)
    probe = LinearProbe(c=c).fit(features, labels)
    scaler = StandardScaler().fit(features.astype(float))
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(scaler.transform(features), labels)
    assert list(probe.classes) == list(theirs.classes_)
    wanted = theirs.predict_proba(scaler.transform(others.astype(float)))
    np.testing.assert_allclose(probe.probabilities(others), wanted, atol=2e-4)
    assert probe.accuracy(others, truth) == pytest.approx(theirs.score(scaler.transform(others), truth), abs=0.005)
    assert probe.accuracy(others, truth) > 0.5


def test_the_linear_probe_makes_a_head(tmp_path: Path) -> None:
    features, labels = examples(50)
    probe = LinearProbe().fit(features, labels)
    head = torch.nn.Linear(12, 4)
    head.load_state_dict({"weight": torch.from_numpy(probe.weight), "bias": torch.from_numpy(probe.bias)})
    with torch.no_grad():
        ours = head(torch.from_numpy(features)).softmax(1).numpy()
    np.testing.assert_allclose(ours, probe.probabilities(features), atol=1e-4)


@torch.no_grad()
def test_the_linear_probe_learns_under_no_grad_and_the_same_each_time() -> None:
    features, labels = examples(50)
    first, second = LinearProbe().fit(features, labels), LinearProbe().fit(features, labels)
    np.testing.assert_array_equal(first.weight, second.weight)


def test_knn_is_scikit_learns_with_the_same_weights() -> None:
    (features, labels), (others, truth) = examples(200), examples(100, seed=1)
    ours = KNNClassifier(k=7).fit(features, labels)
    theirs = KNeighborsClassifier(7, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)).fit(features, labels)
    assert list(ours.classes) == list(theirs.classes_)
    np.testing.assert_allclose(ours.probabilities(others), theirs.predict_proba(others), atol=1e-4)
    assert ours.predict(others) == theirs.predict(others).tolist()
    assert ours.accuracy(others, truth) == pytest.approx(theirs.score(others, truth))


def test_knn_follows_the_protocol_of_dino() -> None:
    """Derived a second time from the definition: a weighted vote, one example and one query at a time."""
    (features, labels), (others, _) = examples(60), examples(10, seed=1)
    ours = KNNClassifier(k=20, temperature=0.07).fit(features, labels).probabilities(others)
    for row, query in zip(ours, others.astype(float), strict=True):
        cosines = [float(x @ query / np.linalg.norm(x) / np.linalg.norm(query)) for x in features.astype(float)]
        votes = dict.fromkeys(NAMES, 0.0)
        for index in sorted(range(60), key=lambda i: -cosines[i])[:20]:
            votes[labels[index]] += np.exp(cosines[index] / 0.07)
        np.testing.assert_allclose(row, [votes[name] / sum(votes.values()) for name in NAMES], rtol=1e-3, atol=1e-6)


def test_the_nearest_centroid_is_the_mean_direction_of_a_class() -> None:
    (features, labels), (others, _) = examples(60), examples(40, seed=1)
    classifier = NearestCentroid(temperature=0.2).fit(features, labels)
    directions = {name: [] for name in NAMES}
    for row, label in zip(features.astype(float), labels, strict=True):
        directions[label].append(row / np.linalg.norm(row))
    for row, query in zip(classifier.probabilities(others), others.astype(float), strict=True):
        means = [np.mean(directions[name], 0) for name in NAMES]
        powers = np.exp([mean @ query / np.linalg.norm(mean) / np.linalg.norm(query) / 0.2 for mean in means])
        np.testing.assert_allclose(row, powers / powers.sum(), rtol=1e-4)


def test_one_search_answers_for_every_smaller_k() -> None:
    (features, labels), (others, _) = examples(60), examples(20, seed=1)
    most = KNNClassifier(k=30).fit(features, labels)
    cosine, classes = most.nearest(others, 30)
    for k in (1, 7, 30):
        fewer = KNNClassifier(k=k).fit(features, labels).probabilities(others)
        np.testing.assert_array_equal(most.vote(cosine[:, :k], classes[:, :k]), fewer)
    assert most.nearest(others, 100)[0].shape == (20, 60)
    assert most.probabilities(others[:0]).shape == (0, len(most.classes))


def test_knn_with_few_examples_and_little_warmth() -> None:
    features, labels = examples(3)
    sharp = KNNClassifier(k=20, temperature=1e-4).fit(features, labels)
    assert sharp.predict(features) == labels
    assert sharp.accuracy(features, labels) == 1


@pytest.mark.parametrize("classifier", [KNNClassifier(k=5, temperature=0.1), LinearProbe(c=0.5), NearestCentroid(0.3)])
def test_a_classifier_is_kept_in_one_file(tmp_path: Path, classifier: FeatureClassifier) -> None:
    features, labels = examples(40)
    labels = [f"{label} é" for label in labels]
    with pytest.raises(InputError, match="fit first"):
        classifier.save(tmp_path / "classifier.safetensors")
    with pytest.raises(InputError, match="fit first"):
        classifier.predict(features)
    classifier.fit(features, labels).save(tmp_path / "classifier.safetensors")
    loaded = load_classifier(tmp_path / "classifier.safetensors")
    assert type(loaded) is type(classifier)
    assert loaded.classes == classifier.classes
    np.testing.assert_array_equal(loaded.probabilities(features), classifier.probabilities(features))
    with pytest.raises(InputError, match=r"\(N, 12\) is needed"):
        loaded.predict(features[:, :5])


def test_other_files_are_refused(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no classifier"):
        load_classifier(tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("not a file of tensors")
    for name in ("text", "absent"):
        with pytest.raises(WeightsError, match=name):
            load_classifier(tmp_path / name)


@pytest.mark.parametrize("make", [KNNClassifier, LinearProbe, NearestCentroid])
def test_what_cannot_be_learnt_from_is_refused(make: type[FeatureClassifier]) -> None:
    features, labels = examples(4)
    with pytest.raises(InputError, match="4 features and 3 labels"):
        make().fit(features, labels[:3])
    with pytest.raises(InputError, match="no examples"):
        make().fit(features[:0], [])
    with pytest.raises(InputError, match="NaN"):
        make().fit(features * np.nan, labels)
    with pytest.raises(InputError, match="0 features and 0 labels"):
        make().fit(features, ["a", "b", "a", "b"]).accuracy(features[:0], [])


def test_one_class_is_too_few_for_a_probe() -> None:
    with pytest.raises(InputError, match="at least two classes"):
        LinearProbe().fit(np.ones((3, 2)), ["a"] * 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KNNClassifier(k=0), "k = 0"),
        (lambda: KNNClassifier(temperature=-1), "temperature = -1"),
        (lambda: NearestCentroid(temperature=0), "temperature = 0"),
        (lambda: LinearProbe(c=0), "c = 0"),
        (lambda: LinearProbe(max_steps=0), "max_steps = 0"),
    ],
)
def test_settings_out_of_range_are_named(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
