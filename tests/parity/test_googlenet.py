"""GoogLeNet gives what torchvision gives from the same weights and pictures; the paper's own kind: derived."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from golden.formula import formula_state, read_keys, thinned
from golden.make_googlenet import FORMULA, SIZES, formula_pixels
from safetensors.torch import load_file
from torch import Tensor

from nexus import registry
from nexus.models.cv import GoogLeNet
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "googlenet_outputs.safetensors")


def full_size(aux_classes: int) -> GoogLeNet:
    config = {**registry.variant("googlenet").config, "aux_classes": aux_classes}
    state = formula_state(read_keys("googlenet")["torchvision"]["googlenet"], **FORMULA)
    return load_converted(GoogLeNet(config), state, "googlenet", "torchvision").eval()  # type: ignore[return-value]


def our_images(size: str) -> Tensor:
    """The pixels that torchvision had, normalised as our spec says; torchvision's model sees the same in the end."""
    spec = registry.variant("googlenet").preprocess
    mean, std = (torch.tensor(spec[key])[:, None, None] for key in ("mean", "std"))
    return (formula_pixels(SIZES[size]) - mean) / std


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_equals_torchvision(size: str) -> None:
    """Made by `golden/make_googlenet.py`; the file's auxiliary classifiers are dropped."""
    found = thinned(full_size(aux_classes=0)(our_images(size), outputs=("logits",))["logits"])
    torch.testing.assert_close(found, GOLDEN[f"{size}.logits"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_auxiliary_classifiers_equal_torchvision(size: str) -> None:
    model = full_size(aux_classes=1000)
    assert "aux" not in model(our_images(size), outputs=("aux",))
    model.training = True
    found = model(our_images(size))
    torch.testing.assert_close(thinned(found["logits"]), GOLDEN[f"{size}.logits"], atol=1e-5, rtol=1e-5)
    for index, logits in enumerate(found["aux"]["aux_logits"]):
        torch.testing.assert_close(thinned(logits), GOLDEN[f"{size}.aux.{index}"], atol=1e-5, rtol=1e-5)


def test_auxiliary_losses_reach_every_parameter() -> None:
    """The paper's sum, section 5: 0.3 of each auxiliary loss."""
    model = GoogLeNet({"num_classes": 3}).train()
    found = model(torch.randn(4, 3, 64, 64), outputs=("logits", "aux"))
    assert set(found) == {"logits", "aux"}
    targets = torch.tensor([0, 1, 2, 0])
    losses = [F.cross_entropy(logits, targets) for logits in (found["logits"], *found["aux"]["aux_logits"])]
    (losses[0] + 0.3 * sum(losses[1:])).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# -- derived: no library at hand has the paper's local response normalisation ------------------------------------------


class Equations:
    """Layers in float64 by their definitions, reading a state dict of ours."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = {key: tensor.double() for key, tensor in state.items()}

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """The product of the weights and the window at each place, its bias, and the ReLU."""
        weight, bias = self.state[f"{name}.conv.weight"], self.state[f"{name}.conv.bias"]
        side = weight.shape[-1]
        windows = F.pad(x, (side // 2,) * 4).unfold(2, side, stride).unfold(3, side, stride)
        return (torch.einsum("bchwyx,ocyx->bohw", windows, weight) + bias[:, None, None]).relu()

    def response_norm(self, x: Tensor) -> Tensor:
        """Krizhevsky et al. 2012, section 3.3."""
        normed = torch.empty_like(x)
        for channel in range(x.shape[1]):
            near = x[:, max(0, channel - 2) : channel + 3]
            normed[:, channel] = x[:, channel] / (2 + 1e-4 * (near**2).sum(1)) ** 0.75
        return normed

    def pool(self, x: Tensor, stride: int) -> Tensor:
        """The greatest of 3x3; half the side, as table 1 states, or the whole with stride 1."""
        before = 1 if stride == 1 else 0
        x = F.pad(x, (before, 1, before, 1), value=-torch.inf)
        return x.unfold(2, 3, stride).unfold(3, 3, stride).amax((-1, -2))

    def inception(self, x: Tensor, name: str) -> Tensor:
        """Figure 2(b)."""
        middle = self.conv(self.conv(x, f"{name}.reduce3x3"), f"{name}.conv3x3")
        large = self.conv(self.conv(x, f"{name}.reduce5x5"), f"{name}.conv5x5")
        pooled = self.conv(self.pool(x, 1), f"{name}.pool_proj")
        return torch.cat([self.conv(x, f"{name}.conv1x1"), middle, large, pooled], 1)


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
@torch.no_grad()
def test_the_paper_is_figure_3(size: tuple[int, int]) -> None:
    model = GoogLeNet({"num_classes": 7}).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("bias"):
            tensor.normal_(std=0.2)
    model.stem.conv1.conv.weight.mul_(10)  # such that the normalisation tells
    net, images = Equations(model.state_dict()), torch.randn(2, 3, *size)
    x = net.response_norm(net.pool(net.conv(images.double(), "stem.conv1", 2), 2))
    x = net.response_norm(net.conv(net.conv(x, "stem.conv2"), "stem.conv3"))
    for stage, depth in enumerate((2, 5, 2)):
        x = net.pool(x, 2)
        for block in range(depth):
            x = net.inception(x, f"stages.{stage}.{block}")
    logits = x.mean((2, 3)) @ net.state["head.weight"].T + net.state["head.bias"]
    torch.testing.assert_close(model(images)["logits"].double(), logits, atol=1e-5, rtol=1e-5)
