from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from nexus import registry
from nexus.errors import ConfigError
from nexus.models.cv import MobileNetV1, MobileNetV2, MobileNetV3
from nexus.models.cv.mobilenet.convert import config_from_huggingface, dropped
from nexus.models.loading import load_model
from nexus.transforms.image import open_image
from nexus.transforms.preprocess import apply, normalise


def grids(model: nn.Module, size: int = 224) -> list[tuple[int, int]]:
    """Grid and channels of every block."""
    with torch.device("meta"):
        found = model(torch.empty(1, 3, size, size))
    return [(feature.shape[2], feature.shape[1]) for feature in found["features"]]


def test_v1_is_table_1_of_the_paper() -> None:
    with torch.device("meta"):
        model = MobileNetV1({})
    table = [(112, 64), (56, 128), (56, 128), (28, 256), (28, 256), *[(14, 512)] * 6, (7, 1024), (7, 1024)]
    assert grids(model) == table
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(4.2e6, rel=0.01)  # table 4


def test_v2_is_table_2_of_the_paper() -> None:
    with torch.device("meta"):
        model = MobileNetV2({})
    table = [(112, 16, 1), (56, 24, 2), (28, 32, 3), (14, 64, 4), (14, 96, 3), (7, 160, 3), (7, 320, 1)]
    assert grids(model) == [(grid, width) for grid, width, depth in table for _ in range(depth)]
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(3.4e6, rel=0.04)  # table 4


def test_v3_is_tables_1_and_2_of_the_paper() -> None:
    with torch.device("meta"):
        large, small = MobileNetV3({}), MobileNetV3(registry.variant("mobilenetv3_small_100").config)
    table = [(112, 16, 1), (56, 24, 2), (28, 40, 3), (14, 80, 4), (14, 112, 2), (7, 160, 3)]
    assert grids(large) == [(grid, width) for grid, width, depth in table for _ in range(depth)]
    table = [(56, 16, 1), (28, 24, 2), (14, 40, 3), (14, 48, 2), (7, 96, 3)]
    assert grids(small) == [(grid, width) for grid, width, depth in table for _ in range(depth)]
    for model, millions in ((large, 5.4), (small, 2.5)):  # tables 3 and 4
        assert sum(p.numel() for p in model.parameters()) == pytest.approx(millions * 1e6, rel=0.02)


def test_the_last_convolution_of_v2_is_only_scaled_up() -> None:
    with torch.device("meta"):
        widths = {c: MobileNetV2({"width_coefficient": c}).head.in_features for c in (0.5, 1.0, 1.4)}
    assert widths == {0.5: 1280, 1.0: 1280, 1.4: 1792}


def test_v3_has_a_layer_between_mean_and_head() -> None:
    model = MobileNetV3({"num_classes": 3}).eval()
    found = model(torch.randn(2, 3, 32, 32))
    mean = found["tokens"].mean(1)
    torch.testing.assert_close(found["embeddings"], nn.functional.hardswish(model.fc(mean)))
    assert found["embeddings"].shape == (2, 1280)


def test_each_block_has_a_width_and_a_stride() -> None:
    with pytest.raises(ConfigError, match="widths has 2 entries, strides has 1: one per block"):
        MobileNetV1({"widths": (8, 16), "strides": (2,)})


@pytest.mark.parametrize(("key", "value"), [("hidden_act", "gelu"), ("num_channels", 1), ("output_stride", 16)])
def test_what_a_config_cannot_say_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{key} = "):
        config_from_huggingface({"model_type": "mobilenet_v2", key: value})


def test_probabilities_to_keep_are_understood() -> None:
    assert [dropped(p) for p in (0.999, 0.8, 0.2, 0.0)] == pytest.approx([0.001, 0.2, 0.2, 0.0])


@pytest.mark.registry
@pytest.mark.parametrize(
    ("name", "photo", "label", "probability"),
    [
        ("mobilenet_v2.gluon_in1k", "cat", "Egyptian cat", 0.93),
        ("mobilenet_v2.gluon_in1k", "coffee.png", "espresso", 0.985),
        ("mobilenet_v2.tv_in1k", "cat", "Egyptian cat", 0.71),
        ("mobilenet_v2.tv_in1k", "coffee.png", "espresso", 0.99),
        ("mobilenet_v2.tv_in1k", "spoonbills.jpg", "spoonbill", 0.53),  # with torchvision's transform: 0.5303
    ],
)
@torch.no_grad()
def test_real_weights_name_what_is_in_a_photo(
    name: str, photo: str, label: str, probability: float, photos: Path, cat: Path
) -> None:
    model = load_model(name, mirror=True)
    assert model.labels is not None
    pixels = apply(open_image(cat if photo == "cat" else photos / photo), model.preprocess)
    probabilities = model(torch.from_numpy(normalise(pixels[None], model.preprocess)))["logits"][0].softmax(0)
    assert model.labels[int(probabilities.argmax())] == label
    assert probabilities.max() == pytest.approx(probability, abs=0.02)
