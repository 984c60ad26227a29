"""The hybrid ViT gives what timm, and transformers before its version 5, give from the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from golden.formula import formula_images, formula_state, read_keys
from golden.make_vit_hybrid import DEPTHS, HUGGINGFACE, SIZES, flax_state
from safetensors.torch import load_file, save_file
from torch import Tensor

from nexus.errors import ConfigError
from nexus.hub import read_tensors
from nexus.models.cv import HybridViT
from nexus.models.cv.vit_hybrid.convert import config_from_huggingface
from nexus.models.loading import load_converted, load_model

GOLDEN = load_file(Path(__file__).parent / "golden" / "vit_hybrid_outputs.safetensors")
KEYS = read_keys("vit_hybrid")

SMALL: dict[str, Any] = {"embed_dim": 48, "num_layers": 2, "num_heads": 3, "num_classes": 7, "image_size": 64}


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", DEPTHS)
@torch.no_grad()
def test_equals_timm(name: str) -> None:
    model = HybridViT({**SMALL, "depths": DEPTHS[name], "patch_size": 1 if DEPTHS[name] else 8})
    state = formula_state(KEYS["timm"][f"small.{name}"], spread=6.0)
    model = load_converted(model, state, "vit_hybrid", "timm").eval()  # type: ignore[assignment]
    for size in SIZES.get(name, ((64, 64),)):
        images, key = formula_images(size), f"timm.{name}.{size[0]}x{size[1]}"
        close(model.run_resnet(images)[-1][:, ::32], GOLDEN[f"{key}.map"])
        close(model(images)["logits"], GOLDEN[key], 5e-5)


@torch.no_grad()
def test_equals_transformers(tmp_path: Path) -> None:
    """From a folder as transformers 4 wrote it."""
    config = {**HUGGINGFACE, "num_channels": 3, "patch_size": 1, "hidden_act": "gelu", "qkv_bias": True}
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "layer_norm_eps": 1e-12}
    config |= {"model_type": "vit-hybrid", "architectures": ["ViTHybridForImageClassification"]}
    config |= {"id2label": {index: f"class {index}" for index in range(7)}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(formula_state(KEYS["transformers"]["small"], spread=6.0), tmp_path / "model.safetensors")
    model = load_model(tmp_path)
    close(model(formula_images((64, 64)))["logits"], GOLDEN["transformers"], 5e-5)
    assert model.labels == tuple(config["id2label"].values())


@torch.no_grad()
def test_the_authors_files_are_read_as_timm_reads_them(tmp_path: Path) -> None:
    import numpy as np

    arrays = {key: tensor.numpy() for key, tensor in flax_state((1, 2, 1), 4).items()}
    np.savez(tmp_path / "flax.npz", **arrays)
    model = HybridViT({**SMALL, "depths": (1, 2, 1)})
    load_converted(model, read_tensors(tmp_path / "flax.npz"), "vit_hybrid", "flax.npz").eval()
    close(model(formula_images((64, 64)))["logits"], GOLDEN["flax"], 5e-5)


def test_what_cannot_be_translated_is_named() -> None:
    backbone = HUGGINGFACE["backbone_config"]
    for change, named in (
        ({"layer_type": "preactivation"}, "layer_type = 'preactivation'"),
        ({"global_padding": None}, "global_padding = None"),
        ({"out_features": ["stage2"]}, r"out_features = \['stage2'\]"),
    ):
        with pytest.raises(ConfigError, match=named):
            config_from_huggingface({**HUGGINGFACE, "backbone_config": {**backbone, **change}})


def test_pyramid_holds_the_maps_of_the_resnet() -> None:
    model = HybridViT({**SMALL, "depths": (1, 2, 1), "root_width": 32}).eval()
    found = model(torch.randn(1, 3, 50, 70))
    assert {stride: tuple(level.shape[1:]) for stride, level in found["pyramid"].items()} == {
        4: (128, 13, 18),
        8: (256, 7, 9),
        16: (48, 4, 5),
    }
