from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nexus import registry
from nexus.errors import (
    CheckpointMismatchError,
    ConfigError,
    NexusError,
    OfflineError,
    UnknownNameError,
    WeightsError,
)
from nexus.layers import ClassifierHead, HeadConfig, build_head
from nexus.models import NexusModule
from nexus.models.cv import DINOv2, VisionTransformer
from nexus.models.loading import load_model, save_model
from nexus.transforms.preprocess import PreprocessSpec

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_model(DINOv2(TINY), tmp_path / "model")


def rewrite(folder: Path, **changes: Any) -> None:
    described = {**json.loads((folder / "config.json").read_text()), **changes}
    (folder / "config.json").write_text(json.dumps({key: value for key, value in described.items() if value != "gone"}))


def test_the_folder_says_what_it_is(folder: Path) -> None:
    described = json.loads((folder / "config.json").read_text())
    assert described["nexus_format"] == 1
    assert described["class"] == "DINOv2"
    assert described["config"]["embed_dim"] == 16


def test_another_class_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds a DINOv2, not a VisionTransformer; use nexus\.load"):
        VisionTransformer.from_pretrained(folder)
    assert isinstance(NexusModule.from_pretrained(folder), DINOv2)


def test_weights_beside_a_folder_are_refused(folder: Path) -> None:
    for source in (str(folder), "someone/something"):
        with pytest.raises(ConfigError, match=r"comes with weights; leave out weights='other\.safetensors'"):
            load_model(source, weights="other.safetensors")


def test_a_newer_format_is_refused(folder: Path) -> None:
    rewrite(folder, nexus_format=99)
    with pytest.raises(
        ConfigError, match=r"has format 99, this nexus reads up to 1: pip install --upgrade nexus-vision"
    ):
        load_model(folder)


def test_damaged_folders_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"is not a model folder: it has no config\.json"):
        load_model(tmp_path)
    rewrite(folder, preprocess="gone", labels="gone")
    with pytest.raises(ConfigError, match=r"config\.json lacks labels, preprocess"):
        load_model(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(WeightsError, match="holds a list, not a JSON object"):
        load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_model(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="neither 'nexus_format' nor 'model_type'"):
        load_model(folder)


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    rewrite(folder, config={**TINY, "num_layers": 1})
    with pytest.raises(CheckpointMismatchError, match=r"unexpected: blocks\.1\.norm1\.weight"):
        load_model(folder)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"model_type": "dinov9"}, "no family has the Hugging Face model_type 'dinov9'"),
        ({"model_type": "dinov2", "image_size": 28}, r"config\.json of a DINOv2 lacks 'patch_size'"),
    ],
)
def test_unknown_huggingface_folders_are_named(tmp_path: Path, described: dict[str, Any], message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises((UnknownNameError, ConfigError), match=message):
        load_model(tmp_path)


def test_a_file_needs_the_name_of_its_model(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a file, which does not say what model it is of"):
        load_model(folder / "model.safetensors")


def test_saving_leaves_the_old_file_when_it_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / "model.safetensors").read_bytes()

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(DINOv2(TINY), folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_loading_gives_trainable_weights_of_their_own(folder: Path) -> None:
    model = load_model(folder)
    assert not model.training
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in model.parameters())
    with torch.no_grad():
        model.get_parameter("cls_token").fill_(1)
    assert load_model(folder).get_parameter("cls_token").max() < 1


def test_half_precision_files_are_read_as_float(tmp_path: Path) -> None:
    model = DINOv2(TINY)
    folder = save_model(model.bfloat16(), tmp_path)
    loaded = load_model(folder)
    assert loaded.get_parameter("norm.weight").dtype == torch.float32
    assert torch.equal(loaded.get_parameter("pos_embed"), model.pos_embed.float())


@torch.no_grad()
@pytest.mark.parametrize("model_class", [DINOv2, VisionTransformer])
def test_a_head_of_several_layers_is_restored(model_class: type[NexusModule], tmp_path: Path) -> None:
    model = model_class({**TINY, "num_classes": 5}).eval()
    config = HeadConfig(hidden=(12, 6), activation="gelu", dropout=0.3)
    model.head = build_head(model.head.in_features, 3, config)
    model.labels = ("a", "b", "c")
    folder, images = save_model(model, tmp_path), torch.randn(2, 3, 28, 28)
    described = json.loads((folder / "config.json").read_text())
    assert described["head"] == {"hidden": [12, 6], "activation": "gelu", "dropout": 0.3}
    assert described["config"]["num_classes"] == 3
    loaded = load_model(folder)
    assert isinstance(loaded.head, ClassifierHead)
    assert loaded.head.config == config
    assert loaded.labels == ("a", "b", "c")
    assert loaded.digest() == model.digest()
    torch.testing.assert_close(loaded(images)["logits"], model.eval()(images)["logits"])
    assert save_model(loaded, tmp_path / "again")


def test_a_linear_head_needs_no_words_of_its_own(folder: Path, tmp_path: Path) -> None:
    model = DINOv2(TINY)
    model.head = build_head(16, 4, HeadConfig())
    described = json.loads((save_model(model, tmp_path / "linear") / "config.json").read_text())
    assert "head" not in described
    assert described["config"]["num_classes"] == 4
    assert load_model(tmp_path / "linear").config.num_classes == 4


def test_a_damaged_head_is_named(folder: Path, tmp_path: Path) -> None:
    model = DINOv2(TINY)
    model.head = build_head(16, 4, HeadConfig(hidden=(8,)))
    saved = save_model(model, tmp_path / "deep")
    rewrite(saved, head={"hidden": [8], "norm": True})
    with pytest.raises(ConfigError, match="HeadConfig: unknown key 'norm'"):
        load_model(saved)
    rewrite(saved, head={"hidden": [7]})
    with pytest.raises(CheckpointMismatchError, match=r"head\.0\.weight is \(8, 16\), the model has \(7, 16\)"):
        load_model(saved)
    rewrite(folder, head={"hidden": [8]})
    with pytest.raises(ConfigError, match=r"has a 'head' for a DINOv2 of no classes: was it changed by hand"):
        load_model(folder)


def test_other_heads_are_refused_with_the_remedy(tmp_path: Path) -> None:
    model = DINOv2(TINY)
    model.head = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ConfigError, match=r"head is a Sequential; only a Linear.*nexus\.layers\.build_head"):
        save_model(model, tmp_path)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_class_without_a_config_of_its_own_keeps_the_mapping() -> None:
    class Mine(NexusModule):
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(config)
            self.layer = nn.Linear(self.config["width"], 2)

    model = Mine({"width": 3})
    assert model.describe_config() == {"width": 3}
    assert model.load_tensors(model.state_dict(), "itself") is model


