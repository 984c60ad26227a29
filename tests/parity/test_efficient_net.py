"""EfficientNet gives what transformers, torchvision and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys, read_outputs, thinned
from golden.make_efficient_net import KEYS, OUTPUTS, SIZES, formula
from torch import nn

from nexus import registry
from nexus.models.cv import EfficientNet
from nexus.models.cv.efficient_net.convert import config_from_huggingface
from nexus.models.loading import load_converted, load_model

TINY: dict[str, dict[str, Any]] = {
    "b0": {"width_coefficient": 0.25, "depth_coefficient": 0.5, "hidden_dim": 320, "depth_divisor": 4},
    "deeper, with odd blocks": {
        "width_coefficient": 0.3,
        "depth_coefficient": 1.1,
        "hidden_dim": 384,
        "depth_divisor": 2,
        "depthwise_padding": [5, 16],
    },
}


def randomise(model: nn.Module) -> None:
    """Give every norm statistics and weights that are not those of a fresh model, and the convolutions He's spread."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.8, 1.3)
            nn.init.normal_(module.bias, std=0.2)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)


def reference(**values: Any) -> Any:
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    model = EfficientNetForImageClassification(EfficientNetConfig(num_labels=7, **values)).eval()
    randomise(model)
    return model


def ours(theirs: Any) -> nn.Module:
    config = {**theirs.config.to_dict(), "architectures": ["EfficientNetForImageClassification"]}
    model = EfficientNet(config_from_huggingface(config))
    return load_converted(model, theirs.state_dict(), "efficient_net", "the reference").eval()


@pytest.mark.parametrize("size", [(64, 64), (97, 75)])
@pytest.mark.parametrize("shape", TINY)
@torch.no_grad()
def test_equals_transformers(shape: str, size: tuple[int, int]) -> None:
    theirs = reference(**TINY[shape])
    images = torch.randn(3, 3, *size).contiguous(memory_format=torch.channels_last)  # as ours has them: equal rounding
    expected = theirs(images, output_hidden_states=True)
    found = ours(theirs)(images)
    torch.testing.assert_close(found["logits"], expected.logits, atol=5e-5, rtol=1e-5)
    assert (found["logits"][0] - found["logits"][1]).abs().max() > 0.01  # the images reach the end
    for ours_, theirs_ in zip(found["features"], expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours_, theirs_, atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["efficientnet_b1", "efficientnet_b2"])
@torch.no_grad()
def test_the_authors_padding_is_that_of_transformers_at_the_training_size(name: str) -> None:
    """B1 and B2 meet odd grids: transformers lists the blocks, we see the sizes."""
    variant = registry.variant(name)
    odd = {"efficientnet_b1": (16,), "efficientnet_b2": (5, 8, 16)}[name]  # convert_efficientnet_to_pytorch.py
    narrow = {**variant.config, "width_coefficient": 0.1, "num_classes": 5}
    model = EfficientNet(narrow).eval()
    listed = EfficientNet({**narrow, "padding": "fixed", "symmetric_blocks": odd}).eval()
    listed.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, *variant.preprocess["crop"])
    torch.testing.assert_close(model(images)["features"], listed(images)["features"])


@torch.no_grad()
def test_loads_a_huggingface_folder(tmp_path: Path) -> None:
    theirs = reference(**TINY["b0"])
    theirs.config.id2label = {index: f"class {index}" for index in range(7)}
    theirs.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model(images)["logits"], theirs(images).logits, atol=5e-5, rtol=1e-5)
    assert model.labels is not None
    assert model.labels[6] == "class 6"


@torch.no_grad()
def test_loads_a_huggingface_backbone(tmp_path: Path) -> None:
    from transformers import EfficientNetConfig, EfficientNetModel

    theirs = EfficientNetModel(EfficientNetConfig(**TINY["b0"])).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    images = torch.randn(2, 3, 64, 64)
    found, expected = load_model(tmp_path)(images), theirs(images)
    torch.testing.assert_close(found["embeddings"], expected.pooler_output, atol=5e-5, rtol=1e-5)
    assert "logits" not in found


VARIANTS = {library: {theirs: ours for ours, theirs in names.items()} for library, names in KEYS.items()}
TIMM_OWN = {"efficientnet_b0": {"padding": "symmetric", "bn_eps": 1e-5}}
TORCHVISION_V1 = {f"efficientnet_b{size}": {"padding": "symmetric", "bn_eps": 1e-5} for size in (0, 2)}
CHANGES: dict[str, dict[str, dict[str, Any]]] = {"timm": TIMM_OWN, "torchvision": TORCHVISION_V1}
"""Library -> model -> what differs from the config of our variant, whose weights are others."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("library", "name"), [(library, name) for library in OUTPUTS for name in OUTPUTS[library]])
@torch.no_grad()
def test_equals_golden(library: str, name: str, size: str) -> None:
    """What torchvision's and timm's full-size models answered; made by `golden/make_efficient_net.py`."""
    variant = VARIANTS[library].get(name, name)
    state = formula_state(read_keys("efficient_net")[library][variant], **formula(name))
    model = EfficientNet({**registry.variant(variant).config, **CHANGES[library].get(name, {})})
    load_converted(model, state, "efficient_net", library).eval()
    found = thinned(model(formula_images(SIZES[size]), outputs=("logits",))["logits"])
    expected = read_outputs("efficient_net")[f"{library}.{name}.{size}"]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
