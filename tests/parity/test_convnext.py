"""ConvNeXt gives what transformers, timm, torchvision and the authors' code give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_convnext import SIZES, SMALL
from safetensors.torch import load_file
from torch import Tensor

from nexus import registry
from nexus.errors import CheckpointMismatchError
from nexus.models.cv import ConvNeXt
from nexus.models.cv.convnext.variants import V2
from nexus.models.loading import load_converted

GOLDEN = Path(__file__).parent / "golden"

SHAPES: dict[str, dict[str, Any]] = {
    "shallow": {"depths": [1, 2, 1, 1], "hidden_sizes": [8, 16, 24, 32]},
    "deep": {"depths": [2, 1, 3, 2], "hidden_sizes": [12, 20, 28, 40]},
}


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (75, 97)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("version", ["", "V2"])
@torch.no_grad()
def test_equals_transformers(version: str, shape: str, size: tuple[int, int], tmp_path: Path) -> None:
    import transformers

    described = getattr(transformers, f"ConvNext{version}Config")(num_labels=7, **SHAPES[shape])
    theirs = randomised(getattr(transformers, f"ConvNext{version}ForImageClassification")(described))
    model = through_folder(theirs, tmp_path)
    images = torch.randn(3, 3, *size)
    expected, found = theirs(images, output_hidden_states=True), model(images)
    close(found["logits"], expected.logits)
    for ours, stage in zip(found["pyramid"].values(), expected.hidden_states[1:], strict=True):
        close(ours, stage)
    assert model.config.final_norm_eps == 1e-12


@pytest.mark.parametrize("version", ["", "V2"])
@torch.no_grad()
def test_loads_a_bare_encoder_with_its_processor(version: str, tmp_path: Path) -> None:
    import transformers
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil

    described = getattr(transformers, f"ConvNext{version}Config")(**SHAPES["shallow"])
    theirs = randomised(getattr(transformers, f"ConvNext{version}Model")(described))
    ConvNextImageProcessorPil(size={"shortest_edge": 224}).save_pretrained(tmp_path)
    model = through_folder(theirs, tmp_path)
    images = torch.randn(2, 3, 64, 96)
    expected, found = theirs(images), model(images)
    close(found["embeddings"], expected.pooler_output)
    close(found["tokens"], expected.last_hidden_state.flatten(2).transpose(1, 2))
    assert "logits" not in found
    assert (model.preprocess.resize, model.preprocess.crop) == (256, (224, 224))


SMALL_CONFIG: dict[str, Any] = {"depths": SMALL["depths"], "widths": SMALL["dims"], "num_classes": 7}

CONFIGS: dict[tuple[str, str], dict[str, Any]] = {
    # Not a variant of ours: timm stores the linear layers of its small models as 1x1 convolutions.
    ("timm", "convnext_atto"): {"depths": (2, 2, 6, 2), "widths": (40, 80, 160, 320)},
    **{
        (library, name): registry.variant(name).config
        for library, name in (
            ("timm", "convnext_tiny"),
            ("timm", "convnextv2_atto"),
            ("torchvision", "convnext_tiny.tv_in1k"),
        )
    },
    ("authors", "small convnext"): SMALL_CONFIG,
    ("authors", "small convnextv2"): {**SMALL_CONFIG, **V2},
}


@pytest.mark.parametrize(("library", "name"), CONFIGS)
@torch.no_grad()
def test_equals_golden(library: str, name: str) -> None:
    """What full-size models of timm and torchvision and small ones of the authors answered."""
    config, shapes = CONFIGS[library, name], read_keys("convnext")[library][name]
    model = load_converted(ConvNeXt(config), formula_state(shapes), "convnext", library).eval()
    expected = load_file(GOLDEN / "convnext_outputs.safetensors")
    for label, size in SIZES.items():
        close(model(formula_images(size), outputs=("logits",))["logits"], expected[f"{library}.{name}.{label}"])


def test_weights_without_a_last_norm_have_none() -> None:
    """The authors' pre-trained weights (FCMAE) end with the last stage; only a headless model may lack its norm."""
    shapes = read_keys("convnext")["authors"]["convnextv2_atto.fcmae"]
    assert not any(key.startswith(("norm", "head")) for key in shapes)
    model = load_converted(
        ConvNeXt(registry.variant("convnextv2_atto.fcmae").config), formula_state(shapes), "convnext", "fcmae"
    )
    embeddings = model.eval()(formula_images((64, 64)))["embeddings"]
    torch.testing.assert_close(embeddings.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(embeddings.std(1, correction=0), torch.ones(2), atol=1e-3, rtol=0)
    with pytest.raises(CheckpointMismatchError, match=r"missing: .*norm"):
        load_converted(ConvNeXt(registry.variant("convnextv2_atto").config), formula_state(shapes), "convnext", "fcmae")