TIMM: dict[str, Any] = {
    "architecture": "vit_tiny_patch16_224",
    "num_classes": 10,
    "num_features": 192,
    "global_pool": "token",
    "label_names": [f"class {index}" for index in range(10)],
    "model_args": {"num_classes": 10, "in_chans": 3, "global_pool": "token", "img_size": [64, 64]},
    "pretrained_cfg": {
        "tag": "augreg_in21k",
        "input_size": [3, 64, 64],
        "fixed_input_size": True,
        "interpolation": "bicubic",
        "crop_pct": 0.9,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "num_classes": 10,
        "classifier": "head",
    },
}
"""What timm 1.0.31 writes beside a fine-tuned model (`save_for_hf`)."""


@torch.no_grad()
def test_a_folder_of_timm_s_is_loaded(tmp_path: Path) -> None:
    """Its config names an architecture; the sizes come from the variant that has it."""
    sizes = {"embed_dim": 192, "num_layers": 12, "num_heads": 3}
    theirs = registry.model_class("VisionTransformer")({**sizes, "image_size": 64, "num_classes": 10}).eval()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(TIMM))
    model, images = load_model(tmp_path), torch.randn(1, 3, 64, 64)
    assert torch.equal(model(images)["logits"], theirs(images)["logits"])
    assert model.labels == tuple(TIMM["label_names"])
    half = (0.5, 0.5, 0.5)
    assert model.preprocess == PreprocessSpec(resize=71, crop=(64, 64), mean=half, std=half)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "vit_tinny_patch16_224"}, r"did you mean 'vit_tiny_patch16_224'\?"),
        ({"architecture": "resnet50_clip"}, "no family has timm's architecture 'resnet50_clip'"),
        ({"pretrained_cfg": {**TIMM["pretrained_cfg"], "crop_mode": "border"}}, "crop_mode = 'border'"),
    ],
)
def test_what_cannot_be_read_of_timm_s_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    theirs = registry.model_class("VisionTransformer")(
        {"embed_dim": 192, "num_layers": 12, "num_heads": 3, "image_size": 64, "num_classes": 10}
    )
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**TIMM, **change}))
    with pytest.raises(NexusError, match=message):
        load_model(tmp_path)


def test_a_folder_that_is_not_there_is_named_before_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    with pytest.raises(OfflineError, match="there is no folder runs/nothing, and as a repository: "):
        load_model("runs/nothing")
