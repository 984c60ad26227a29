"""Parameters and multiply-adds against figures computed by hand, and the table of layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nexus import registry
from nexus.models import NexusModule
from nexus.models.loading import build_on_meta
from nexus.models.summary import Summary, summarize


def summary_of(name: str, size: tuple[int, int] = (224, 224)) -> Summary:
    variant = registry.variant(name)
    return summarize(build_on_meta(variant.class_name, variant.config), size)


def test_attention_is_counted() -> None:
    """ViT-B/16, equation by equation (section 3.1 of the paper); DeiT's Table 5 rounds it to 17.6."""
    tokens, width, patches = 197, 768, 196
    projections = tokens * (3 * width + width + 2 * 4 * width) * width
    attention = 2 * tokens * tokens * width  # queries with keys, weights with values
    by_hand = patches * 16 * 16 * 3 * width + 12 * (projections + attention) + width * 1000
    found = summary_of("vit_base_patch16_224")
    assert found.multiply_adds == by_hand == 17_563_828_224
    assert round(by_hand / 1e9, 1) == 17.6
    assert found.parameters == 86_567_656


def test_convolutions_are_counted() -> None:
    """ResNet-18 layer by layer: (output pixels) x (window) x (channels in) x (channels out)."""
    stem = 112**2 * 49 * 3 * 64
    stages = 4 * 56**2 * 9 * 64 * 64
    for side, width in ((28, 128), (14, 256), (7, 512)):
        half = width // 2
        stages += side**2 * (9 * half * width + 3 * 9 * width * width + half * width)  # the last one is the shortcut
    assert summary_of("resnet18").multiply_adds == stem + stages + 512 * 1000


@pytest.mark.parametrize("name", ["resnet50", "dinov2_vits14_reg", "efficientnet_b0"])
def test_layers_add_up(name: str) -> None:
    found = summary_of(name)
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    assert sum(layer.gflops for layer in found.layers) == pytest.approx(found.multiply_adds / 1e9)
    blocks = [layer for layer in found.layers if layer.count > 1]
    assert blocks
    assert all(layer.output and layer.name.endswith(tuple("0123456789")) for layer in blocks)


class Towers(NexusModule):
    """Blocks deep inside, two parts of one kind that differ, one that is not called, one that gives a dict."""

    def __init__(self) -> None:
        super().__init__({})
        self.scale = nn.Parameter(torch.ones(1))
        self.image = nn.ModuleDict({"layers": nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)])})
        self.text = nn.Linear(5, 5)

    @property
    def blocks(self) -> nn.ModuleList:
        return self.image["layers"]

    def forward(self, images, **_):
        x = images * self.scale
        for block in self.blocks:
            x = block(x)
        return {"embeddings": x.mean((2, 3))}


def test_what_is_not_called_has_no_shape() -> None:
    found = summarize(Towers(), (4, 6))
    assert [(layer.name, layer.type, layer.output, layer.parameters) for layer in found.layers] == [
        ("scale", "Parameter", None, 1),
        ("image.layers.0", "Conv2d", (3, 4, 6), 12),
        ("image.layers.1", "Conv2d", (3, 4, 6), 84),
        ("text", "Linear", None, 30),
    ]
    assert found.multiply_adds == 24 * (9 + 81)
    assert not any(module._forward_hooks for module in Towers().modules())
