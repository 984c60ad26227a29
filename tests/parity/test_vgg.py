"""VGG gives what torchvision and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys
from golden.make_vgg import FORMULA, HIDDEN, RUN, SIZES
from safetensors.torch import load_file

from nexus import registry
from nexus.models.cv import VGG
from nexus.models.loading import load_converted

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("library", "name"), RUN)
@torch.no_grad()
def test_equals_golden(library: str, name: str) -> None:
    """What torchvision's and timm's models with narrow linear layers answered; made by `golden/make_vgg.py`."""
    state = formula_state(read_keys("vgg")[library][f"narrow {name}"], **FORMULA)
    model = load_converted(VGG({**registry.variant(name).config, "hidden_dim": HIDDEN}), state, "vgg", library).eval()
    expected = load_file(GOLDEN / "vgg_outputs.safetensors")
    for label, size in SIZES.items():
        found = model(formula_images(size), outputs=("logits",))["logits"]
        torch.testing.assert_close(found, expected[f"{library}.{name}.{label}"], atol=1e-5, rtol=1e-5)
