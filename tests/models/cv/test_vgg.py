from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nexus import registry
from nexus.errors import ConfigError, InputError
from nexus.models.cv import VGG

SMALL: dict[str, Any] = {
    "depths": (1, 2),
    "widths": (4, 8),
    "pool_side": 2,
    "hidden_dim": 6,
    "num_classes": 3,
}


@pytest.mark.parametrize(
    ("name", "parameters"),  # torchvision's VGG*_Weights, num_params
    [("vgg11", 132_863_336), ("vgg13_bn", 133_053_736), ("vgg16", 138_357_544), ("vgg19_bn", 143_678_248)],
)
def test_a_name_counts_the_layers(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = VGG(registry.variant(name).config)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("vgg").removesuffix("_bn"))
    assert sum(p.numel() for p in model.parameters()) == parameters


@torch.no_grad()
def test_features_are_what_perceptual_losses_read() -> None:
    """relu1_1, relu2_1, relu2_2: one per convolution, none of them negative, before the pooling."""
    found = VGG(SMALL).eval()(torch.randn(1, 3, 9, 12))
    assert [tuple(feature.shape[1:]) for feature in found["features"]] == [(4, 9, 12), (8, 4, 6), (8, 4, 6)]
    assert all((feature >= 0).all() for feature in found["features"])
    assert {stride: tuple(level.shape[2:]) for stride, level in found["pyramid"].items()} == {2: (4, 6), 4: (2, 3)}


@torch.no_grad()
def test_only_the_linear_layers_read_the_averaged_grid() -> None:
    model = VGG(SMALL).eval()
    images = torch.randn(2, 3, 16, 20)
    found = model(images)
    pooled = nn.AdaptiveAvgPool2d(2)(found["pyramid"][4]).flatten(1)
    torch.testing.assert_close(found["embeddings"], model.fc2(model.fc1(pooled).relu()).relu())
    torch.testing.assert_close(found["logits"], model.head(found["embeddings"]))


def test_wrong_values_are_named() -> None:
    with pytest.raises(ConfigError, match="one value per stage"):
        VGG({**SMALL, "depths": (1,)})
    with pytest.raises(InputError, match=r"3x40 pixels; this VGG needs 4x4 or more"):
        VGG(SMALL)(torch.randn(1, 3, 3, 40))
