"""DINOv2 gives what transformers, timm and the authors' own code give from the same weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from _transformers import assert_equal_encoders, randomised, through_folder
from golden.formula import formula_images, formula_state
from golden.make_dinov2 import IMAGE_SIZES
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersForImageClassification,
    Dinov2WithRegistersModel,
)

from nexus.errors import ConfigError
from nexus.layers import resample_positions
from nexus.models.cv import DINOv2
from nexus.models.loading import load_converted, load_model
from nexus.transforms.preprocess import PreprocessSpec

GOLDEN = load_file(Path(__file__).parent / "golden" / "dinov2_outputs.safetensors")

SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56}
LARGER: dict[str, Any] = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "image_size": 70}
SIZES = [(56, 56), (70, 70), (42, 98)]

# -- transformers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("changes", [SMALL, {**LARGER, "use_swiglu_ffn": True}, {**SMALL, "qkv_bias": False}])
@torch.no_grad()
def test_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    config = Dinov2Config(**changes, patch_size=14, attn_implementation="eager")
    theirs = randomised(Dinov2Model(config))
    assert_equal_encoders(through_folder(theirs, tmp_path), theirs, torch.randn(3, 3, *size), prefix=1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("changes", [SMALL, {**LARGER, "use_swiglu_ffn": True}])
@torch.no_grad()
def test_registers_equal_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    config = Dinov2WithRegistersConfig(**changes, num_register_tokens=3, patch_size=14, attn_implementation="eager")
    theirs, images = randomised(Dinov2WithRegistersModel(config)), torch.randn(3, 3, *size)
    model = through_folder(theirs, tmp_path)
    assert_equal_encoders(model, theirs, images, prefix=4)
    registers = model(images, outputs=("aux",))["aux"]["registers"]
    torch.testing.assert_close(registers, theirs(images).last_hidden_state[:, 1:4], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("registers", [False, True])
@torch.no_grad()
def test_classifier_equals_transformers(registers: bool, tmp_path: Path) -> None:
    """Their head reads the class token beside the mean of the patches; the folder is sharded and names its labels."""
    names = {index: f"class {index}" for index in range(7)}
    values = {**SMALL, "patch_size": 14, "num_labels": 7, "id2label": names}
    theirs: Any = (
        Dinov2WithRegistersForImageClassification(Dinov2WithRegistersConfig(**values))
        if registers
        else Dinov2ForImageClassification(Dinov2Config(**values))
    )
    model = through_folder(randomised(theirs), tmp_path, max_shard_size="40KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    for size in SIZES:
        images = torch.randn(2, 3, *size)
        torch.testing.assert_close(model(images)["logits"], theirs(images).logits, atol=1e-5, rtol=1e-5)
    assert model.labels == tuple(names.values())


@torch.no_grad()
def test_mask_token_equals_transformers(tmp_path: Path) -> None:
    theirs, images = randomised(Dinov2Model(Dinov2Config(**SMALL, patch_size=14))), torch.randn(2, 3, 56, 56)
    mask = torch.rand(2, 16) < 0.5
    found = through_folder(theirs, tmp_path)(images, patch_mask=mask)
    expected = theirs(images, bool_masked_pos=mask).last_hidden_state
    torch.testing.assert_close(found["tokens"], expected[:, 1:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_keys_in_memory_are_read_too(tmp_path: Path) -> None:
    """transformers 5 names tensors in memory otherwise than in its files; people save both."""
    theirs = randomised(Dinov2Model(Dinov2Config(**SMALL, patch_size=14, use_swiglu_ffn=True)))
    from_file = through_folder(theirs, tmp_path)
    from_memory = load_converted(DINOv2(from_file.config), theirs.state_dict(), "dinov2", "memory")
    assert from_memory.digest() == from_file.digest()


def test_processor_of_a_folder_becomes_the_spec(tmp_path: Path) -> None:
    from transformers import BitImageProcessorPil

    processor = BitImageProcessorPil(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    processor.save_pretrained(tmp_path)
    Dinov2Model(Dinov2Config(**SMALL, patch_size=14)).save_pretrained(tmp_path)
    assert load_model(tmp_path).preprocess == PreprocessSpec(crop_rounding="down")


def test_what_cannot_be_translated_is_named(tmp_path: Path) -> None:
    Dinov2Model(Dinov2Config(**SMALL, patch_size=14, hidden_act="relu")).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"hidden_act = 'relu' in config\.json is not supported; only 'gelu' is"):
        load_model(tmp_path)


# -- golden files of `golden/make_dinov2.py` ---------------------------------------------------------------------------

TINY: dict[str, Any] = {"embed_dim": 48, "num_layers": 2, "num_heads": 3}
REGISTERS: dict[str, Any] = {"num_registers": 4, "interpolate_offset": 0.0, "interpolate_antialias": True}


def from_formula(shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> DINOv2:
    """Our model with the weights that the generator gave the other one, through the converter."""
    model = DINOv2(config)
    return load_converted(model, formula_state(shapes), "dinov2", "formula").eval()  # type: ignore[return-value]


def facebook_shapes(model: DINOv2) -> dict[str, tuple[int, ...]]:
    """The authors' names are ours."""
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


