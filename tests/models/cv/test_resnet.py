from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nexus import registry
from nexus.assets import load_labels
from nexus.errors import CheckpointMismatchError, ConfigError
from nexus.models.cv import ResNet
from nexus.models.cv.resnet import cifar_config
from nexus.models.cv.resnet.convert import FORMATS, config_from_huggingface
from nexus.models.loading import load_converted
from nexus.transforms.image import open_image
from nexus.transforms.preprocess import apply, normalise

SMALL: dict[str, Any] = {"depths": (1, 2), "widths": (8, 16), "strides": (1, 2), "stem_width": 4, "num_classes": 3}


@pytest.mark.parametrize("layers", [18, 34, 50, 101, 152])
def test_a_name_counts_the_layers(layers: int) -> None:
    with torch.device("meta"):
        model = ResNet(registry.variant(f"resnet{layers}").config)
    counted = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len([name for name in counted if "shortcut" not in name]) == layers


@pytest.mark.parametrize(("where", "strides"), [("1x1", [2, 1, 1]), ("3x3", [1, 2, 1])])
def test_the_stride_sits_where_the_config_says(where: str, strides: list[int]) -> None:
    block = ResNet({**SMALL, "bottleneck_stride": where}).stages[1][0]
    assert [conv.conv.stride[0] for conv in (block.conv1, block.conv2, block.conv3)] == strides
    assert block.shortcut.conv.stride[0] == 2


@torch.no_grad()
def test_the_pyramid_is_the_last_block_of_each_stage() -> None:
    images = torch.randn(1, 3, 32, 40)
    found = ResNet({**SMALL, "stem": "3x3"}).eval()(images)
    assert list(found["pyramid"]) == [1, 2]
    assert found["pyramid"][1] is found["features"][0]
    assert found["pyramid"][2] is found["features"][2]
    torch.testing.assert_close(found["embeddings"], found["tokens"].mean(1))


@pytest.mark.parametrize(("block", "last"), [("basic", "conv2"), ("bottleneck", "conv3")])
@torch.no_grad()
def test_zero_init_starts_every_block_as_its_shortcut(block: str, last: str) -> None:
    model = ResNet({**SMALL, "block": block, "zero_init_residual": True}).eval()
    assert all((getattr(b, last).bn.weight == 0).all() for b in model.blocks)
    x = torch.randn(2, 8, 6, 6)
    second = model.stages[1]
    torch.testing.assert_close(second[0](x), second[0].shortcut(x).relu())


@pytest.mark.parametrize(("block", "last"), [("basic", "conv2"), ("bottleneck", "conv3")])
def test_zero_init_with_preactivation_is_of_the_last_convolution(block: str, last: str) -> None:
    model = ResNet({**SMALL, "block": block, "preactivation": True, "zero_init_residual": True})
    assert all((getattr(b, last).weight == 0).all() for b in model.blocks)


@pytest.mark.parametrize(
    ("layers", "parameters"),
    [(20, 270_000), (32, 460_000), (44, 660_000), (56, 850_000), (110, 1_700_000)],
)
def test_networks_for_cifar_have_the_size_of_table_6(layers: int, parameters: int) -> None:
    with torch.device("meta"):
        model = ResNet(cifar_config(layers))
        plain = ResNet(cifar_config(layers, shortcut="none"))
    counted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(counted) == layers
    size = sum(p.numel() for p in model.parameters())
    assert size == pytest.approx(parameters, rel=0.02)
    assert {key: p.shape for key, p in plain.named_parameters()} == {k: p.shape for k, p in model.named_parameters()}


@pytest.mark.parametrize("layers", [21, 2, 0])
def test_other_depths_for_cifar_are_named(layers: int) -> None:
    with pytest.raises(ConfigError, match=f"layers={layers} is not 6n"):
        cifar_config(layers)


def test_convolutions_start_with_hes_spread() -> None:
    weight = ResNet({**SMALL, "widths": (64, 256)}).stages[1][1].conv2.conv.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.03)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depths": (1, 1, 1)}, "one value per stage"),
        ({"widths": (8, 18)}, "multiples of 4"),
        ({"strides": (1, 3)}, "strides"),
        ({"depths": (), "widths": (), "strides": ()}, "depths"),
        ({"block": "basic", "groups": 2}, "groups=2 and width_per_group=64 say how wide a bottleneck"),
        ({"width_per_group": 16}, "width_per_group=16 leaves no channel"),
        ({"stem": "deep", "stem_width": 5}, "stem_width=5 must be even"),
        ({"shortcut": "zero_pad", "stem_width": 12}, r"stem_width=12 and widths=\(8, 16\) fall"),
        ({"shortcut": "none", "zero_init_residual": True}, "gives a network of zeros"),
    ],
)
def test_wrong_configs_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ResNet({**SMALL, **values})


