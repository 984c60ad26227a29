from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from nexus.errors import ConfigError
from nexus.models.base import NexusModule, WeightInitMixin
from nexus.models.cv import DeiT, DINOv2, VisionTransformer
from nexus.models.cv.dinov2 import DINOv2Config

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}


class Layers(WeightInitMixin, nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(400, 300)
        self.conv = nn.Conv2d(32, 64, 3)
        self.patch = nn.Conv2d(3, 500, 8, stride=8)
        self.norm = nn.BatchNorm2d(8)
        self.scale = nn.Parameter(torch.full((3,), 7.0))
        self.init_weights_vision()


def test_weights_are_drawn_as_documented() -> None:
    layers = Layers()
    assert layers.linear.weight.abs().max() <= 0.04
    assert layers.linear.weight.std().item() == pytest.approx(0.88 * 0.02, rel=0.03)  # a normal cut off at two sigma
    assert layers.conv.weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
    assert layers.patch.weight.std().item() == pytest.approx((3 * 64) ** -0.5, rel=0.05)
    assert all(not layer.bias.any() for layer in (layers.linear, layers.conv, layers.patch, layers.norm))
    assert torch.equal(layers.norm.weight, torch.ones(8))
    assert torch.equal(layers.scale, torch.full((3,), 7.0))


def test_a_fresh_transformer_passes_its_input_on() -> None:
    """Small weights, scaled branches: the blocks of a new DINOv2 change little, so that training starts gently."""
    model = DINOv2({**TINY, "layer_scale": 1e-5})
    first, *_, last = model(torch.randn(2, 3, 28, 28))["features"]
    torch.testing.assert_close(first, last, atol=1e-4, rtol=0)


def test_stochastic_depth_and_dropout_are_for_training() -> None:
    for model_class in (DINOv2, VisionTransformer):
        model = model_class({**TINY, "drop_path": 0.5, "dropout": 0.1, "attention_dropout": 0.1})
        assert [block.drop_path2.rate for block in model.blocks] == [0.0, 0.5]
        x = torch.randn(4, 3, 28, 28)
        assert not torch.equal(model(x)["tokens"], model(x)["tokens"])
        model.eval()
        assert torch.equal(model(x)["tokens"], model(x)["tokens"])


@pytest.mark.parametrize("model_class", [DINOv2, VisionTransformer])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 30}, "image_size = 30 is not a multiple of patch_size = 14: take 28 or 42"),
        ({"num_heads": 3}, "embed_dim = 16 is not a multiple of num_heads = 3"),
        ({"drop_path": 1.0}, r"drop_path = 1\.0"),
        ({"num_layers": 0}, "num_layers = 0"),
    ],
)
def test_impossible_configs_are_named(model_class: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model_class({**TINY, **changes})


def test_a_head_that_the_config_cannot_say_is_refused() -> None:
    model = DINOv2(TINY)
    model.head = nn.Linear(16, 3, bias=False)
    with pytest.raises(ConfigError, match="head has no bias"):
        model.describe_config()


def test_the_digest_is_of_what_inference_reads() -> None:
    model = DINOv2(TINY)
    digest = model.digest()
    with torch.no_grad():
        model.mask_token.fill_(1)
        assert model.digest() == digest
        model.cls_token.add_(1)
    assert model.digest() != digest


def test_the_mask_token_learns_from_masked_patches() -> None:
    model = DINOv2(TINY)
    mask = torch.tensor([[True, False, False, True]])
    model(torch.randn(1, 3, 28, 28), patch_mask=mask)["tokens"].sum().backward()
    assert model.mask_token.grad is not None


def test_published_sizes() -> None:
    """Parameters of the published models: ViT-S/14 22.06 M; the width of ViT-g/14's SwiGLU."""
    from nexus import registry

    with torch.device("meta"):
        small = DINOv2(registry.variant("dinov2_vits14").config)
        giant = DINOv2(DINOv2Config.parse(registry.variant("dinov2_vitg14").config))
    assert sum(parameter.numel() for parameter in small.parameters()) == 22_056_576
    assert giant.blocks[0].mlp.w3.in_features == 4096


def tokens_of_last_block(model: NexusModule, *outputs: str) -> int:
    counts = []
    hook = model.blocks[-1].register_forward_hook(lambda _, __, found: counts.append(found[0].shape[1]))
    model(torch.randn(2, 3, 28, 28), outputs=outputs)
    hook.remove()
    return counts[0]


@pytest.mark.parametrize(
    ("model_class", "changes", "prefix"),
    [
        (VisionTransformer, {}, 1),
        (VisionTransformer, {"pool": "mean_norm"}, None),
        (DeiT, {}, 2),
        (DINOv2, {"num_registers": 4}, 5),
        (DINOv2, {"head_input": "cls_mean"}, None),
    ],
)
def test_the_last_block_computes_what_is_read_of_it(
    model_class: type[NexusModule], changes: dict[str, Any], prefix: int | None
) -> None:
    model = model_class({**TINY, "patch_size": 14, "num_classes": 3, **changes})
    whole = tokens_of_last_block(model, "tokens")
    assert tokens_of_last_block(model, "embeddings", "logits", "aux") == (prefix or whole)
    for key in ("features", "pyramid", "attentions"):
        assert tokens_of_last_block(model, "embeddings", key) == whole


def test_gradients_are_the_same_whatever_else_is_wanted() -> None:
    model, gradients = VisionTransformer({**TINY, "num_classes": 3}).double(), []
    images = torch.randn(2, 3, 28, 28, dtype=torch.double)
    for outputs in (("logits",), ("logits", "tokens")):
        model.zero_grad()
        model(images, outputs=outputs)["logits"].square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(*gradients)
