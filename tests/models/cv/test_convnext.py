from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nexus.errors import ConfigError, InputError
from nexus.models.base import NexusModule
from nexus.models.cv import ConvNeXt, ResNet
from nexus.models.cv.convnext import ladder
from nexus.models.cv.convnext.norms import GRN

SMALL: dict[str, Any] = {"depths": (1, 2), "widths": (8, 16), "num_classes": 3}
STEPS = ladder()


def parameters(config: dict[str, Any]) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ConvNeXt(config).parameters())


# -- the ladder --------------------------------------------------------------------------------------------------------


def test_the_ladder_goes_from_resnet_50_to_convnext_tiny() -> None:
    first, *_, last = STEPS.values()
    assert parameters(first) == 25_557_032  # torchvision's ResNet50_Weights, num_params
    assert parameters(last) == 28_589_128  # torchvision's ConvNeXt_Tiny_Weights, num_params
    assert ConvNeXt.Config.parse(last) == ConvNeXt.Config()


@torch.no_grad()
def test_the_first_step_computes_what_a_resnet_does() -> None:
    """With the same weights: they lie in both in the order of computation, but for the shortcuts."""
    small = {"depths": (2, 1), "widths": (16, 32), "num_classes": 3}
    bottom = ConvNeXt({**STEPS["ResNet-50 with today's training"], **small}).eval()
    resnet = ResNet({**small, "strides": (1, 2), "stem_width": 4}).eval()
    randomise(resnet)

    def layers(model: NexusModule, shortcuts: bool) -> list[nn.Module]:
        return [
            module
            for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear) and ("shortcut" in name) == shortcuts
        ]

    for shortcuts in (False, True):
        for ours, theirs in zip(layers(bottom, shortcuts), layers(resnet, shortcuts), strict=True):
            ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    found, expected = bottom(images), resnet(images)
    for key in ("logits", "embeddings"):
        torch.testing.assert_close(found[key], expected[key], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["features"], expected["features"], atol=1e-5, rtol=1e-5)


def randomise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.weight, 0.5, 1.5)


@pytest.mark.parametrize("step", STEPS)
@torch.no_grad()
def test_every_step_runs(step: str) -> None:
    model = ConvNeXt({**STEPS[step], "depths": (1, 2), "widths": (16, 32), "num_classes": 3}).eval()
    found = model(torch.randn(1, 3, 48, 64))
    assert list(found["pyramid"]) == [4, 8]
    assert found["pyramid"][8].shape == (1, 32, 6, 8)
    assert found["logits"].isfinite().all()


def layers_of(step: str) -> list[str]:
    """The layers in a block in the middle of a stage, in order, and what follows the addition."""
    model = ConvNeXt({**STEPS[step], "depths": (2,), "widths": (16,), "num_classes": 3})
    order: list[str] = []
    for module in model.stages[0][1].modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.LayerNorm | nn.BatchNorm2d | nn.ReLU | nn.GELU):
            module.register_forward_hook(lambda module, *_: order.append(describe(module)))
    model(torch.randn(1, 3, 32, 32))
    return order


def describe(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        side = module.kernel_size[0]
        return f"{'d' if module.groups > 1 else ''}{side}x{side} {module.in_channels}-{module.out_channels}"
    if isinstance(module, nn.Linear):
        return f"1x1 {module.in_features}-{module.out_features}"
    return {"LayerNorm": "LN", "LayerNorm2d": "LN", "BatchNorm2d": "BN"}.get(type(module).__name__) or (
        type(module).__name__
    )


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("stage ratio", "1x1 16-4, BN, ReLU, 3x3 4-4, BN, ReLU, 1x1 4-16, BN, ReLU"),
        ("depthwise convolution, width 64 -> 96", "1x1 16-4, BN, ReLU, d3x3 4-4, BN, ReLU, 1x1 4-16, BN, ReLU"),
        ("inverted bottleneck", "1x1 16-64, BN, ReLU, d3x3 64-64, BN, ReLU, 1x1 64-16, BN, ReLU"),
        ("depthwise convolution first", "d3x3 16-16, BN, ReLU, 1x1 16-64, BN, ReLU, 1x1 64-16, BN, ReLU"),
        ("ReLU -> GELU", "d7x7 16-16, BN, GELU, 1x1 16-64, BN, GELU, 1x1 64-16, BN, GELU"),
        ("fewer activations", "d7x7 16-16, BN, 1x1 16-64, BN, GELU, 1x1 64-16, BN"),
        ("fewer norms", "d7x7 16-16, BN, 1x1 16-64, GELU, 1x1 64-16"),
        ("batch norm -> layer norm", "d7x7 16-16, LN, 1x1 16-64, GELU, 1x1 64-16"),
        ("separate downsampling: ConvNeXt-T", "d7x7 16-16, LN, 1x1 16-64, GELU, 1x1 64-16"),
    ],
)
def test_blocks_are_those_of_the_paper(step: str, expected: str) -> None:
    """Figures 3 and 4, and the text of section 2.6."""
    assert ", ".join(layers_of(step)) == expected


