from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from typing_extensions import Unpack

from nexus.commands._options import RunOptions
from nexus.commands._verb import parameters, verb
from nexus.errors import ConfigError


@verb
def example(source: str, *, k: int = 5, pooling: Literal["cls", "mean"] = "cls", **options: Unpack[RunOptions]) -> dict:
    """Do a thing.

    Args:
        source: what to read,
            on two lines.
        k: how many.
        pooling: which.
    """
    return {"source": source, "k": k, "pooling": pooling, **options}


def test_defaults_of_shared_options_arrive() -> None:
    done = example("a", k=3, strict=True)
    assert (done["source"], done["k"], done["strict"], done["engine"], done["progress"]) == ("a", 3, True, "auto", None)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: example("a", kk=3), r"unknown key 'kk' \(did you mean 'k'\?\)"),
        (lambda: example("a", k="many"), "k = 'many'"),
        (lambda: example("a", pooling="max"), "pooling = 'max'"),
        (lambda: example("a", batch_size=0), "batch_size = 0"),
        (lambda: example(), "missing key 'source'"),
    ],
)
def test_wrong_arguments_are_named(call: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()  # type: ignore[operator]


def test_objects_pass_through_untouched() -> None:
    thing = object()
    assert example("a", model=thing)["model"] is thing


def test_a_path_may_be_given_wherever_text_may() -> None:
    assert example(Path("photos", "a.jpg"))["source"] == str(Path("photos", "a.jpg"))
    assert example("a", model=Path("run"))["model"] in ("run", Path("run"))
    with pytest.raises(ConfigError, match="k = "):
        example("a", k=Path("5"))  # type: ignore[arg-type]


def test_every_parameter_is_described_once() -> None:
    found = parameters(example)
    assert list(found)[:3] == ["source", "k", "pooling"]
    assert found["source"][1].description == "what to read, on two lines."
    assert all(field.description for _, field in found.values())


def test_the_config_is_the_schema() -> None:
    assert example.Config.model_json_schema()["properties"]["k"]["default"] == 5
