from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nexus import registry
from nexus.errors import ConfigError
from nexus.layers import SameConv2d
from nexus.models.cv import EfficientNet
from nexus.models.cv.efficient_net.convert import config_from_huggingface
from nexus.models.cv.efficient_net.model import EfficientNetConfig
from nexus.models.cv.efficient_net.variants import TINY_CONFIG
from nexus.transforms.image import open_image
from nexus.transforms.preprocess import apply, normalise


def test_b0_is_table_1_of_the_paper() -> None:
    """Resolution, channels and layers of every stage at 224 pixels."""
    config = EfficientNetConfig()
    with torch.device("meta"):
        found = EfficientNet(config)(torch.empty(1, 3, 224, 224))
    grids = [(feature.shape[2], feature.shape[1]) for feature in found["features"]]
    table = [(112, 16, 1), (56, 24, 2), (28, 40, 2), (14, 80, 3), (14, 112, 3), (7, 192, 4), (7, 320, 1)]
    assert grids == [(grid, width) for grid, width, layers in table for _ in range(layers)]
    assert found["embeddings"].shape == (1, 1280)
    assert {stride: level.shape[1] for stride, level in found["pyramid"].items()} == {4: 24, 8: 40, 16: 112, 32: 320}


@pytest.mark.parametrize(
    ("coefficient", "width", "scaled"),
    [(1.0, 32, 32), (1.1, 32, 32), (1.1, 40, 48), (1.4, 24, 32), (2.0, 1280, 2560), (0.1, 16, 8), (1.2, 16, 24)],
)
def test_widths_are_rounded_to_eight_but_not_by_a_tenth_down(coefficient: float, width: int, scaled: int) -> None:
    assert EfficientNetConfig(width_coefficient=coefficient).scaled_width(width) == scaled
    assert scaled >= 0.9 * coefficient * width


def test_lite_leaves_its_ends_unscaled() -> None:
    config = EfficientNetConfig(width_coefficient=1.4, depth_coefficient=1.8)
    lite = config.replace(fix_stem_and_top=True)
    assert (config.scaled_ends(), lite.scaled_ends()) == ((48, 1792), (32, 1280))
    assert config.scaled_depths() == (2, 4, 4, 6, 6, 8, 2)
    assert lite.scaled_depths() == (1, 4, 4, 6, 6, 8, 1)


def test_fixed_padding_is_symmetric_only_in_the_named_blocks() -> None:
    model = EfficientNet({**TINY_CONFIG, "padding": "fixed", "symmetric_blocks": (2,)})
    strided = {i: block.depthwise.conv for i, block in enumerate(model.blocks) if block.stride == 2}
    assert {i for i, conv in strided.items() if not isinstance(conv, SameConv2d)} == {2}
    assert strided[2].padding == (2, 2)
    assert all(conv.pads(9, 3, 2) == (0, 1) for i, conv in strided.items() if i != 2)


def test_symmetric_blocks_need_fixed_padding() -> None:
    with pytest.raises(ConfigError, match="symmetric_blocks needs padding='fixed', not 'same'"):
        EfficientNet({"symmetric_blocks": (1,)})


def test_stochastic_depth_grows_by_block() -> None:
    model = EfficientNet({**TINY_CONFIG, "drop_path": 0.4})
    rates = [block.drop_path.rate for block in model.blocks]
    assert rates == pytest.approx([0.4 * i / len(rates) for i in range(len(rates))])


def test_dropout_is_before_the_head_and_only_in_training() -> None:
    model = EfficientNet({**TINY_CONFIG, "dropout": 0.9, "drop_path": 0.0})
    images = torch.randn(2, 3, 32, 32)
    found = model(images)
    assert not torch.allclose(found["logits"], model.head(found["embeddings"]))
    found = model.eval()(images)
    torch.testing.assert_close(found["logits"], model.head(found["embeddings"]))
    torch.testing.assert_close(found["embeddings"], found["tokens"].mean(1))


def test_layers_start_as_the_authors_do() -> None:
    model = EfficientNet({"num_classes": 400})
    depthwise, dense = model.blocks[-1].depthwise.conv.weight, model.blocks[-1].expand.conv.weight
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.05)
    assert dense.std().item() == pytest.approx(math.sqrt(2 / len(dense)), rel=0.05)
    assert model.head.weight.abs().max() <= 1 / 20
    assert model.head.weight.abs().max() > 0.99 / 20
    assert all((m.bias == 0).all() for m in model.modules() if isinstance(m, nn.Conv2d) and m.bias is not None)


def test_only_the_wanted_part_is_run() -> None:
    model = EfficientNet(TINY_CONFIG)
    model.top = nn.Identity()  # would give the head the wrong width
    assert set(model(torch.randn(2, 3, 32, 32), outputs=("pyramid",))) == {"pyramid"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "gelu"),
        ("num_channels", 1),
        ("pooling_type", "max"),
        ("in_channels", [32, 16, 24, 40, 80, 112, 9]),
    ],
)
def test_what_a_config_cannot_say_is_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{key} = "):
        config_from_huggingface({key: value})


@pytest.mark.registry
@pytest.mark.parametrize(
    ("name", "photo", "label"),
    [
        ("efficientnet_lite0", "coffee.png", "espresso"),
        ("efficientnet_lite0", "spoonbills.jpg", "spoonbill"),
        ("efficientnet_lite0", "proboscis-monkey.jpg", "proboscis monkey"),
        ("efficientnet_lite1", "coffee.png", "espresso"),
        ("efficientnet_lite2", "coffee.png", "espresso"),
        ("efficientnet_b3.tv_in1k", "coffee.png", "espresso"),
        ("efficientnet_b3.tv_in1k", "alpaca.jpg", "llama"),
        ("efficientnet_b3.tv_in1k", "proboscis-monkey.jpg", "proboscis monkey"),
    ],
)
def test_real_weights_name_what_is_in_a_photo(name: str, photo: str, label: str, photos: Path) -> None:
    found, probability = named(name, photos / photo)
    assert found == label
    assert probability > 0.5


@pytest.mark.registry
@pytest.mark.parametrize(
    ("name", "label", "probability"),
    [
        ("efficientnet_lite0", "tiger cat", 0.39),
        ("efficientnet_lite1", "Egyptian cat", 0.43),
        ("efficientnet_lite2", "Egyptian cat", 0.60),  # 0.62 after a resize to 260 / 0.875
    ],
)
def test_real_weights_see_a_cat(name: str, label: str, probability: float, cat: Path) -> None:
    assert named(name, cat) == (label, pytest.approx(probability, abs=0.01))


@torch.no_grad()
def named(name: str, photo: Path) -> tuple[str, float]:
    """What a model with its real weights sees in a photo, and how sure it is."""
    model = EfficientNet.from_pretrained(name, mirror=True)
    assert model.labels is not None
    pixels = apply(open_image(photo), model.preprocess)
    probabilities = model(torch.from_numpy(normalise(pixels[None], model.preprocess)))["logits"][0].softmax(0)
    return model.labels[int(probabilities.argmax())], probabilities.max().item()


def test_every_variant_has_its_own_resolution() -> None:
    sizes = [registry.variant(f"efficientnet_b{number}").preprocess["crop"][0] for number in range(8)]
    assert sizes == sorted(set(sizes))
