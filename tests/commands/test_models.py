from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

import nexus
from nexus import registry
from nexus.errors import ConfigError, UnknownNameError

Command = Callable[..., tuple[int, str, str]]


def test_models_are_listed_without_building_any(command: Command) -> None:
    listed = nexus.describe_models("dinov2*")
    assert [row.name for row in listed.models] == nexus.list_models("dinov2*")
    assert {row.input_size for row in listed.models} == {(224, 224)}
    code, said, _ = command("models", "efficientnet_lite*")
    assert code == 0
    head, family, first, *_ = said.splitlines()
    assert head.split() == ["NAME", "PARAMS", "GFLOPS", "INPUT", "TOP-1", "LICENCE", "FROM"]
    assert family == "[efficient_net]"
    assert first.split()[:5] == ["efficientnet_lite0", "4.65M", "0.39", "224", "75.1"]
    assert first.endswith("pkg")
    with pytest.raises(UnknownNameError, match="no model matches 'dinosaur'"):
        nexus.describe_models("dinosaur")


def test_the_whole_list_fits_a_terminal(command: Command) -> None:
    code, said, _ = command("models")
    assert code == 0
    assert max(map(len, said.splitlines())) <= 100
    named = {f"[{name}]" for name, family in registry.families().items() if family.variants}
    assert named <= set(said.splitlines())


def test_models_are_chosen_by_family_task_and_licence() -> None:
    def names(**asked: str) -> list[str]:
        return [row.name for row in nexus.describe_models(**asked).models]

    assert names(pattern="efficient_net") == nexus.list_models("efficientnet*")
    classifiers = names(task="classify")
    assert "resnet50" in classifiers
    assert not any(name.startswith("dinov2") for name in classifiers)
    assert set(names(task="embed")) == set(nexus.list_models())
    free = nexus.describe_models(license="commercial").models
    assert "dinov2_vits14" in {row.name for row in free}
    assert all(row.license and "NC" not in row.license for row in free)
    assert {row.license for row in nexus.describe_models(license="apache*").models} == {"Apache-2.0"}
    with pytest.raises(UnknownNameError, match=r"none of the \d+ models that match 'dinov2\*' has task = 'classify'"):
        nexus.describe_models("dinov2*", task="classify")
    with pytest.raises(ConfigError, match="task"):
        nexus.describe_models(task="paint")


def test_models_are_sorted(command: Command) -> None:
    rows = nexus.describe_models("*net*", sort="gflops").models
    assert [row.gflops for row in rows] == sorted(row.gflops or math.inf for row in rows)
    sizes = [row.parameters or math.inf for row in nexus.describe_models(sort="parameters").models]
    assert sizes == sorted(sizes)  # those that nobody has counted come last
    best = [row.top1 or 0 for row in nexus.describe_models(sort="top1").models]
    assert best == sorted(best, reverse=True)
    _, said, _ = command("models", "*net*", "--sort", "gflops")
    assert "[" not in said
    assert said.splitlines()[1].split()[0] == rows[0].name


def test_what_nobody_has_counted_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus.assets.load_counts", dict)
    listed = nexus.describe_models("resnet18")
    assert listed.models[0].parameters is None
    assert listed.lines()[2].split()[:4] == ["resnet18", "-", "-", "224"]
    assert nexus.show_model("resnet18").parameters == 11_689_512  # a card counts


def test_a_card_counts_parameters(command: Command) -> None:
    card = nexus.show_model("dinov2_vits14")
    assert card.parameters == 22_056_576  # 22,056,192 of the encoder and 384 of the mask token
    assert card.license == "Apache-2.0"
    assert {source["kind"] for source in card.weights} >= {"huggingface", "package"}
    code, said, _ = command("models", "show", "dinov2_vits14", "--json")
    assert code == 0
    assert json.loads(said)["config"]["patch_size"] == 14
    _, said, _ = command("models", "show", "dinov2_vits14")
    assert "22,056,576" in said
    assert max(map(len, said.splitlines())) <= 120
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "LAYER TYPE OUTPUT PARAMETERS GFLOPS" in lines
    assert "blocks.0-11 Block x12 257x384 21,302,784 6.07" in lines
    assert lines.count("archivePrefix = {arXiv},") == 2
    assert lines[lines.index("CITE") + 1] == "@misc{oquab2023dinov2,"


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("dinov2_vits14", "Apache-2.0"),
        ("resnet50", "as the model's page says; the download records it"),
        ("mobilenet_v2.tv_in1k", "the sources state none"),
        ("hivit_tiny", "there are no weights"),
    ],
)
def test_a_card_says_what_is_known_of_the_licence(name: str, licence: str) -> None:
    assert nexus.show_model(name).lines()[7].split(maxsplit=1) == ["licence", licence]


def test_a_misspelt_name_gives_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'dinov2_vits14'"):
        nexus.show_model("dinov2_vits41")


def test_a_licence_is_accepted_on_the_command_line(
    command: Command, folder: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((Path(model) / "config.json").read_text())
    variant = registry.Variant(
        name="tiny",
        family="dinov2",
        class_name="DINOv2",
        config=config["config"],
        preprocess=config["preprocess"],
        weights=({"kind": "url", "url": (Path(model) / "model.safetensors").as_uri()},),
        license="CC-BY-NC-4.0",
    )
    monkeypatch.setattr(registry, "variant", lambda _: variant)
    words = ("similarity", folder / "alpaca.jpg", folder / "giraffe.jpg", "--model", "tiny", "--engine", "eager")
    code, out, error = command(*words)
    assert (code, out) == (1, "")
    assert error.startswith("nexus: tiny is under CC-BY-NC-4.0 (no commercial use)")
    assert "--accept-license" in error
    code, out, error = command(*words, "--accept-license")
    assert code == 0
    assert "You accepted it" in error
    assert command(*words)[0] == 0
