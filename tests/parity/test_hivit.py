"""HiViT gives what the authors' code gives from the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys
from golden.make_hivit import SMALL
from safetensors.torch import load_file
from torch import Tensor

from nexus.models.cv import HiViT
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "hivit_outputs.safetensors")


def ours(name: str) -> HiViT:
    values = SMALL[name]
    config = {key: values[key] for key in ("embed_dim", "depths", "num_heads")}
    model = HiViT(
        {**config, "image_size": values["img_size"], "relative_positions": values.get("rpe", True), "num_classes": 7}
    )
    state = formula_state(read_keys("hivit")["small"][name])
    return load_converted(model, state, "hivit", name).eval()  # type: ignore[return-value]


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_equals_the_authors(name: str) -> None:
    side = SMALL[name]["img_size"]
    found = ours(name)(formula_images((side, side)))
    close(found["tokens"], GOLDEN[f"{name}.tokens"])
    close(found["logits"], GOLDEN[f"{name}.logits"])


@torch.no_grad()
def test_an_openly_computed_attention_equals_the_fused_one() -> None:
    model, images = ours("square"), torch.randn(2, 3, 48, 96)
    plain, found = model(images), model(images, output_attentions=True)
    close(found["logits"], plain["logits"])
    assert [tuple(weights.shape) for weights in found["attentions"]] == [(2, 3, 18, 18)] * 2


@torch.no_grad()
def test_another_grid_reads_the_same_biases_where_it_has_the_same_offsets() -> None:
    """On a picture of the stored size, resampling changes nothing; a wider one bends the table, and no more."""
    attention = ours("square").main[0].attn
    table = attention.relative_position_bias_table
    bias = attention.bias((4, 4))
    for query, key in ((0, 0), (5, 2), (15, 0)):
        down, right = query // 4 - key // 4, query % 4 - key % 4
        close(bias[0, :, query, key], table[(down + 3) * 7 + right + 3])
    assert attention.bias((3, 6)).shape == (1, 3, 18, 18)
