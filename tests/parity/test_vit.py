"""ViT, MAE and I-JEPA give what transformers, timm and the authors of I-JEPA give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import assert_equal_encoders, randomised, through_folder
from golden.formula import formula_images, formula_state
from golden.make_vit import flax_state
from safetensors.torch import load_file
from transformers import (
    IJepaConfig,
    IJepaForImageClassification,
    IJepaModel,
    ViTConfig,
    ViTForImageClassification,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTMAEModel,
    ViTModel,
)

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


@pytest.mark.parametrize("size", [(32, 32), (80, 32)])
@pytest.mark.parametrize("changes", [SMALL, LARGER])
@torch.no_grad()
def test_mae_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(ViTMAEModel(ViTMAEConfig(**changes, mask_ratio=0.0, attn_implementation="eager")))
    model, images = through_folder(theirs, tmp_path), torch.randn(3, 3, *size)
    count = size[0] * size[1] // changes["patch_size"] ** 2
    in_order = torch.arange(count).expand(3, -1)  # of the noise by which patches are shuffled
    assert_equal_encoders(model, theirs, images, prefix=1, interpolate_pos_encoding=True, noise=in_order)


@torch.no_grad()
def test_the_decoder_of_mae_is_left_out(tmp_path: Path) -> None:
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 32}
    theirs = randomised(ViTMAEForPreTraining(ViTMAEConfig(**SMALL, **decoder, decoder_num_attention_heads=2)))
    model = through_folder(theirs, tmp_path)
    authors = model.state_dict() | {
        "mask_token": torch.zeros(1, 1, 16),
        "decoder_blocks.0.norm1.weight": torch.ones(16),
    }
    assert load_converted(VisionTransformer(model.config), authors, "vit", "the file").digest() == model.digest()


@pytest.mark.parametrize("size", [(32, 32), (80, 32)])
@pytest.mark.parametrize("changes", [SMALL, LARGER])
@torch.no_grad()
def test_ijepa_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(IJepaModel(IJepaConfig(**changes, attn_implementation="eager")))
    model, images = through_folder(theirs, tmp_path), torch.randn(3, 3, *size)
    expected = theirs(images, output_hidden_states=True, interpolate_pos_encoding=True)
    found = model(images)
    torch.testing.assert_close(found["tokens"], expected.last_hidden_state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["embeddings"], expected.last_hidden_state.mean(1), atol=1e-5, rtol=1e-5)
    for ours, state in zip(found["features"], expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours.flatten(2).transpose(1, 2), state, atol=1e-5, rtol=1e-5)
    assert "aux" not in found


@torch.no_grad()
def test_ijepa_classifier_equals_transformers(tmp_path: Path) -> None:
    theirs = randomised(IJepaForImageClassification(IJepaConfig(**SMALL, num_labels=7)))
    model, images = through_folder(theirs, tmp_path), torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(images)["logits"], theirs(images).logits, atol=1e-5, rtol=1e-5)


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'pool = "cls" needs class_token = True'):
        VisionTransformer({**TINY, "class_token": False})


# -- golden files of `golden/make_vit.py` ------------------------------------------------------------------------------


def from_formula(prefix: str = "", renamed: tuple[str, str] = ("", ""), **changes: Any) -> VisionTransformer:
    """A model with the weights of the formula, which lie under timm's names."""
    model = VisionTransformer({**TINY, **changes})
    shapes = {key.replace(*renamed): tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    state = {prefix + key: tensor for key, tensor in formula_state(shapes).items()}
    return load_converted(model, state, "vit", "the formula").eval()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("pool", "model"),
    [
        ("cls", {}),
        ("mean", {"class_token": False}),
        ("mean_norm", {"renamed": ("norm.", "fc_norm.")}),
    ],
)
@torch.no_grad()
def test_equals_timm(pool: str, model: dict[str, Any]) -> None:
    found = from_formula(pool=pool, **model)(formula_images((64, 64)))["logits"]
    torch.testing.assert_close(found, GOLDEN[f"timm.{pool}"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_equals_the_authors_of_ijepa() -> None:
    model = from_formula("module.", num_classes=0, class_token=False, pool="mean")
    found = model(formula_images((64, 64)))["tokens"]
    torch.testing.assert_close(found, GOLDEN["ijepa"], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_authors_files_are_read_as_timm_reads_them(tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "flax.npz", **{key: tensor.numpy() for key, tensor in flax_state(48, 2, 3, 16, 4, 7).items()})
    state = read_tensors(tmp_path / "flax.npz")
    model = load_converted(VisionTransformer(TINY), state, "vit", "flax.npz").eval()
    torch.testing.assert_close(model(formula_images((64, 64)))["logits"], GOLDEN["flax"], atol=1e-5, rtol=1e-5)
