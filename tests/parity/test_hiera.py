"""Hiera gives what transformers, timm and the authors' own code give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_hiera import LIBRARIES, MODELS
from safetensors.torch import load_file
from torch import Tensor
from transformers import HieraConfig, HieraForImageClassification, HieraForPreTraining, HieraModel

from nexus.errors import ConfigError
from nexus.models.cv import Hiera
from nexus.models.loading import load_converted, load_model

GOLDEN = load_file(Path(__file__).parent / "golden" / "hiera_outputs.safetensors")

SMALL: dict[str, Any] = {"embed_dim": 16, "depths": [1, 2, 1, 1], "image_size": [64, 64]}
LARGER: dict[str, Any] = {
    "embed_dim": 24,
    "depths": [2, 1, 2],
    "num_heads": [2, 4, 8],
    "image_size": [48, 48],
    "masked_unit_size": [4, 4],
    "masked_unit_attention": [True, False, False],
    "num_query_pool": 2,
    "mlp_ratio": 2.0,
}


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [SMALL, LARGER])
@torch.no_grad()
def test_equals_transformers(changes: dict[str, Any], tmp_path: Path) -> None:
    """The map of every stage too; their tokens have another order within, so attentions differ by it."""
    theirs = randomised(HieraModel(HieraConfig(**changes)))
    model, images = through_folder(theirs, tmp_path), torch.randn(3, 3, *changes["image_size"])
    expected = theirs(images, output_hidden_states=True)
    found = model(images)
    close(found["embeddings"], expected.pooler_output)
    for ours, state in zip(found["pyramid"].values(), expected.reshaped_hidden_states[1:], strict=True):
        close(ours, state.permute(0, 3, 1, 2))


@pytest.mark.parametrize("scale", [(2, 1), (2, 3)])
@pytest.mark.parametrize("changes", [SMALL, LARGER])
@torch.no_grad()
def test_equals_transformers_at_other_sizes(changes: dict[str, Any], scale: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(HieraModel(HieraConfig(**changes)))
    size = [side * times for side, times in zip(changes["image_size"], scale)]
    images = torch.randn(2, 3, *size)
    found = through_folder(theirs, tmp_path)(images)
    close(found["embeddings"], theirs(images, interpolate_pos_encoding=True).pooler_output)


@torch.no_grad()
def test_classifier_equals_transformers(tmp_path: Path) -> None:
    names = {index: f"class {index}" for index in range(7)}
    theirs = randomised(HieraForImageClassification(HieraConfig(**SMALL, num_labels=7, id2label=names)))
    model, images = through_folder(theirs, tmp_path, max_shard_size="40KB"), torch.randn(2, 3, 64, 64)
    close(model(images)["logits"], theirs(images).logits)
    assert model.labels == tuple(names.values())


@torch.no_grad()
def test_the_encoder_of_the_pre_training_loads(tmp_path: Path) -> None:
    decoder = {"decoder_hidden_size": 16, "decoder_depth": 1, "decoder_num_heads": 2}
    theirs = randomised(HieraForPreTraining(HieraConfig(**SMALL, **decoder, mask_ratio=0.0)))
    model, images = through_folder(theirs, tmp_path), torch.randn(2, 3, 64, 64)
    expected = theirs.hiera(images, output_hidden_states=True).last_hidden_state
    tokens = theirs.encoder_norm(expected.flatten(1, -2))
    close(model(images)["tokens"].mean(1), tokens.mean(1))


def test_what_cannot_be_translated_is_named(tmp_path: Path) -> None:
    HieraModel(HieraConfig(**{**SMALL, "num_query_pool": 2})).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"num_query_pool = 2 in config\.json is not supported; only 3 is"):
        load_model(tmp_path)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_equals_golden(library: str, name: str) -> None:
    """What timm's models and the authors' answered; made by `golden/make_hiera.py`."""
    values = MODELS[name]
    config = {
        "image_size": values["size"][0],
        "embed_dim": values["embed_dim"],
        "depths": values["stages"],
        "num_heads": [values["num_heads"] << stage for stage in range(4)],
        "num_classes": values["num_classes"],
    }
    state = formula_state(read_keys("hiera")[library][name])
    model = load_converted(Hiera(config), state, "hiera", library).eval()
    found, expected = model(formula_images(values["size"]))["logits"], GOLDEN[f"{library}.{name}"]
    # the authors' class gives probabilities outside of training
    close(found.softmax(-1) if library == "facebook" else found, expected)
