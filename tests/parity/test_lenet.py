"""LeNet gives what onnxruntime gives for a published file, and what the paper's equations give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images
from safetensors.torch import load_file
from torch import Tensor

from nexus.models.cv import LeNet

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.registry
@torch.no_grad()
def test_real_weights_equal_onnxruntime() -> None:
    """The published ONNX file, read as weights, and what it answered when run as it is; by `golden/make_lenet.py`."""
    model = LeNet.from_pretrained("lenet5.cifar10", mirror=True)
    found = model(formula_images((32, 32)))["logits"]
    torch.testing.assert_close(found, load_file(GOLDEN / "lenet_outputs.safetensors")["logits"], atol=1e-5, rtol=1e-5)
    assert model.labels is not None
    assert model.labels[3] == "cat"


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each place of the output is the product of the weights and the window there."""
    return torch.einsum("bchwyx,ocyx->bohw", x.unfold(2, 5, 1).unfold(3, 5, 1), weight) + bias[:, None, None]


@pytest.mark.parametrize("size", [(32, 32), (40, 36)])
@pytest.mark.parametrize("values", [{}, {"in_channels": 3, "activation": "relu", "pool": "max"}])
@torch.no_grad()
def test_layers_are_those_of_the_paper(values: dict[str, Any], size: tuple[int, int]) -> None:
    model = LeNet(values).eval()
    state = {key: tensor.double() for key, tensor in model.state_dict().items()}
    images = torch.randn(2, model.config.in_channels, *size)

    def active(x: Tensor) -> Tensor:
        return x.relu() if values else x.tanh()

    x = images.double()
    for layer in (0, 1):  # C1, S2, C3, S4
        x = active(convolve(x, state[f"blocks.{layer}.conv.weight"], state[f"blocks.{layer}.conv.bias"]))
        windows = x.unfold(2, 2, 2).unfold(3, 2, 2)
        x = windows.amax((-1, -2)) if values else windows.mean((-1, -2))
    x = active(convolve(x, state["conv3.weight"], state["conv3.bias"]))  # C5
    assert x.shape[1:] == ((120, 1, 1) if size == (32, 32) else (120, 3, 2))
    x = active(x.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"])  # F6
    expected = x @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(model(images)["logits"].double(), expected, atol=1e-6, rtol=1e-5)
