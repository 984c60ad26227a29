"""Inception V3 gives what torchvision, timm and the network of the Fréchet Inception distance give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys, thinned
from golden.make_googlenet import formula_pixels
from golden.make_inception import FORMULA, FULL, SIZES
from safetensors.torch import load_file
from torch import Tensor

from nexus import registry
from nexus.errors import InputError
from nexus.models.cv import InceptionV3
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "inception_outputs.safetensors")


def full_size(library: str, name: str, **changes: Any) -> InceptionV3:
    config = {**registry.variant(name).config, **changes}
    state = formula_state(read_keys("inception")[library][name], **FORMULA)
    return load_converted(InceptionV3(config), state, "inception", library).eval()  # type: ignore[return-value]


def our_images(size: tuple[int, int]) -> Tensor:
    """The pixels that torchvision had, normalised as our spec says; torchvision's model sees the same in the end."""
    spec = registry.variant("inception_v3.tv_in1k").preprocess
    mean, std = (torch.tensor(spec[key])[:, None, None] for key in ("mean", "std"))
    return (formula_pixels(size) - mean) / std


def close(found: Tensor, name: str) -> None:
    torch.testing.assert_close(found, GOLDEN[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_equals_torchvision(size: str) -> None:
    """Made by `golden/make_inception.py`; the auxiliary classifier is dropped."""
    model = full_size("torchvision", "inception_v3.tv_in1k", aux_classes=0)
    close(thinned(model(our_images(SIZES[size]), outputs=("logits",))["logits"]), f"torchvision.{size}")


@torch.no_grad()
def test_the_auxiliary_classifier_equals_torchvision() -> None:
    model = full_size("torchvision", "inception_v3.tv_in1k")
    model.training = True
    found = model(our_images(FULL), outputs=("logits", "aux"))
    close(thinned(found["logits"]), "torchvision.full")
    (logits,) = found["aux"]["aux_logits"]
    close(thinned(logits), "torchvision.full.aux")
    with pytest.raises(InputError, match="images are 298x299 pixels; the auxiliary classifier needs 299x299"):
        model(torch.zeros(1, 3, 298, 299))
    assert "aux" not in model.eval()(our_images((75, 75)), outputs=("aux",))


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_equals_timm(size: str) -> None:
    found = full_size("timm", "inception_v3.tf_in1k")(formula_images(SIZES[size]))
    close(found["features"][-1][:, ::16], f"timm.{size}.features")
    close(thinned(found["logits"]), f"timm.{size}")


@torch.no_grad()
def test_the_pyramid_lies_over_what_it_saw() -> None:
    """A bright spot moves the places that lie over it; the coarser maps see too much of the picture to tell."""
    model = InceptionV3({"width_multiplier": 0.05, "num_classes": 0}).eval()
    spot = torch.zeros(1, 3, 299, 299)
    plain = model(spot, outputs=("pyramid",))["pyramid"]
    spot[..., 200:208, 96:104] = 3
    found = model(spot, outputs=("pyramid",))["pyramid"]
    for stride, level in ((4, found[4]), (8, found[8])):
        moved = (level - plain[stride]).abs().sum(1)[0]
        rows, columns = (moved.sum(axis) for axis in (1, 0))
        places = torch.arange(len(rows))
        row, column = ((places * sums).sum() / sums.sum() for sums in (rows, columns))
        assert row == pytest.approx(204 / stride - 0.5, abs=1)
        assert column == pytest.approx(100 / stride - 0.5, abs=1)


@pytest.mark.registry
@torch.no_grad()
def test_real_features_of_the_frechet_distance() -> None:
    """The archive read as weights, and what it answered when run as it is."""
    model = InceptionV3.from_pretrained("inception_v3.fid", mirror=True)
    found = model(formula_images(FULL) / 2, outputs=("embeddings",))["embeddings"]
    close(found[:, ::8], "graph.full")
