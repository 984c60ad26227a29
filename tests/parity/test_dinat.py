"""DiNAT gives what the authors' network gives, around neighbourhood attention that is derived by definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_dinat import SIZES, SMALL, Neighborhood
from safetensors.torch import load_file

from nexus.models.cv import DiNAT
from nexus.models.cv.dinat.model import DiNATConfig, NeighborhoodAttention
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "dinat_outputs.safetensors")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("name", "layer_scale"), [("dinat", 0.0), ("scaled", 1.0)])
@torch.no_grad()
def test_equals_the_authors_network(name: str, layer_scale: float, size: tuple[int, int]) -> None:
    """The second stage of both sizes is smaller than some window, which pads it."""
    state = formula_state(read_keys("dinat")["small"][name])
    model = load_converted(DiNAT({**SMALL, "layer_scale": layer_scale}), state, "dinat", name).eval()
    found = model(formula_images(size))["logits"]
    torch.testing.assert_close(found, GOLDEN[f"{name}.{size[0]}x{size[1]}"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kernel_size", "dilation"), [(3, 1), (3, 2), (5, 1), (5, 3)])
@torch.no_grad()
def test_attention_equals_its_definition(kernel_size: int, dilation: int) -> None:
    """Equations 1 to 3 of the paper, position by position in float64, at every border and in every group."""
    theirs = randomised(Neighborhood(8, kernel_size, 2, dilation, qkv_bias=True))
    ours = NeighborhoodAttention(DiNATConfig.parse({"kernel_size": kernel_size}), 8, 2, dilation).eval()
    ours.load_state_dict(theirs.state_dict())
    for size in ((9, 13), (3, 10)):
        x = torch.randn(2, *size, 8)
        mixed, weights = ours(x, return_weights=True)
        torch.testing.assert_close(mixed, theirs(x), atol=1e-5, rtol=1e-5)
        assert weights is not None
        assert weights.shape == (2, 2, size[0] * size[1], kernel_size**2)


@torch.no_grad()
def test_a_transformers_folder_is_read(tmp_path: Path) -> None:
    """transformers builds DiNAT only beside natten; its weights are read and compared one by one."""
    from transformers import DinatConfig, DinatForImageClassification

    changes: dict[str, Any] = {**SMALL, "num_labels": SMALL["num_classes"], "layer_scale_init_value": 0.5}
    changes.pop("num_classes")
    with mock.patch("transformers.models.dinat.modeling_dinat.requires_backends"):
        theirs = randomised(DinatForImageClassification(DinatConfig(**changes)))
    model = through_folder(theirs, tmp_path)
    layer = theirs.dinat.encoder.levels[1].layers[2]
    block = model.blocks[4]
    attention = layer.attention.self
    qkv = torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
    assert torch.equal(block.attn.qkv.weight, qkv)
    assert torch.equal(block.attn.rpb, attention.rpb)
    assert torch.equal(block.ls1.gamma, layer.layer_scale_parameters[0])
    assert torch.equal(block.ls2.gamma, layer.layer_scale_parameters[1])
    assert model(torch.randn(1, 3, 64, 48))["logits"].shape == (1, 7)
