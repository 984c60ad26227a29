"""MobileViT and MobileViTv2 give what transformers and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state, read_keys
from golden.make_mobilevit import ANSWERS, SIZES
from safetensors.torch import load_file
from torch import nn

from nexus import registry
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "mobilevit_outputs.safetensors")

V1: tuple[dict[str, Any], ...] = (
    {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 12, 16, 20, 24, 48], "num_attention_heads": 2},
    {
        "hidden_sizes": [24, 24, 36],
        "neck_hidden_sizes": [16, 16, 12, 16, 24, 24, 32],
        "expand_ratio": 2.0,
        "mlp_ratio": 3.0,
        "qkv_bias": False,
    },
)
V2: tuple[dict[str, Any], ...] = (
    {"width_multiplier": 0.25, "n_attn_blocks": [1, 2, 1]},
    {"width_multiplier": 0.5, "n_attn_blocks": [2, 1, 1], "base_attn_unit_dims": [96, 128, 160]},
)


def with_statistics(model: nn.Module) -> Any:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.ones_(module.weight)
    return randomised(model)


def compare(theirs: Any, folder: Path, size: tuple[int, int]) -> None:
    model, images = through_folder(theirs, folder), torch.randn(3, 3, *size)
    expected, found = theirs(images, output_hidden_states=True), model(images)
    torch.testing.assert_close(found["logits"], expected.logits, atol=2e-5, rtol=1e-5)
    for ours, state in zip(found["pyramid"].values(), expected.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours, state, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (96, 128), (80, 112)])
@pytest.mark.parametrize("changes", V1)
@torch.no_grad()
def test_the_first_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    """At 80x112 the last grids are odd, and resized to a multiple of the patch and back."""
    from transformers import MobileViTConfig, MobileViTForImageClassification

    compare(with_statistics(MobileViTForImageClassification(MobileViTConfig(**changes, num_labels=7))), tmp_path, size)


@pytest.mark.parametrize("size", [(64, 64), (128, 192)])
@pytest.mark.parametrize("changes", V2)
@torch.no_grad()
def test_the_second_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    from transformers import MobileViTV2Config, MobileViTV2ForImageClassification

    theirs = MobileViTV2ForImageClassification(MobileViTV2Config(**changes, num_labels=7))
    compare(with_statistics(theirs), tmp_path, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ANSWERS)
@torch.no_grad()
def test_full_size_models_equal_timm(name: str, size: tuple[int, int]) -> None:
    """Of the second one too, at 96x64, where a grid of odd sides is resized."""
    variant = registry.variant(name)
    state = formula_state(read_keys("mobilevit")["timm"][name], spread=6.0)
    model = load_converted(registry.model_class(variant.class_name)(variant.config), state, "mobilevit", name).eval()
    found = model(formula_images(size))["logits"]
    torch.testing.assert_close(found, GOLDEN[f"{name}.{size[0]}x{size[1]}"], atol=1e-4, rtol=1e-4)


CVNETS = {
    "conv_1.block.conv.weight": "stem.conv.weight",
    "layer_2.1.block.exp_1x1.block.norm.bias": "stages.1.1.expand.bn.bias",
    "layer_3.0.block.conv_3x3.block.conv.weight": "stages.2.0.depthwise.conv.weight",
    "layer_3.1.local_rep.conv_1x1.block.conv.weight": "stages.2.1.expand.weight",
    "layer_3.1.global_rep.0.pre_norm_mha.1.qkv_proj.weight": "stages.2.1.transformer.0.attn.qkv.weight",
    "layer_3.1.global_rep.0.pre_norm_ffn.4.bias": "stages.2.1.transformer.0.mlp.fc2.bias",
    "layer_3.1.global_rep.2.weight": "stages.2.1.norm.weight",
    "layer_5.1.fusion.block.norm.weight": "stages.4.1.fuse.bn.weight",
    "classifier.fc.bias": "head.bias",
}


def test_names_of_the_authors_are_read() -> None:
    """Spot checks of the names in ml-cvnets, whose models do not build here."""
    from nexus.models.cv.mobilevit.convert import from_authors
    from nexus.models.cv.mobilevit.model import MobileViTConfig

    converted = from_authors({key: torch.zeros(1) for key in CVNETS}, MobileViTConfig.parse({}))
    assert set(CVNETS.values()) <= converted.keys()
