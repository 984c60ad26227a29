"""ViT gives what transformers and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import assert_equal_encoders, randomised, through_folder
from golden.formula import formula_images, formula_state
from golden.make_vit import flax_state
from safetensors.torch import load_file
from transformers import ViTConfig, ViTForImageClassification, ViTModel

from nexus.errors import ConfigError
from nexus.hub import read_tensors
from nexus.models.cv import VisionTransformer
from nexus.models.loading import load_converted, load_model
from nexus.transforms.preprocess import PreprocessSpec

GOLDEN = load_file(Path(__file__).parent / "golden" / "vit_outputs.safetensors")

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "image_size": 32,
    "patch_size": 8,
}
LARGER: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "image_size": 48,
    "patch_size": 16,
}
TINY: dict[str, Any] = {"image_size": 64, "num_classes": 7, "embed_dim": 48, "num_layers": 2, "num_heads": 3}


@pytest.mark.parametrize("size", [(32, 32), (48, 48), (80, 32)])
@pytest.mark.parametrize("changes", [SMALL, LARGER, {**SMALL, "qkv_bias": False}])
@torch.no_grad()
def test_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(ViTModel(ViTConfig(**changes, attn_implementation="eager")))
    model, images = through_folder(theirs, tmp_path), torch.randn(3, 3, *size)
    assert_equal_encoders(model, theirs, images, prefix=1, interpolate_pos_encoding=True)


@torch.no_grad()
def test_classifier_equals_transformers(tmp_path: Path) -> None:
    names = {index: f"class {index}" for index in range(7)}
    theirs = randomised(ViTForImageClassification(ViTConfig(**SMALL, num_labels=7, id2label=names)))
    model = through_folder(theirs, tmp_path, max_shard_size="40KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    for size in ((32, 32), (48, 64)):
        images = torch.randn(2, 3, *size)
        expected = theirs(images, interpolate_pos_encoding=True).logits
        torch.testing.assert_close(model(images)["logits"], expected, atol=1e-5, rtol=1e-5)
    assert model.labels == tuple(names.values())


@torch.no_grad()
def test_two_classes_are_a_classifier_too(tmp_path: Path) -> None:
    """transformers writes neither their number nor their names."""
    theirs = randomised(ViTForImageClassification(ViTConfig(**SMALL)))
    model, images = through_folder(theirs, tmp_path), torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(images)["logits"], theirs(images).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_keys_in_memory_are_read_too(tmp_path: Path) -> None:
    theirs = randomised(ViTModel(ViTConfig(**SMALL)))
    from_file = through_folder(theirs, tmp_path)
    from_memory = load_converted(VisionTransformer(from_file.config), theirs.state_dict(), "vit", "memory")
    assert from_memory.digest() == from_file.digest()


def test_processor_of_a_folder_becomes_the_spec(tmp_path: Path) -> None:
    from transformers import ViTImageProcessorPil

    ViTImageProcessorPil().save_pretrained(tmp_path)
    ViTModel(ViTConfig(**SMALL)).save_pretrained(tmp_path)
    half = (0.5, 0.5, 0.5)
    expected = PreprocessSpec(resize=(224, 224), crop=None, interpolation="bilinear", mean=half, std=half)
    assert load_model(tmp_path).preprocess == expected


def test_what_cannot_be_translated_is_named(tmp_path: Path) -> None:
    ViTModel(ViTConfig(**{**SMALL, "hidden_act": "relu"})).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"hidden_act = 'relu' in config\.json is not supported; only 'gelu' is"):
        load_model(tmp_path)


@torch.no_grad()
def test_equals_timm() -> None:
    model = VisionTransformer(TINY)
    state = formula_state(
        {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    )  # timm's names are ours
    model = load_converted(model, state, "vit", "timm").eval()  # type: ignore[assignment]
    found = model(formula_images((64, 64)))["logits"]
    torch.testing.assert_close(found, GOLDEN["timm.vit_small_patch16_224"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_authors_files_are_read_as_timm_reads_them(tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "flax.npz", **{key: tensor.numpy() for key, tensor in flax_state(48, 2, 3, 16, 4, 7).items()})
    state = read_tensors(tmp_path / "flax.npz")
    model = load_converted(VisionTransformer(TINY), state, "vit", "flax.npz").eval()
    torch.testing.assert_close(model(formula_images((64, 64)))["logits"], GOLDEN["flax"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_mean_pooling_reads_the_final_patch_tokens() -> None:
    model = VisionTransformer({**TINY, "pool": "mean"}).eval()
    found = model(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(found["embeddings"], found["tokens"].mean(1))
    torch.testing.assert_close(found["logits"], model.head(found["tokens"].mean(1)))
