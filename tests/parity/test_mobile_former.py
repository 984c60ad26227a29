"""Mobile-Former gives what the authors' code gives from the same weights."""

from __future__ import annotations

import math

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys, read_outputs
from golden.make_mobile_former import FORMULA, SIZES, SMALL, our_config
from torch import Tensor

from nexus.models.cv import MobileFormer
from nexus.models.cv.mobile_former.model import DynamicReLU, MobileFormerConfig, MobileToFormer
from nexus.models.loading import load_converted


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_equals_the_authors_code(name: str, size: str) -> None:
    """Made by `golden/make_mobile_former.py`; of every block, every fourth channel and every other position."""
    state = formula_state(read_keys("mobile_former")["authors"][name], **FORMULA)
    model = load_converted(MobileFormer(our_config(name)), state, "mobile_former", "the reference").eval()
    expected, found = read_outputs("mobile_former"), model(formula_images(SIZES[size]))
    close(found["logits"], expected[f"{name}.{size}.logits"])
    close(found["aux"]["prefix_tokens"][-1], expected[f"{name}.{size}.tokens"])
    for number, feature in enumerate(found["features"]):
        close(feature[:, ::4, ::2, ::2], expected[f"{name}.{size}.features.{number}"])


@torch.no_grad()
def test_tokens_look_at_the_map_as_the_paper_says() -> None:
    """Derived, head by head in float64: equation 1, with the channel weights and the norm of the authors' code."""
    config = MobileFormerConfig.parse({"token_dim": 8, "former_heads": 2})
    layer, x, tokens = MobileToFormer(config, 6, 0.0).double(), torch.randn(2, 6, 4, 5).double(), torch.randn(2, 3, 8)
    tokens = tokens.double()
    query, local = layer.q(tokens), x.flatten(2)
    taken = []
    for part in (slice(0, 3), slice(3, 6)):
        scores = torch.einsum("bmc,bcn->bmn", query[..., part], local[:, part]) / math.sqrt(3)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        taken.append(torch.einsum("bmn,bcn->bmc", weights, local[:, part]))
    gate = (layer.gate(tokens) / 6 + 0.5).clamp(0, 1) * 2
    expected = layer.norm(tokens + layer.proj(torch.cat(taken, dim=-1) * gate))
    torch.testing.assert_close(layer(x, tokens)[0], expected)
    torch.testing.assert_close(layer(x, tokens, True)[0], expected)


@torch.no_grad()
def test_slopes_follow_the_token() -> None:
    layer, x, token = DynamicReLU(8, 3), torch.randn(2, 3, 4, 4), 20 * torch.randn(2, 8)
    theta = (layer.fc2(layer.fc1(token).clamp(min=0)) / 6 + 0.5).clamp(0, 1)
    first, second = theta[:, :3, None, None] * 2, theta[:, 3:, None, None] * 2 - 1
    torch.testing.assert_close(layer(x, token), torch.stack([x * first, x * second]).amax(0))
