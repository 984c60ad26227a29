"""ResNet gives what transformers, torchvision and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from golden.formula import formula_images, formula_state, read_keys
from golden.make_resnet import FORMULA, RUN, RUN_SHALLOW, SIZES
from safetensors.torch import load_file
from torch import Tensor, nn

from nexus import registry
from nexus.models.cv import ResNet
from nexus.models.cv.resnet import cifar_config
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


SHALLOW = {
    "wide_resnet50_2": "wide_resnet50_2.tv_in1k",
    "resnext50_32x4d": "resnext50_32x4d.tv_in1k",
    "resnet18d": "resnet18d.ra2_in1k",
    "resnet50d": "resnet50d.ra2_in1k",
    "resnetv2_18": "resnetv2_18.ra4_e3600_r224_in1k",
    "resnetv2_34d": "resnetv2_34d.ra4_e3600_r224_in1k",
    "resnetv2_50": "resnetv2_50.a1h_in1k",
}
"""What was run with one block per stage, and our variant that is otherwise the same."""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("library", "name"),
    [
        *((library, name) for library, names in RUN.items() for name in names),
        *((library, f"shallow {name}") for library, names in RUN_SHALLOW.items() for name in names),
    ],
)
@torch.no_grad()
def test_equals_golden(library: str, name: str, size: str) -> None:
    """What models of torchvision and timm answered; made by `golden/make_resnet.py`."""
    state = formula_state(read_keys("resnet")[library][name], **FORMULA)
    architecture = name.removeprefix("shallow ")
    config = registry.variant(SHALLOW.get(architecture, architecture)).config
    if architecture in SHALLOW:
        config = {**config, "depths": (1, 1, 1, 1)}
    model = load_converted(ResNet(config), state, "resnet", library).eval()
    expected = load_file(GOLDEN / "resnet_outputs.safetensors")[f"{library}.{name}.{size}"]
    found = model(formula_images(SIZES[size]), outputs=("logits",))["logits"]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# -- derived: no library at hand has these -----------------------------------------------------------------------------


class Equations:
    """Layers in float64 by their definitions, reading a state dict of ours."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = {key: tensor.double() for key, tensor in state.items()}

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5) ** 0.5 * weight + bias

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """Each place of the output is the product of the weights and the window there."""
        weight = self.state[f"{name}.weight"]
        side = weight.shape[-1]
        windows = F.pad(x, (side // 2,) * 4).unfold(2, side, stride).unfold(3, side, stride)
        return torch.einsum("bchwyx,ocyx->bohw", windows, weight)

    def head(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) @ self.state["head.weight"].T + self.state["head.bias"]


@pytest.mark.parametrize("shortcut", ["zero_pad", "none"])
@pytest.mark.parametrize("size", [(32, 32), (17, 27)])
@torch.no_grad()
def test_networks_for_cifar_are_those_of_section_4_2(shortcut: str, size: tuple[int, int]) -> None:
    model = ResNet(cifar_config(14, shortcut=shortcut)).eval()
    randomise(model)
    images = torch.randn(2, 3, *size)
    net = Equations(model.state_dict())
    x = net.norm(net.conv(images.double(), "stem.conv"), "stem.bn").relu()
    for s, width in enumerate((16, 32, 64)):
        for b in range(2):
            block, stride = f"stages.{s}.{b}", 2 if s and b == 0 else 1
            y = net.norm(net.conv(x, f"{block}.conv1.conv", stride), f"{block}.conv1.bn").relu()
            y = net.norm(net.conv(y, f"{block}.conv2.conv"), f"{block}.conv2.bn")
            if shortcut == "zero_pad":
                y[:, : x.shape[1]] += x[:, :, ::stride, ::stride]  # nothing is added to the channels that are new
            assert y.shape[1] == width
            x = y.relu()
    torch.testing.assert_close(model(images)["logits"].double(), net.head(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@torch.no_grad()
def test_preactivation_is_figure_4e(block: str) -> None:
    """With norms of the images and behind the stem, as Gluon has them and timm has not."""
    config = {"block": block, "depths": (2, 2), "widths": (8, 16), "strides": (1, 2), "stem_width": 8, "num_classes": 3}
    model = ResNet({**config, "preactivation": True, "input_norm": True}).eval()
    randomise(model)
    images = torch.randn(2, 3, 64, 56)
    net = Equations(model.state_dict())
    x = net.norm(net.conv(net.norm(images.double(), "stem.input_norm"), "stem.conv", 2), "stem.bn").relu()
    x = F.pad(x, (1, 1, 1, 1), value=-torch.inf).unfold(2, 3, 2).unfold(3, 3, 2).amax((-1, -2))
    convolutions = (1, 2) if block == "basic" else (1, 2, 3)
    for s in range(2):
        for b in range(2):
            name, stride = f"stages.{s}.{b}", 2 if s == 1 and b == 0 else 1
            y = active = net.norm(x, f"{name}.bn1").relu()
            for i in convolutions:
                if i > 1:
                    y = net.norm(y, f"{name}.bn{i}").relu()
                y = net.conv(y, f"{name}.conv{i}", stride if i == convolutions[-2] else 1)
            x = y + (net.conv(active, f"{name}.shortcut.conv", stride) if stride == 2 else x)
    x = net.norm(x, "norm.bn").relu()
    torch.testing.assert_close(model(images)["logits"].double(), net.head(x), atol=1e-5, rtol=1e-5)


# -- published files ---------------------------------------------------------------------------------------------------


@pytest.mark.registry
@torch.no_grad()
def test_real_second_version_equals_onnxruntime() -> None:
    """The ONNX file of the model zoo, read as weights, and what it answered when run as it is."""
    model = ResNet.from_pretrained("resnet18_v2.onnx_in1k", mirror=True)
    expected = load_file(GOLDEN / "resnet_outputs.safetensors")["onnxruntime.resnet18_v2.onnx_in1k"]
    found = model(formula_images((224, 224)), outputs=("logits",))["logits"]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


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
