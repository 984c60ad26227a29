"""EfficientNet gives what transformers, torchvision and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys
from golden.make_cnn import FORMULA, SIZES
from safetensors.torch import load_file
from torch import nn

from nexus import registry
from nexus.models.cv import EfficientNet
from nexus.models.cv.efficient_net.convert import config_from_huggingface
from nexus.models.loading import load_converted, load_model

GOLDEN = Path(__file__).parent / "golden"


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
    images = torch.randn(3, 3, *size)
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


SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
SAME: dict[str, Any] = {}

GOLDEN_MODELS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("torchvision", "efficientnet_b0"): ("efficientnet_b0", SYMMETRIC),
    ("torchvision", "efficientnet_b2"): ("efficientnet_b2", SYMMETRIC),
    ("timm", "efficientnet_b0"): ("efficientnet_b0", SYMMETRIC),
    ("timm", "tf_efficientnet_b0"): ("efficientnet_b0", SAME),
    ("timm", "tf_efficientnet_b3"): ("efficientnet_b3", SAME),
    ("timm", "tf_efficientnet_lite2"): ("efficientnet_lite2", SAME),
}
"""Library and model -> our variant, and what differs from its config."""


@pytest.mark.parametrize("size", ["even", "odd"])
@pytest.mark.parametrize(("library", "name"), GOLDEN_MODELS)
@torch.no_grad()
def test_equals_golden(library: str, name: str, size: str) -> None:
    """What torchvision's and timm's full-size models answered; made by `golden/make_cnn.py`."""
    variant, changes = GOLDEN_MODELS[library, name]
    state = formula_state(read_keys("efficient_net")[library][variant], **FORMULA["efficient_net"])
    model = EfficientNet({**registry.variant(variant).config, **changes})
    load_converted(model, state, "efficient_net", library).eval()
    expected = load_file(GOLDEN / "efficient_net_outputs.safetensors")[f"{library}.{name}.{size}"]
    found = model(formula_images(SIZES[size]), outputs=("logits",))["logits"]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
