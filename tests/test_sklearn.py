"""The estimators behave as scikit-learn's own do: its checks, pipelines, searches, copies and pickles."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from nexus import sklearn as ours
from nexus.engines import Predictor
from nexus.errors import ConfigError, InputError, MissingDependencyError
from nexus.evaluation import KNNClassifier
from nexus.evaluation import LinearProbe as FeatureProbe
from nexus.models.cv import DINOv2
from nexus.sklearn import KNN, Embedder, LinearProbe

COUNT, SIZE = 12, 28


@parametrize_with_checks([LinearProbe(), KNN()])
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        "check_do_not_raise_errors_in_init_or_set_params",
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_get_params_invariance",
        "check_mixin_order",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_those_of_its_checks_that_need_no_table_of_numbers(check: str) -> None:
    getattr(estimator_checks, check)("Embedder", Embedder())


def vectors(count: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=count)
    return (labels[:, None] + rng.normal(size=(count, 5))).astype(np.float32), np.array(["emu", "cat", "dog"])[labels]


def test_classifiers_are_those_of_nexus() -> None:
    features, labels = vectors()
    for estimator, classifier in ((LinearProbe(0.3), FeatureProbe(0.3)), (KNN(7), KNNClassifier(7))):
        estimator.fit(features, labels)
        classifier.fit(features, labels.tolist())
        assert estimator.classes_.tolist() == list(classifier.classes)
        np.testing.assert_allclose(estimator.predict_proba(features), classifier.probabilities(features), atol=1e-6)
        assert estimator.predict(features).tolist() == classifier.predict(features)


def test_more_classes_than_ten_keep_their_numbers() -> None:
    labels = np.repeat(np.arange(25), 2)
    features = np.eye(25, dtype=np.float32)[labels]
    assert KNN(1).fit(features, labels).predict(features).tolist() == labels.tolist()


# -- pictures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> str:
    model = DINOv2({"image_size": SIZE, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2})
    model.preprocess = model.preprocess.at(SIZE)
    return str(model.save_pretrained(tmp_path / "model"))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Pictures, dark ones first."""
    rng, paths = np.random.default_rng(0), []
    for number in range(COUNT):
        level = 40 if number < COUNT // 2 else 200
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray((level + rng.integers(-30, 30, size=(SIZE, SIZE, 3))).astype(np.uint8)).save(paths[-1])
    return paths


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    ours.loaded.cache_clear()


def embedder(model: str, **settings: Any) -> Embedder:
    return Embedder(model, **{"engine": "eager", "workers": 1, **settings})


def test_pictures_in_any_form_become_rows(model: str, files: list[str]) -> None:
    with Predictor(model, engine="eager", workers=1) as predictor:
        wanted = predictor.embed(files).vectors
        mean = predictor.embed(files, "mean", 0).vectors
    stacked = np.stack([np.asarray(Image.open(file)) for file in files])
    for pictures in (files, np.array(files), [Path(file) for file in files], stacked, stacked / 255, list(stacked)):
        np.testing.assert_allclose(embedder(model).fit_transform(pictures), wanted, atol=1e-5)
    np.testing.assert_allclose(embedder(model, cache=False).transform(files), wanted, atol=1e-5)
    for cache in (True, False):
        found = embedder(model, pooling="mean", layer=0, cache=cache).transform(files)
        np.testing.assert_allclose(found, mean, atol=1e-5)
    assert not np.allclose(embedder(model, size=56).transform(files), wanted, atol=1e-3)


def test_columns_have_names(model: str, files: list[str]) -> None:
    names = embedder(model).fit(files).get_feature_names_out()
    assert names.tolist() == [f"embedder{number}" for number in range(16)]


def test_copies_and_pickles_know_the_settings(model: str, files: list[str]) -> None:
    made = embedder(model, layer=1)
    wanted = made.transform(files)
    for copy in (clone(made), pickle.loads(pickle.dumps(made))):
        assert copy.get_params() == made.get_params()
        np.testing.assert_array_equal(copy.transform(files), wanted)
    assert len(pickle.dumps(made)) < 10_000
    made.set_params(layer=None)
    assert not np.allclose(made.transform(files), wanted, atol=1e-3)


def test_a_pipeline_is_searched_and_each_picture_runs_once(
    model: str, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    stream = Predictor.stream

    def counted(self: Predictor, images: Any, *args: Any, **settings: Any) -> Any:
        for batch in stream(self, images, *args, **settings):
            ran.extend(batch.indices)
            yield batch

    monkeypatch.setattr(Predictor, "stream", counted)
    labels = ["dark"] * (COUNT // 2) + ["light"] * (COUNT // 2)
    pipeline = make_pipeline(embedder(model), StandardScaler(), LinearProbe())
    search = GridSearchCV(pipeline, {"linearprobe__c": [0.1, 1.0]}, cv=2).fit(files, labels)
    assert search.best_score_ == 1
    assert search.predict(files[::-1]).tolist() == labels[::-1]
    assert cross_val_score(make_pipeline(embedder(model), KNN(3)), files, labels, cv=2).tolist() == [1, 1]
    assert len(ran) == COUNT
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert again.predict(files).tolist() == labels


def test_a_model_may_be_a_module(files: list[str]) -> None:
    module = DINOv2({"image_size": SIZE, "patch_size": 14, "embed_dim": 16, "num_layers": 1, "num_heads": 2})
    made = Embedder(module, engine="eager", workers=1, size=SIZE)
    np.testing.assert_allclose(clone(made).transform(files), made.transform(files), atol=1e-6)


@pytest.mark.parametrize("cache", [True, False])
def test_what_cannot_be_read_is_an_error(model: str, files: list[str], cache: bool) -> None:
    Path(files[4]).write_text("no picture")
    with pytest.raises(InputError, match=r"2 of 13 pictures cannot be read, the first is .*4\.png"):
        embedder(model, cache=cache).transform([*files, 3.5])


@pytest.mark.parametrize(
    ("pictures", "message"),
    [("photos/", "a str, not several"), (np.zeros((8, 8, 3)), r"shape \(8, 8, 3\)"), (3, "a int, not several")],
)
def test_one_picture_is_not_several(model: str, pictures: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        embedder(model).transform(pictures)


def test_a_grid_of_vectors_is_no_row(model: str) -> None:
    with pytest.raises(ConfigError, match="pooling = 'patch'"):
        embedder(model, pooling="patch").fit([])


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "nexus.sklearn")
    with pytest.raises(MissingDependencyError, match=r"nexus-vision\[train\]"):
        importlib.import_module("nexus.sklearn")
