"""CvT gives what transformers and the authors' code give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_cvt import SIZES, SMALL
from safetensors.torch import load_file
from torch import nn
from transformers import CvtConfig, CvtForImageClassification

from nexus.models.cv import CvT
from nexus.models.cv.cvt.convert import config_from_spec
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "cvt_outputs.safetensors")

NARROW: dict[str, Any] = {"embed_dim": [16, 24, 32], "num_heads": [1, 3, 4], "depth": [1, 2, 3]}
POOLED: dict[str, Any] = {
    "embed_dim": [16, 32, 48],
    "num_heads": [2, 2, 3],
    "depth": [2, 2, 3],  # transformers needs more blocks than there are stages before
    "cls_token": [False, False, False],
    "qkv_bias": [False, True, False],
    "mlp_ratio": [2.0, 3.0, 2.0],
}


def with_statistics(model: nn.Module) -> Any:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return randomised(model)


@pytest.mark.parametrize("size", [(64, 64), (72, 100)])
@pytest.mark.parametrize("changes", [NARROW, POOLED])
@torch.no_grad()
def test_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    theirs = with_statistics(CvtForImageClassification(CvtConfig(**changes, num_labels=7)))
    model, images = through_folder(theirs, tmp_path), torch.randn(3, 3, *size)
    expected, found = theirs(images, output_hidden_states=True), model(images)
    torch.testing.assert_close(found["logits"], expected.logits, atol=1e-5, rtol=1e-5)
    for ours, state in zip(list(found["pyramid"].values())[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(ours, state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["features"][-1], expected.hidden_states[-1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_equals_the_authors(name: str, size: tuple[int, int]) -> None:
    """Their spec becomes our config; their feed-forward layers have the QuickGELU, and pooled keys are tested here."""
    state = formula_state(read_keys("cvt")["small"][name])
    model = load_converted(CvT({**config_from_spec(SMALL[name]), "num_classes": 7}), state, "cvt", name).eval()
    found = model(formula_images(size))["logits"]
    torch.testing.assert_close(found, GOLDEN[f"{name}.{size[0]}x{size[1]}"], atol=1e-5, rtol=1e-5)
