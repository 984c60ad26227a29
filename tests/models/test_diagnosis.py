"""A checkpoint that was taken for another one is named: its family, its size, its head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from family_references import full_size_states

from nexus import registry
from nexus.errors import CheckpointMismatchError, WeightsError
from nexus.models import NexusModule, diagnosis
from nexus.models.cv import DINOv2, VisionTransformer
from nexus.models.loading import build_on_meta, load_converted

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}


def published(name: str, library: str) -> dict[str, torch.Tensor]:
    """A checkpoint as a library writes it, without its numbers."""
    shapes = full_size_states(registry.variant(name))[library]
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def model(name: str, **changes: Any) -> NexusModule:
    variant = registry.variant(name)
    return build_on_meta(variant.class_name, {**variant.config, **changes})


def refusal(name: str, state: dict[str, torch.Tensor]) -> str:
    """What is said of a checkpoint that is loaded as a variant."""
    with pytest.raises(WeightsError) as caught:
        load_converted(model(name), state, registry.variant(name).family, "x.pt")
    return str(caught.value)


@pytest.mark.parametrize("library", ["transformers", "timm"])
def test_another_size_of_the_family(library: str) -> None:
    said = refusal("vit_base_patch16_224", published("vit_large_patch16_224", library))
    assert said.startswith(
        "x.pt does not fit VisionTransformer. It is of another size: embed_dim 1024 found, 768 expected, "
        "24 blocks found, 12 expected. It fits vit_large_patch16_224"
    )
    assert "nexus.load('vit_large_patch16_224', weights=PATH)" in said
    assert "unexpected: blocks.12.attn.proj.bias" in said


def test_another_depth() -> None:
    said = refusal("resnet50", published("resnet101", "timm"))
    assert "It is of another size: 33 blocks found, 16 expected. It fits resnet101" in said


@pytest.mark.parametrize(
    ("name", "library", "taken_for", "class_name"),
    [
        ("resnet50", "timm", "vit_base_patch16_224", "ResNet"),
        ("dinov2_vitb14", "timm", "vit_base_patch16_224", "DINOv2"),
        ("dinov2_vitb14", "transformers", "resnet50", "DINOv2"),
        ("efficientnet_b3", "torchvision", "resnet18", "EfficientNet"),
    ],
)
def test_another_family(name: str, library: str, taken_for: str, class_name: str) -> None:
    said = refusal(taken_for, published(name, library))
    assert f"It looks like a checkpoint of another family: {class_name}" in said
    assert f"nexus.load({name!r}, weights=PATH)" in said
    assert len(said.splitlines()) <= 2  # hundreds of keys would help nobody


def test_a_size_without_a_name() -> None:
    odd = model("vit_base_patch16_224", embed_dim=720, num_layers=7).state_dict()
    said = refusal("dinov2_vits14", odd)
    assert "It looks like a checkpoint of another family: " in said
    assert "VisionTransformer" in said
    assert "nexus.load" not in said
    said = refusal("vit_base_patch16_224", odd)
    assert "embed_dim 720 found, 768 expected, 7 blocks found, 12 expected." in said


def test_another_head() -> None:
    flowers = model("resnet50", num_classes=102).state_dict()
    assert "Only the head differs: 102 classes found, 1000 expected." in refusal("resnet50", flowers)
    bare = {key: tensor for key, tensor in flowers.items() if not key.startswith("head.")}
    assert "Only the head differs: no head found, 1000 expected." in refusal("resnet50", bare)


def test_what_nobody_knows_is_left_alone() -> None:
    said = refusal("resnet50", {"tower.weight": torch.zeros(2)})
    assert said.endswith("its first keys are tower.weight.")
    state = published("resnet50", "timm")
    del state["layer2.0.conv1.weight"]
    assert "Check that the checkpoint is of this family and size" in refusal("resnet50", state)


def test_a_converter_that_stumbles_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    from nexus.models.conversion import CheckpointFormat

    def stumble(state: Any, config: Any) -> Any:
        raise IndexError(state["tower.weight"].shape)

    formats = {"theirs": CheckpointFormat("tower.weight", stumble)}
    monkeypatch.setattr(registry.converter("resnet"), "FORMATS", formats)
    with pytest.raises(WeightsError, match=r"x\.pt has keys as in theirs checkpoints, but does not fit \(IndexError"):
        load_converted(model("resnet50"), {"tower.weight": torch.zeros(2)}, "resnet", "x.pt")


def test_a_file_of_another_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DINOv2(TINY).save_pretrained(tmp_path)
    variant = registry.Variant(name="tiny", family="vit", class_name="VisionTransformer", config=TINY)
    monkeypatch.setattr(registry, "variant", lambda _: variant)
    with pytest.raises(
        CheckpointMismatchError, match=r"safetensors does not fit VisionTransformer\. .*DINOv2"
    ) as caught:
        VisionTransformer.from_pretrained("tiny", weights=tmp_path / "model.safetensors")
    assert "blocks.0.ls1.gamma" in caught.value.unexpected


def test_nothing_is_found_out_when_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> WeightsError:
        raise AssertionError

    monkeypatch.setattr(diagnosis, "explain", never)
    load_converted(model("resnet50"), published("resnet50", "timm"), "resnet", "x.pt")
