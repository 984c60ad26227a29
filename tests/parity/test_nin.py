"""NiN gives what the paper's equations give; no library has it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nexus.models.cv import NiN


def pooled(x: Tensor, kind: str) -> Tensor:
    """Windows of 3x3 at every second place, as far as they lie within the map; section 4.1 with Caffe's rounding."""
    rows, columns = (-(-(side - 3) // 2) + 1 for side in x.shape[2:])
    cells = [[x[:, :, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3] for c in range(columns)] for r in range(rows)]
    one = Tensor.amax if kind == "max" else Tensor.mean
    return torch.stack([torch.stack([one(cell, (2, 3)) for cell in row], -1) for row in cells], -2)


@pytest.mark.parametrize("size", [(32, 32), (21, 26)])
@torch.no_grad()
def test_layers_are_those_of_the_paper(size: tuple[int, int]) -> None:
    model = NiN({"widths": ((10, 9, 8), (12, 11, 10), (14, 13)), "num_classes": 5}).eval()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    state = {key: tensor.double() for key, tensor in model.state_dict().items()}
    images = torch.randn(2, 3, *size)

    x = images.double()
    for block, layers in enumerate((3, 3, 2)):
        if block:
            x = pooled(x, ("max", "average")[block - 1])
        for layer in range(layers):  # equation 2: each layer of the small network, at every place
            weight, bias = state[f"blocks.{block}.{2 * layer}.weight"], state[f"blocks.{block}.{2 * layer}.bias"]
            side = weight.shape[-1]
            windows = F.pad(x, (side // 2,) * 4).unfold(2, side, 1).unfold(3, side, 1)
            x = (torch.einsum("bchwyx,ocyx->bohw", windows, weight) + bias[:, None, None]).relu()
    classes = torch.einsum("bchw,oc->bohw", x, state["head.weight"]) + state["head.bias"][:, None, None]
    expected = classes.mean((2, 3))  # section 3.2: the average of each class's map
    torch.testing.assert_close(model(images)["logits"].double(), expected, atol=1e-5, rtol=1e-5)