@pytest.mark.parametrize("size", [(56, 56), (42, 98)])
@pytest.mark.parametrize(
    ("name", "changes"), [("dinov2_vits14", {}), ("dinov2_vits14_reg", REGISTERS), ("dinov2_vitg14", {"ffn": "swiglu"})]
)
@torch.no_grad()
def test_equals_the_authors(name: str, changes: dict[str, Any], size: tuple[int, int]) -> None:
    config = {**TINY, **changes}
    found = from_formula(facebook_shapes(DINOv2(config)), config)(formula_images(size))
    expected = {
        key.rpartition(".")[2]: value
        for key, value in GOLDEN.items()
        if key.startswith(f"facebook.{name}.{size[0]}x{size[1]}.")
    }
    torch.testing.assert_close(found["embeddings"], expected["x_norm_clstoken"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["tokens"], expected["x_norm_patchtokens"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found["aux"]["registers"], expected["x_norm_regtokens"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vit_small_patch14_dinov2", {}),
        ("vit_small_patch14_reg4_dinov2", {"num_registers": 4}),
        ("vit_giant_patch14_dinov2", {"ffn": "swiglu"}),
    ],
)
@torch.no_grad()
def test_equals_timm(name: str, changes: dict[str, Any]) -> None:
    """At the size of the stored grid, since timm resamples positions in another way."""
    config = {**TINY, **changes, "image_size": 56}
    expected = GOLDEN[f"timm.{name}"]
    found = from_formula(timm_shapes(DINOv2(config)), config)(formula_images((56, 56)))
    torch.testing.assert_close(found["embeddings"], expected[:, 0], atol=1e-5, rtol=1e-5)
    first = expected.shape[1] - 16
    torch.testing.assert_close(found["tokens"], expected[:, first:], atol=1e-5, rtol=1e-5)


def timm_shapes(model: DINOv2) -> dict[str, tuple[int, ...]]:
    """timm's names: `reg_token`, no mask token, SwiGLU under the MLP's names, no position of the class token."""
    shapes = {}
    for key, shape in facebook_shapes(model).items():
        renamed = key.replace("register_tokens", "reg_token").replace("mlp.w12", "mlp.fc1").replace("mlp.w3", "mlp.fc2")
        shapes[renamed] = shape
    del shapes["mask_token"]
    if "reg_token" in shapes:
        _, length, dim = shapes["pos_embed"]
        shapes["pos_embed"] = (1, length - 1, dim)
    return shapes


# -- position embeddings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", IMAGE_SIZES)
@pytest.mark.parametrize(("name", "changes"), [("dinov2_vits14", {}), ("dinov2_vits14_reg", REGISTERS)])
@torch.no_grad()
def test_positions_equal_the_authors(name: str, changes: dict[str, Any], size: tuple[int, int]) -> None:
    config = {**TINY, **changes}
    model = from_formula(facebook_shapes(DINOv2(config)), config)
    found = model.positions((size[0] // 14, size[1] // 14))[..., :4]
    assert torch.equal(found, GOLDEN[f"positions.{name}.{size[0]}x{size[1]}"])


@pytest.mark.parametrize("grid", [(37, 37), (16, 16), (9, 23), (50, 1)])
def test_positions_equal_the_formula(grid: tuple[int, int]) -> None:
    """Derived: the cubic convolution of Keys (1981) with a = -3/4, on a grid whose scale has the authors' 0.1 added."""
    positions = torch.randn(1, 37 * 37, 3)
    square = positions[0].reshape(37, 37, 3).numpy().astype(np.float64)
    rows, columns = (cubic_matrix(cells, 37, 37 / (cells + 0.1)) for cells in grid)
    expected = torch.from_numpy(np.einsum("iy,jx,yxd->ijd", rows, columns, square)).reshape(1, -1, 3)
    if grid == (37, 37):  # the stored grid is taken as it is
        expected = positions.double()
    found = resample_positions(positions, grid, scale_offset=0.1)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def cubic_matrix(cells: int, side: int, step: float, a: float = -0.75) -> np.ndarray:
    """Weights (cells, side) with which every new cell reads the old ones; the border is repeated."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0

    weights = np.zeros((cells, side))
    for cell in range(cells):
        centre = (cell + 0.5) * step - 0.5
        for tap in range(math.floor(centre) - 1, math.floor(centre) + 3):
            weights[cell, min(max(tap, 0), side - 1)] += kernel(centre - tap)
    return weights


def test_the_offset_matters() -> None:
    """Without it the features change, which is how a wrong resampling would show."""
    positions: Tensor = torch.randn(1, 37 * 37, 8)
    with_offset = resample_positions(positions, (16, 16), scale_offset=0.1)
    assert (with_offset - resample_positions(positions, (16, 16))).abs().max() > 0.05


# -- the real weights --------------------------------------------------------------------------------------------------


@pytest.mark.registry
@torch.no_grad()
def test_real_weights_equal_their_onnx_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """ViT-S/14 from the package mirror. Its ONNX graph resamples positions linearly, so here ours does too."""
    model = DINOv2.from_pretrained("dinov2_vits14", mirror=True)
    images = formula_images((224, 224))
    own = pooled(model, images)

    def linear(grid: tuple[int, int]) -> Tensor:
        square = model.pos_embed[:, 1:].unflatten(1, (37, 37)).permute(0, 3, 1, 2)
        scale = tuple((cells + 0.1) / 37 for cells in grid)
        return nn.functional.interpolate(square, scale_factor=scale, mode="bilinear").flatten(2).transpose(1, 2)

    monkeypatch.setattr(model, "positions", linear)
    expected = load_file(Path(__file__).parent / "golden" / "dinov2_vits14_onnx.safetensors")["pooled"]
    torch.testing.assert_close(pooled(model, images), expected, atol=1e-4, rtol=1e-4)
    assert nn.functional.cosine_similarity(own, expected, dim=-1).mean() > 0.999


def pooled(model: DINOv2, images: Tensor) -> Tensor:
    """Patch tokens averaged over 2x2 patches, every eighth channel, (B, 8, 8, 48)."""
    final = model(images, outputs=("pyramid",))["pyramid"][14]
    return nn.functional.avg_pool2d(final, 2).permute(0, 2, 3, 1)[..., ::8]


@pytest.mark.registry
@torch.no_grad()
def test_real_features_know_what_is_alike(photos: Path) -> None:
    """A photograph is nearer to its flipped self, and to one of the same kind, than to another subject."""
    from PIL import Image

    from nexus.transforms import preprocess

    model = DINOv2.from_pretrained("dinov2_vits14", mirror=True)

    def embed(name: str, flip: bool = False) -> Tensor:
        picture = Image.open(photos / name).convert("RGB")
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else picture
        pixels = preprocess.apply(picture, model.preprocess)
        images = torch.from_numpy(preprocess.normalise(pixels[None], model.preprocess))
        return nn.functional.normalize(model(images, outputs=("embeddings",))["embeddings"][0], dim=0)

    gibbon, gorilla, coffee = embed("gibbon.jpg"), embed("mountain-gorilla.jpg"), embed("coffee.png")
    assert gibbon @ embed("gibbon.jpg", flip=True) > 0.8
    assert gibbon @ gorilla > gibbon @ coffee
