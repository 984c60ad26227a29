"""InternVL gives what transformers and the authors' code give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_internvl import TEXT, TEXTS, TOWER
from safetensors.torch import load_file
from torch import Tensor
from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig, InternVLVisionModel

from nexus.errors import ConfigError, InputError
from nexus.models.base import NexusModule
from nexus.models.cv import InternVL
from nexus.models.loading import load_converted, load_model

GOLDEN = load_file(Path(__file__).parent / "golden" / "intern_vl_outputs.safetensors")

SMALL: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "image_size": 56,
    "patch_size": 14,
    "layer_scale_init_value": 1.0,
}
LARGE: dict[str, Any] = {**SMALL, "norm_type": "rms_norm", "use_qk_norm": True, "attention_bias": False}
BIASED: dict[str, Any] = {**SMALL, "num_hidden_layers": 3, "attention_bias": True, "use_mean_pooling": False}

PAIR: dict[str, Any] = {
    "image": {
        "image_size": 56,
        "embed_dim": 48,
        "num_layers": 2,
        "num_heads": 3,
        "norm": "rms_norm",
        "qkv_bias": False,
        "qk_norm": True,
        "pool": "attention",
        "pool_heads": 4,
        "projection_dim": 16,
    },
    "text": {"vocab_size": 50, "embed_dim": 32, "hidden_dim": 48, "num_layers": 3, "num_heads": 4},
}


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(56, 56), (28, 70)])
@pytest.mark.parametrize("changes", [SMALL, LARGE, BIASED])
@torch.no_grad()
def test_the_tower_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(InternVLVisionModel(InternVLVisionConfig(**changes, attn_implementation="eager")))
    model, images = through_folder(theirs, tmp_path), torch.randn(3, 3, *size)
    expected = theirs(images, output_hidden_states=True, output_attentions=True)
    found = model(images, output_attentions=True)
    close(found["embeddings"], expected.last_hidden_state[:, 0])
    close(found["tokens"], expected.last_hidden_state[:, 1:])
    for ours, state in zip(found["features"], expected.hidden_states[1:], strict=True):
        close(ours.flatten(2).transpose(1, 2), state[:, 1:])
    for ours, weights in zip(found["attentions"], expected.attentions, strict=True):
        close(ours, weights)


@torch.no_grad()
def test_the_projector_equals_transformers(tmp_path: Path) -> None:
    """The tower of a chat model's folder, with the tokens that its language model would read."""
    text = {"model_type": "qwen2", "hidden_size": 40, "num_hidden_layers": 1, "num_attention_heads": 4}
    sizes = {"num_key_value_heads": 2, "intermediate_size": 32, "vocab_size": 20}
    described = InternVLConfig(vision_config=SMALL, text_config={**text, **sizes}, image_token_id=3)
    theirs = randomised(InternVLForConditionalGeneration(described))
    model, images = through_folder(theirs, tmp_path), torch.randn(2, 3, 56, 56)
    expected = theirs.model.get_image_features(images).pooler_output
    assert expected.shape == (2, 4, 40)
    close(model(images)["aux"]["visual_tokens"], expected)
    with pytest.raises(InputError, match="a grid of 3x4 patches"):
        model(torch.randn(1, 3, 42, 56))


@pytest.mark.parametrize(("name", "queries"), [("c", 0), ("g", 96), ("g", 0)])
@torch.no_grad()
def test_the_pair_equals_the_authors(name: str, queries: int) -> None:
    model = load_converted(InternVL({**PAIR, "num_queries": queries}), small_state(name), "intern_vl", name).eval()
    found = model(formula_images((56, 56)), torch.tensor(TEXTS))
    close(found["embeddings"], GOLDEN[f"{name}.image"])
    close(found["text_embeddings"], GOLDEN[f"{name}.text"])
    close(found["logits"], GOLDEN[f"{name}.logits"])
    if queries:
        close(model.fuse(formula_images((56, 56))), GOLDEN["g.fused"])
    else:
        with pytest.raises(ConfigError, match="InternVL-C only"):
            model.fuse(formula_images((56, 56)))


@torch.no_grad()
def test_the_authors_folder_is_read(tmp_path: Path) -> None:
    import json

    from safetensors.torch import save_file

    described = {
        "model_type": "internvl",
        "vision_config": {**AUTHORS_TOWER, **TOWER},
        "qllama_config": {**TEXT, "hidden_act": "silu"},
        "clip_embed_dim": 16,
        "attn_pool_num_heads": 4,
        "num_query_token": 96,
    }
    (tmp_path / "config.json").write_text(json.dumps(described))
    save_file(small_state("g"), tmp_path / "model.safetensors")
    model: NexusModule = load_model(tmp_path)
    assert isinstance(model, InternVL)
    close(model.fuse(formula_images((56, 56))), GOLDEN["g.fused"])


AUTHORS_TOWER: dict[str, Any] = {
    "num_channels": 3,
    "qkv_bias": False,
    "qk_normalization": True,
    "initializer_factor": 0.1,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "layer_norm_eps": 1e-6,
}


def small_state(name: str) -> dict[str, Tensor]:
    return formula_state(read_keys("intern_vl")["small"][name])
