"""ResNet gives what transformers, torchvision and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys
from golden.make_cnn import FORMULA, SIZES
from safetensors.torch import load_file
from torch import Tensor, nn

from nexus import registry
from nexus.models.cv import ResNet
from nexus.models.cv.resnet.convert import config_from_huggingface
from nexus.models.loading import load_converted, load_model

GOLDEN = Path(__file__).parent / "golden"


TINY: dict[str, dict[str, Any]] = {
    "basic": {"layer_type": "basic", "depths": [1, 2, 1, 1], "hidden_sizes": [8, 12, 16, 24], "embedding_size": 6},
    "bottleneck": {"depths": [2, 1, 2, 1], "hidden_sizes": [16, 32, 48, 64], "embedding_size": 8},
    "bottleneck v1": {
        "depths": [1, 2, 1, 1],
        "hidden_sizes": [16, 16, 32, 64],
        "embedding_size": 16,
        "downsample_in_bottleneck": True,
        "downsample_in_first_stage": True,
    },
}


def randomise(model: nn.Module) -> None:
    """Give every norm statistics and weights that are not those of a fresh model."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)


def reference(**values: Any) -> Any:
    from transformers import ResNetConfig, ResNetForImageClassification

    model = ResNetForImageClassification(ResNetConfig(num_labels=7, **values)).eval()
    randomise(model)
    return model


def ours(theirs: Any) -> ResNet:
    config = {**theirs.config.to_dict(), "architectures": ["ResNetForImageClassification"]}
    return load_converted(
        ResNet(config_from_huggingface(config)), theirs.state_dict(), "resnet", "the reference"
    ).eval()  # type: ignore[return-value]


@pytest.mark.parametrize("size", [(64, 64), (97, 75)])
@pytest.mark.parametrize("shape", TINY)
@torch.no_grad()
def test_equals_transformers(shape: str, size: tuple[int, int]) -> None:
    theirs = reference(**TINY[shape])
    images = torch.randn(3, 3, *size)
    expected = theirs(images, output_hidden_states=True)
    found = ours(theirs)(images)
    torch.testing.assert_close(found["logits"], expected.logits, atol=1e-5, rtol=1e-5)
    for ours_, theirs_ in zip(found["pyramid"].values(), expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours_, theirs_, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_loads_a_huggingface_folder(tmp_path: Path) -> None:
    theirs = reference(**TINY["bottleneck"])
    theirs.config.id2label = {index: f"class {index}" for index in range(7)}
    theirs.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(model(images)["logits"], theirs(images).logits, atol=1e-5, rtol=1e-5)
    assert model.labels is not None
    assert model.labels[6] == "class 6"


@torch.no_grad()
def test_loads_a_huggingface_backbone(tmp_path: Path) -> None:
    from transformers import ResNetConfig, ResNetModel

    theirs = ResNetModel(ResNetConfig(**TINY["basic"])).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    images = torch.randn(2, 3, 64, 64)
    found, expected = load_model(tmp_path)(images), theirs(images)
    torch.testing.assert_close(found["embeddings"], expected.pooler_output.flatten(1), atol=1e-5, rtol=1e-5)
    assert "logits" not in found


@pytest.mark.parametrize("size", ["even", "odd"])
@pytest.mark.parametrize(
    ("library", "name"),
    [("torchvision", "resnet18"), ("torchvision", "resnet50"), ("timm", "resnet34"), ("timm", "resnet50")],
)
@torch.no_grad()
def test_equals_golden(library: str, name: str, size: str) -> None:
    """What torchvision's and timm's full-size models answered; made by `golden/make_cnn.py`."""
    state = formula_state(read_keys("resnet")[library][name], **FORMULA)
    model = load_converted(ResNet(registry.variant(name).config), state, "resnet", library).eval()
    expected = load_file(GOLDEN / "resnet_outputs.safetensors")[f"{library}.{name}.{size}"]
    found = model(formula_images(SIZES[size]), outputs=("logits",))["logits"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_keras_bias_is_folded_exactly() -> None:
    """The same small network twice: with the biases where Keras has them, and converted."""
    config = ResNet.Config.parse(
        {"depths": (1,), "widths": (8,), "strides": (1,), "stem_width": 4, "bn_eps": 1e-3, "num_classes": 3}
    )
    state = keras_state()
    model = load_converted(ResNet(config), state, "resnet", "keras").eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(images)["logits"], keras_forward(state, images), atol=1e-5, rtol=1e-5)


def keras_state() -> dict[str, Tensor]:
    shapes = {"conv1": (7, 7, 3, 4), "res2a_branch2a": (1, 1, 4, 2), "res2a_branch2b": (3, 3, 2, 2)}
    shapes |= {"res2a_branch2c": (1, 1, 2, 8), "res2a_branch1": (1, 1, 4, 8)}
    state = {"fc1000/kernel": torch.randn(8, 3), "fc1000/bias": torch.randn(3)}
    for name, shape in shapes.items():
        norm = "bn_conv1" if name == "conv1" else name.replace("res", "bn")
        state |= {f"{name}/kernel": torch.randn(shape), f"{name}/bias": torch.randn(shape[-1])}
        state |= {f"{norm}/{part}": torch.randn(shape[-1]) for part in ("gamma", "beta", "moving_mean")}
        state[f"{norm}/moving_variance"] = torch.rand(shape[-1]) + 0.5
    return state


def keras_forward(state: dict[str, Tensor], images: Tensor) -> Tensor:
    import torch.nn.functional as F

    def layer(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        norm = "bn_conv1" if name == "conv1" else name.replace("res", "bn")
        x = F.conv2d(x, state[f"{name}/kernel"].permute(3, 2, 0, 1), state[f"{name}/bias"], stride, padding)
        mean, variance = state[f"{norm}/moving_mean"], state[f"{norm}/moving_variance"]
        return F.batch_norm(x, mean, variance, state[f"{norm}/gamma"], state[f"{norm}/beta"], eps=1e-3)

    x = F.max_pool2d(F.pad(layer(images, "conv1", 2, 3).relu(), (1, 1, 1, 1)), 3, 2)
    y = layer(layer(x, "res2a_branch2a").relu(), "res2a_branch2b", padding=1).relu()
    x = (layer(y, "res2a_branch2c") + layer(x, "res2a_branch1")).relu()
    return x.mean((2, 3)) @ state["fc1000/kernel"] + state["fc1000/bias"]
