"""An option that cannot be had is refused, never ignored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import nexus
from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def predictor(model: str) -> Predictor:
    return nexus.load(model, engine="eager")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 112}, "size = 112: the predictor given as model was made with 56; leave size out, or give the model"),
        ({"decode": "exact"}, "decode = exact: the predictor given as model was made with scaled"),
        ({"engine": "compiled"}, "engine = compiled: the predictor given as model was made with eager"),
        ({"device": "cuda"}, "device = cuda: the predictor given as model was made with cpu"),
        ({"batch_size": 3}, "batch_size = 3: the predictor given as model was made with the default"),
    ],
)
def test_a_ready_predictor_cannot_be_changed(
    folder: Path, predictor: Predictor, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        nexus.embed(str(folder), model=predictor, **options)


def test_what_the_predictor_does_anyway_may_be_said(folder: Path, predictor: Predictor) -> None:
    same = {"size": 56, "decode": "scaled", "engine": "eager", "device": "cpu", "workers": predictor.workers}
    assert len(nexus.embed(str(folder / "gibbon.jpg"), model=predictor, **same).vectors) == 1


@pytest.mark.parametrize("given", ["name", "predictor"])
def test_a_collection_keeps_its_preprocessing(
    folder: Path, collection: str, model: str, predictor: Predictor, given: str
) -> None:
    query = str(folder / "gibbon.jpg")
    chosen = model if given == "name" else predictor
    with pytest.raises(ConfigError, match=r"size = 112: .*photos\.nexus was made with 56; leave size out, or index in"):
        nexus.search(collection, query, model=chosen, size=112)
    with pytest.raises(ConfigError, match=r"decode = exact: .*photos\.nexus was made with scaled"):
        nexus.recommend(collection, like=[query], model=chosen, decode="exact")
    assert nexus.search(collection, query, k=1, model=chosen, size=56).results[0].hits[0].path == query


def test_verbs_that_run_no_model_refuse_it_too(collection: str, command: Command) -> None:
    code, said, error = command("cluster", collection, "-k", "2", "--size", "112")
    assert (code, said) == (1, "")
    assert "size = 112" in error


def test_a_folder_indexed_on_the_fly_takes_them(folder: Path, model: str) -> None:
    query = str(folder / "gibbon.jpg")
    found = nexus.search(str(folder), query, k=1, model=model, size=112, decode="exact")
    assert found.results[0].hits[0].path == query


def test_the_patch_picture_keeps_the_engine(folder: Path, predictor: Predictor, tmp_path: Path) -> None:
    found = nexus.visualize_pca(str(folder / "gibbon.jpg"), out=str(tmp_path / "pca.png"), model=predictor)
    assert len(found.names) == 1
    with pytest.raises(ConfigError, match="size = 112"):
        nexus.visualize_pca(str(folder / "gibbon.jpg"), out=str(tmp_path / "x.png"), model=predictor, size=112)
