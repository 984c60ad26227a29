"""Recommendations come from the data, with their sources, and say what nexus does not have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, get_args

import pytest

import nexus
from nexus import registry
from nexus.commands._selection import Purpose, load_selection
from nexus.errors import ConfigError
from nexus.results import ModelRow, Suggestions

Command = Callable[..., tuple[int, str, str]]
GUIDE = load_selection()


CLASSES = {
    "vit": "VisionTransformer",
    "swin": "SwinTransformer",
    "clip": "CLIP",
    "siglip": "SigLIP",
    "dinov2": "DINOv2",
}


def named(advice: Suggestions) -> list[str]:
    return [one.name for one in advice.models]


def row(name: str, **values: Any) -> ModelRow:
    standard = {
        "family": name.partition("_")[0],
        "class_name": CLASSES[name.partition("_")[0]],
        "tasks": ("embed", "classify"),
        "parameters": 10,
        "gflops": 1.0,
        "input_size": (224, 224),
        "labels": "imagenet_1k",
        "license": "MIT",
        "score": None,
        "sources": ("huggingface",),
    }
    return ModelRow(name=name, **{**standard, **values})


# -- the data ----------------------------------------------------------------------------------------------------------


def test_every_statement_has_a_source_and_names_known_models() -> None:
    for one in GUIDE.rows:
        assert one.says
        assert one.section
        assert one.document in GUIDE.documents
        assert {*one.best, *one.also} <= set(GUIDE.models)
        assert one.approach is None or one.approach in GUIDE.approaches
    assert {model.kind for model in GUIDE.models.values()} - {None} <= set(GUIDE.models)


def test_every_wish_has_an_answer() -> None:
    assert {one.when.task for one in GUIDE.rows} >= set(get_args(Purpose))
    for images in (0, 1, 9, 10, 100, 101, 999, 1000, 10_000, 99_999, 100_000, 10**9):
        approaches = {
            one.approach for one in GUIDE.rows if one.when.images and one.when.holds("x", images, frozenset())
        }
        assert len(approaches) == 1, images


@pytest.mark.parametrize("name", GUIDE.models)
def test_a_model_that_nexus_has_is_found_by_its_names(name: str) -> None:
    """A family may come with other names than were foreseen; then the patterns have to follow."""
    model = GUIDE.models[name]
    classes = {one for family in registry.families().values() for one in family.classes}
    matching = [variant for pattern in model.variants for variant in registry.list_models(pattern)]
    matching = [variant for variant in matching if registry.variant(variant).class_name in model.classes]
    assert bool(matching) == bool(classes & set(model.classes)), f"{name}: {model.variants} in selection.json"
    assert model.usual is None or not matching or model.usual in matching


def test_commands_to_start_with_are_commands() -> None:
    from nexus.commands import VERBS

    runs = [*GUIDE.runs.values(), *(one.run for one in GUIDE.approaches.values() if one.run)]
    for run in runs:
        _, verb, *rest = run.split()
        assert verb in VERBS
        options = {word.removeprefix("--") for word in rest if word.startswith("--")}
        assert options <= set(getattr(nexus, verb).Config.model_fields)


# -- the answers -------------------------------------------------------------------------------------------------------


def test_few_pictures_on_a_small_device() -> None:
    advice = nexus.recommend_models("classify", images=50, edge=True)
    first = advice.models[0]
    assert first.name == "EfficientNet"
    assert first.model is not None
    assert first.model.gflops == min(one.gflops for one in nexus.describe_models("efficientnet_*").models if one.gflops)
    assert [quote.says for quote in first.reasons] == [
        "Image Classification: DINOv2, ViT, Swin; alternatives: EfficientNet, ResNet",
        "Mobile deployment: EfficientNet. Optimized for edge",
        "EfficientNet for edge deployment",
    ]
    assert first.reasons[1].section == "Model Selection Matrix, By Constraints"
    assert named(advice)[1:4] == ["MobileNet", "MobileViT", "DINOv2"]
    assert advice.run == (f"nexus classify PHOTOS --examples EXAMPLES --method probe --model {first.model.name}")


def test_few_pictures() -> None:
    advice = nexus.recommend_models(images=50)
    assert advice.models[0].model is not None
    assert advice.models[0].model.name == "dinov2_vitb14"  # what the documents take
    assert advice.approach_reasons[0].says == "10-100 samples: Few-shot transfer. DINOv2 + linear probe"
    assert not advice.notes


def test_more_pictures_ask_for_other_models() -> None:
    assert named(nexus.recommend_models(images=5000))[0] == "ViT"
    assert "Any architecture" in nexus.recommend_models(images=10**6).approach_reasons[0].says


def test_no_pictures_are_told_apart_by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("clip_x", tasks=("embed", "zero-shot")), row("siglip_image", tasks=("embed",)), row("dinov2_x")]
    monkeypatch.setattr("nexus.commands.recommend_models.rows_of", lambda _: rows)
    advice = nexus.recommend_models("classify", images=0)
    assert named(advice) == ["CLIP", "DINOv2"]
    assert [one.name for one in advice.absent] == ["SigLIP"]  # only an image tower
    assert any("told apart by their names" in note for note in advice.notes)


def test_a_narrower_name_takes_the_place_of_the_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("swin_t"), row("swin_l", gflops=200), row("swin_l_22k", gflops=150), row("vit_x")]
    monkeypatch.setattr("nexus.commands.recommend_models.rows_of", lambda _: rows)
    advice = nexus.recommend_models("classify", accuracy=True)
    assert named(advice)[0] == "Swin-L"
    assert advice.models[0].model == rows[1]  # the largest, as not all have a score
    assert "Swin" not in named(advice)


def test_without_an_example_the_usual_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"vit_a": 5_000_000, "vit_b": 90_000_000, "vit_c": 600_000_000, "vit_d": None}
    rows = [row(name, parameters=size) for name, size in sizes.items()]
    monkeypatch.setattr("nexus.commands.recommend_models.rows_of", lambda _: rows)
    assert nexus.recommend_models("classify").models[0].model == rows[1]


def test_a_free_licence_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("vit_nc", license="CC-BY-NC-4.0", gflops=0.1), row("vit_free", gflops=2.0)]
    monkeypatch.setattr("nexus.commands.recommend_models.rows_of", lambda _: rows)
    assert nexus.recommend_models("classify", edge=True).models[0].model == rows[1]


def test_what_the_documents_leave_open_is_said() -> None:
    realtime = nexus.recommend_models("classify", realtime=True).notes
    assert any('"Real-time inference: YOLOv10, RT-DETR. >30 FPS"' in note for note in realtime)
    assert nexus.recommend_models(images=300).notes == (
        "The documents have no row for 300 pictures; the row for 10 to 100 is used.",
    )


def test_a_task_that_nexus_cannot_do_yet() -> None:
    advice = nexus.recommend_models("pose")
    assert not advice.models or "KeypointRCNN" in {one for f in registry.families().values() for one in f.classes}
    if not advice.models:
        assert "nexus has none of the models that the documents name for this yet." in advice.lines()
        assert advice.absent[0].name == "Keypoint R-CNN"


def test_only_licences_asked_for() -> None:
    for one in nexus.recommend_models("classify", license="commercial").models:
        assert one.model is not None
        assert one.model.license


def test_wrong_wishes_are_refused() -> None:
    with pytest.raises(ConfigError, match="images = -1"):
        nexus.recommend_models(images=-1)
    with pytest.raises(ConfigError, match="task = 'paint'"):
        nexus.recommend_models("paint")


@pytest.mark.parametrize("task", get_args(Purpose))
def test_on_the_command_line(command: Command, task: str) -> None:
    words = ("models", "recommend", "--task", task, "--images", "50", "--realtime", "--edge", "--accuracy")
    code, said, _ = command(*words)
    assert code == 0
    assert said.startswith(f"{task}, 50 labelled pictures, accuracy, edge, realtime\n")
    assert max(map(len, said.splitlines())) <= 110
    code, said, _ = command(*words, "--json")
    assert code == 0
    assert re.fullmatch(r"[a-z-]+", json.loads(said)["task"])
