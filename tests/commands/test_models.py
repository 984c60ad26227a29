from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import nexus
from nexus import registry
from nexus.errors import UnknownNameError

Command = Callable[..., tuple[int, str, str]]


def test_models_are_listed_without_building_any(command: Command) -> None:
    listed = nexus.describe_models("dinov2*")
    assert [row.name for row in listed.models] == nexus.list_models("dinov2*")
    assert {row.input_size for row in listed.models} == {(224, 224)}
    code, said, _ = command("models", "efficientnet_lite*")
    assert code == 0
    assert said.splitlines()[1].split()[:3] == ["efficientnet_lite0", "efficient_net", "224x224"]
    with pytest.raises(UnknownNameError, match="no model matches 'dinosaur'"):
        nexus.describe_models("dinosaur")


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
    assert "arXiv" in said


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
