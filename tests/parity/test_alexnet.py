"""AlexNet gives what torchvision gives from the same weights, and in the form of 2012 what its equations give."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from golden.formula import formula_images, formula_state, read_keys
from golden.make_alexnet import FORMULA, HIDDEN, SIZES
from safetensors.torch import load_file
from torch import Tensor

from nexus.models.cv import AlexNet
from nexus.models.loading import load_converted

GOLDEN = Path(__file__).parent / "golden"


@torch.no_grad()
def test_equals_golden() -> None:
    """What torchvision's model with narrow linear layers answered; made by `golden/make_alexnet.py`."""
    state = formula_state(read_keys("alexnet")["torchvision"]["narrow alexnet"], **FORMULA)
    model = load_converted(AlexNet({"hidden_dim": HIDDEN}), state, "alexnet", "torchvision").eval()
    expected = load_file(GOLDEN / "alexnet_outputs.safetensors")
    for label, size in SIZES.items():
        found = model(formula_images(size), outputs=("logits",))["logits"]
        torch.testing.assert_close(found, expected[label], atol=1e-5, rtol=1e-5)


def convolve(x: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    """Each place of the output is the product of the weights and the window there."""
    side = weight.shape[-1]
    windows = F.pad(x, (padding,) * 4).unfold(2, side, stride).unfold(3, side, stride)
    return torch.einsum("bchwyx,ocyx->bohw", windows, weight) + bias[:, None, None]


def normalise(x: Tensor) -> Tensor:
    """Section 3.3: b_i = a_i / (k + alpha * sum of a_j^2)^beta, j from i - n/2 to i + n/2, within the N channels."""
    k, n, alpha, beta = 2, 5, 1e-4, 0.75
    channels = x.shape[1]
    sums = [x[:, max(0, i - n // 2) : min(channels - 1, i + n // 2) + 1].square().sum(1) for i in range(channels)]
    return x / (k + alpha * torch.stack(sums, 1)) ** beta


@torch.no_grad()
def test_the_form_of_2012_is_that_of_the_paper() -> None:
    config = {"widths": (8, 12, 16, 12, 12), "groups": 2, "response_norm": True, "pool_side": 1, "hidden_dim": 24}
    model = AlexNet({**config, "num_classes": 5}).eval()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    state = {key: tensor.double() for key, tensor in model.state_dict().items()}
    images = 30 * torch.randn(2, 3, 64, 79)  # large enough for the sums of squares to count

    x = images.double()
    for number in range(5):
        weight, bias = state[f"blocks.{number}.conv.weight"], state[f"blocks.{number}.conv.bias"]
        stride, padding = (4, 2) if number == 0 else (1, weight.shape[-1] // 2)
        halves = 2 if number in (1, 3, 4) else 1  # on two GPUs, each reading its own maps
        parts = zip(x.chunk(halves, 1), weight.chunk(halves), bias.chunk(halves))
        x = torch.cat([convolve(part, *own, stride, padding) for part, *own in parts], 1).relu()
        if number in (0, 1):
            x = normalise(x)
        if number in (0, 1, 4):
            x = x.unfold(2, 3, 2).unfold(3, 3, 2).amax((-1, -2))
    x = x.mean((2, 3))
    for layer in ("fc1", "fc2"):
        x = (x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]).relu()
    expected = x @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(model(images)["logits"].double(), expected, atol=1e-5, rtol=1e-5)
