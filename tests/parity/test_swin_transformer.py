"""Swin Transformers give what transformers, timm, torchvision and the authors' own code give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_swin import GROWN, IMAGES, TINY, tiny
from safetensors.torch import load_file
from transformers import (
    SwinConfig,
    SwinForImageClassification,
    SwinModel,
    Swinv2Config,
    Swinv2ForImageClassification,
    Swinv2Model,
)

from nexus.errors import ConfigError
from nexus.models.base import NexusModule
from nexus.models.cv import SwinTransformer, SwinTransformerV2
from nexus.models.loading import load_converted, load_model

GOLDEN = load_file(Path(__file__).parent / "golden" / "swin_transformer_outputs.safetensors")

SMALL: dict[str, Any] = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4, "image_size": 32}
LARGER: dict[str, Any] = {"embed_dim": 24, "depths": [1, 2, 3], "num_heads": [2, 3, 6], "window_size": 3}
SIZES = [(64, 64), (50, 77)]
"""Whole windows, and padding everywhere."""

# -- transformers ------------------------------------------------------------------------------------------------------


def assert_equal_stages(model: NexusModule, theirs: Any, images: torch.Tensor) -> None:
    """Compare final tokens, and the map and the last attention weights of every stage."""
    expected = theirs(images, output_hidden_states=True, output_attentions=True)
    found = model(images, output_attentions=True)
    torch.testing.assert_close(found["tokens"], expected.last_hidden_state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["embeddings"], expected.pooler_output, atol=1e-5, rtol=1e-5)
    maps, last = stage_ends(model, found["features"]), stage_ends(model, found["attentions"])
    # theirs are behind the merge, so ours are merged too; the stage behind which none comes is as it is
    for stage, state in enumerate(expected.reshaped_hidden_states[1:]):
        ours = maps[stage]
        if stage < len(model.merges):
            ours = model.merges[stage](ours.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        torch.testing.assert_close(ours, state, atol=1e-5, rtol=1e-5)
    for ours, weights in zip(last, expected.attentions, strict=True):
        torch.testing.assert_close(ours, weights, atol=1e-5, rtol=1e-5)


def stage_ends(model: NexusModule, per_block: list[torch.Tensor]) -> list[torch.Tensor]:
    """Of one thing per block, those of the last block of each stage."""
    ends = torch.tensor(model.config.depths).cumsum(0) - 1
    return [per_block[end] for end in ends.tolist()]


@pytest.mark.parametrize(
    ("changes", "one_window"), [(SMALL, 32), ({**LARGER, "qkv_bias": False, "mlp_ratio": 2.0}, 48)]
)
@pytest.mark.parametrize("size", [*SIZES, None])
@torch.no_grad()
def test_equals_transformers(
    changes: dict[str, Any], one_window: int, size: tuple[int, int] | None, tmp_path: Path
) -> None:
    """Also where the last stage is one window high, and two wide: then it does not shift."""
    size = size or (one_window, 2 * one_window)
    theirs = randomised(SwinModel(SwinConfig(**changes, attn_implementation="eager")))
    assert_equal_stages(through_folder(theirs, tmp_path), theirs, torch.randn(3, 3, *size))


@pytest.mark.parametrize("size", [*SIZES, (32, 64)])
@pytest.mark.parametrize(
    "changes",
    [
        {**SMALL, "pretrained_window_sizes": [3, 2]},
        {**LARGER, "qkv_bias": False, "image_size": 48},
        {**SMALL, "window_size": 6},  # more than the last stage has
    ],
)
@torch.no_grad()
def test_v2_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(Swinv2Model(Swinv2Config(**changes)))
    model = through_folder(theirs, tmp_path)
    assert isinstance(model, SwinTransformerV2)
    images = torch.randn(3, 3, *size)
    assert_equal_stages(model, theirs, images)


@pytest.mark.parametrize(
    ("config_class", "model_class"),
    [(SwinConfig, SwinForImageClassification), (Swinv2Config, Swinv2ForImageClassification)],
)
@torch.no_grad()
def test_classifier_equals_transformers(config_class: Any, model_class: Any, tmp_path: Path) -> None:
    names = {index: f"class {index}" for index in range(7)}
    theirs = randomised(model_class(config_class(**SMALL, num_labels=7, id2label=names)))
    model = through_folder(theirs, tmp_path, max_shard_size="40KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    for size in SIZES[:2]:
        images = torch.randn(2, 3, *size)
        torch.testing.assert_close(model(images)["logits"], theirs(images).logits, atol=1e-5, rtol=1e-5)
    assert model.labels == tuple(names.values())


@torch.no_grad()
def test_keys_in_memory_are_read_too(tmp_path: Path) -> None:
    """transformers 5 names tensors in memory otherwise than in its files; people save both."""
    theirs = randomised(SwinModel(SwinConfig(**SMALL)))
    from_file = through_folder(theirs, tmp_path)
    from_memory = load_converted(SwinTransformer(from_file.config), theirs.state_dict(), "swin_transformer", "memory")
    assert from_memory.digest() == from_file.digest()


def test_what_cannot_be_translated_is_named(tmp_path: Path) -> None:
    SwinModel(SwinConfig(**SMALL, use_absolute_embeddings=True)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"use_absolute_embeddings = True in config\.json is not supported"):
        load_model(tmp_path)


# -- golden files of `golden/make_swin.py` -----------------------------------------------------------------------------


def from_formula(library: str, name: str, v2: bool = False, **changes: Any) -> NexusModule:
    """Our model with the weights that the generator gave the other one, through the converter."""
    state = formula_state(read_keys("swin_transformer")[library][tiny(name, v2)])
    config = {"window_size": 4, "image_size": None, **TINY[name], **changes}
    model = SwinTransformerV2(config) if v2 else SwinTransformer(config)
    return load_converted(model, state, "swin_transformer", library).eval()


@pytest.mark.parametrize(
    ("library", "label"), [("timm", "even"), ("microsoft", "even"), *(("torchvision", label) for label in IMAGES)]
)
@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_equals_golden(library: str, name: str, v2: bool, label: str) -> None:
    found = from_formula(library, name, v2)(formula_images(IMAGES[label]))["logits"]
    torch.testing.assert_close(found, GOLDEN[f"{library}.{tiny(name, v2)}.{label}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("v2", [False, True])
@torch.no_grad()
def test_windows_laid_out_for_a_size_equal_timm(v2: bool) -> None:
    """The second stage is one window at 32 pixels, so it does not shift for larger images either."""
    expected, images = GOLDEN[f"timm.{tiny('small', v2)}.one_window"], formula_images(IMAGES["wide"])
    found = from_formula("timm", "small", v2, image_size=32)(images)["logits"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(from_formula("timm", "small", v2)(images)["logits"], expected, atol=1e-3)


@pytest.mark.parametrize("library", ["timm", "microsoft"])
@torch.no_grad()
def test_windows_grown_after_pre_training_equal_golden(library: str) -> None:
    images = formula_images(IMAGES["even"])
    model = from_formula(library, "small", v2=True, image_size=64, pretrained_window_sizes=GROWN)
    found = model(images)["logits"]
    torch.testing.assert_close(found, GOLDEN[f"{library}.small_v2.grown"], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(from_formula(library, "small", v2=True)(images)["logits"], found, atol=1e-3)