def test_checkpointing_counts_a_batch_once() -> None:
    """The running statistics of a training step are those of a step that keeps its activations."""
    states = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = ResNet(SMALL).train()
        model.gradient_checkpointing = checkpointing
        model(torch.randn(4, 3, 32, 32))["logits"].square().mean().backward()
        states.append(model.state_dict())
    for key, expected in states[0].items():
        torch.testing.assert_close(states[1][key], expected, atol=0, rtol=0, msg=key)
    assert states[1]["stages.0.0.conv1.bn.num_batches_tracked"] == 1


def torchvision_state(config: dict[str, Any]) -> dict[str, Tensor]:
    """A checkpoint with torchvision's keys, made from our own model's."""
    parts = {"shortcut.conv": "downsample.0", "shortcut.bn": "downsample.1"}
    for i in "123":
        parts |= {f"conv{i}.conv": f"conv{i}", f"conv{i}.bn": f"bn{i}"}
    state = {}
    for key, tensor in ResNet(config).state_dict().items():
        for ours, theirs in parts.items():
            key = key.replace(f".{ours}.", f".{theirs}.")
        for s in range(2):
            key = key.replace(f"stages.{s}.", f"layer{s + 1}.")
        state[key.replace("stem.conv", "conv1").replace("stem.bn", "bn1").replace("head", "fc")] = tensor
    return state


def test_the_number_of_batches_is_not_part_of_the_weights() -> None:
    """Sources that hold the same tensors give the same digest, whether and how far they counted."""
    state = torchvision_state(SMALL)
    counted = {key: tensor + 9 if key.endswith("num_batches_tracked") else tensor for key, tensor in state.items()}
    silent = {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")}
    digests = {load_converted(ResNet(SMALL), s, "resnet", "the file").digest() for s in (state, counted, silent)}
    assert len(digests) == 1


def test_keys_that_no_table_knows_are_named() -> None:
    state = {**torchvision_state(SMALL), "layer1.0.conv9.weight": torch.zeros(1)}
    with pytest.raises(CheckpointMismatchError, match=r"unexpected: layer1\.0\.conv9\.weight"):
        load_converted(ResNet(SMALL), state, "resnet", "the file")


def test_conversion_leaves_the_source_alone() -> None:
    state = torchvision_state(SMALL)
    before = dict(state)
    FORMATS["torchvision"].convert(state, ResNet(SMALL).config)
    assert state.keys() == before.keys()
    assert all(state[key] is before[key] for key in before)


@pytest.mark.parametrize(("key", "value"), [("hidden_act", "gelu"), ("num_channels", 1)])
def test_what_a_config_cannot_say_is_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{key} = {value!r}"):
        config_from_huggingface({key: value})


def test_labels_are_in_the_order_of_the_logits() -> None:
    labels = load_labels("imagenet_1k")
    assert len(set(labels)) == len(labels) == 1000
    assert [labels[index] for index in (0, 285, 967, 999)] == ["tench", "Egyptian cat", "espresso", "toilet tissue"]


@pytest.mark.registry
@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "espresso", "egyptian_cat"), [("resnet50.keras_in1k", 0.99, 0.73), ("resnet18_v2.onnx_in1k", 0.98, 0.58)]
)
def test_real_weights_name_what_is_in_a_photo(
    name: str, espresso: float, egyptian_cat: float, photos: Path, cat: Path
) -> None:
    model = ResNet.from_pretrained(name, mirror=True)
    assert model.labels is not None
    for photo, label, expected in ((photos / "coffee.png", "espresso", espresso), (cat, "Egyptian cat", egyptian_cat)):
        pixels = apply(open_image(photo), model.preprocess)
        probabilities = model(torch.from_numpy(normalise(pixels[None], model.preprocess)))["logits"][0].softmax(0)
        assert model.labels[int(probabilities.argmax())] == label
        assert probabilities.max().item() == pytest.approx(expected, abs=0.02)
