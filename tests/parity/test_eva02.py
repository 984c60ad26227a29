"""EVA-02 gives what timm and the authors' code give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys
from golden.make_eva02 import MODELS, SIZES
from safetensors.torch import load_file
from torch import Tensor

from nexus.errors import ConfigError
from nexus.models.cv import EVA02
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "eva02_outputs.safetensors")
KEYS = read_keys("eva02")

SMALL: dict[str, Any] = {"image_size": 56, "num_classes": 7, "embed_dim": 48, "num_layers": 2, "num_heads": 3}


def small(library: str, name: str) -> EVA02:
    """A small model with the weights of the formula, which lie under a library's names."""
    model = EVA02({**SMALL, "sub_ln": name == "base"})
    state = formula_state(KEYS[library][f"small.{name}"])
    return load_converted(model, state, "eva02", library).eval()  # type: ignore[return-value]


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_equals_timm(name: str, size: tuple[int, int]) -> None:
    found, key = small("timm", name)(formula_images(size)), f"timm.{name}.{size[0]}x{size[1]}"
    close(found["logits"], GOLDEN[key])
    for index, feature in enumerate(found["features"]):
        close(feature, GOLDEN[f"{key}.{index}"])


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_equals_the_authors(name: str) -> None:
    found = small("baai", name)(formula_images((56, 56)))
    close(found["logits"], GOLDEN[f"baai.{name}"])
    close(found["tokens"], GOLDEN[f"baai.{name}.tokens"])


@torch.no_grad()
def test_attention_weights_are_those_that_are_used() -> None:
    model, images = EVA02({**SMALL, "num_layers": 1}).eval(), torch.randn(2, 3, 56, 42)
    seen = []
    attention = model.blocks[0].attn
    attention.proj.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    (weights,) = model(images, outputs=(), output_attentions=True)["attentions"]
    x, grid = model.embed(images)
    _, _, value = attention.project(model.blocks[0].norm1(x))
    close(seen[0], (weights @ value).transpose(1, 2).flatten(2))
    model(images, outputs=("embeddings",))  # by the fused kernel
    close(seen[1], seen[0])
    assert grid == (4, 3)


def test_a_head_that_cannot_be_turned_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"embed_dim = 54 is not a multiple of 4 \* num_heads = 12"):
        EVA02({**SMALL, "embed_dim": 54})