@torch.no_grad()
def test_a_ladder_block_below_the_top_equals_the_top_with_its_weights() -> None:
    """Separate downsampling apart, the last two steps have the same block, written in two ways."""
    shape = {"depths": (2,), "widths": (16,), "num_classes": 3, "layer_scale": 0.5}
    below = ConvNeXt({**STEPS["batch norm -> layer norm"], **shape}).eval().stages[0][1]
    top = ConvNeXt(shape).eval().stages[0][1]
    below.load_state_dict(
        dict(zip(below.state_dict(), (t.flatten() if t.ndim == 1 else t for t in aligned(below, top)), strict=True))
    )
    x = torch.randn(2, 16, 9, 7)
    torch.testing.assert_close(below(x), top(x), atol=1e-6, rtol=1e-5)


def aligned(below: nn.Module, top: nn.Module) -> list[Tensor]:
    """The top block's tensors in the order and the shapes of the block below."""
    order = [f"{name}.{kind}" for name in ("dwconv", "norm", "fc1", "fc2") for kind in ("weight", "bias")]
    tensors = [top.state_dict()[key] for key in (*order, "ls.gamma")]
    return [tensor.reshape(own.shape) for tensor, own in zip(tensors, below.state_dict().values(), strict=True)]


# -- the rest ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_global_response_normalisation_is_algorithm_1() -> None:
    layer = GRN(6)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 5, 6)
    energy = x.double().pow(2).sum((1, 2), keepdim=True).sqrt()
    response = energy / (energy.mean(-1, keepdim=True) + 1e-6)
    expected = layer.weight.double() * (x * response) + layer.bias + x
    torch.testing.assert_close(layer(x).double(), expected, atol=1e-6, rtol=1e-5)


def test_parts_start_as_in_the_authors_code() -> None:
    torch.manual_seed(0)
    model = ConvNeXt({"depths": (1, 1), "widths": (64, 128), "num_classes": 50})
    assert model.stages[0][0].dwconv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert model.stages[1][0].fc1.weight.std().item() == pytest.approx(0.02, rel=0.03)
    assert (model.stages[0][0].ls.gamma == 1e-6).all()
    assert not ConvNeXt({**SMALL, "grn": True}).stages[0][0].grn.weight.any()


def test_stochastic_depth_grows_with_the_blocks() -> None:
    model = ConvNeXt({**SMALL, "drop_path": 0.4})
    assert [block.drop_path.rate for block in model.blocks] == pytest.approx([0.0, 0.2, 0.4])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depths": (1, 1, 1)}, "one value per stage"),
        ({"kernel_size": 4}, "kernel_size=4 must be odd"),
        ({"inverted_bottleneck": False, "widths": (8, 18)}, "multiples of 4"),
        ({"grn": True, "fewer_norms": False}, "grn=True is only defined for a ConvNeXt block"),
    ],
)
def test_wrong_configs_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ConvNeXt({**SMALL, **values})


def test_an_image_below_one_last_cell_is_named() -> None:
    with pytest.raises(InputError, match=r"7x40 pixels; this ConvNeXt needs 8x8 or more"):
        ConvNeXt(SMALL)(torch.randn(1, 3, 7, 40))
