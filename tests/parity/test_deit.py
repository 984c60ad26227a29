"""DeiT gives what transformers and timm give from the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _transformers import randomised, through_folder
from golden.formula import formula_images, formula_state
from safetensors.torch import load_file
from transformers import DeiTConfig, DeiTForImageClassification, DeiTForImageClassificationWithTeacher, DeiTModel

from nexus.models.cv import DeiT
from nexus.models.loading import load_converted

GOLDEN = load_file(Path(__file__).parent / "golden" / "deit_outputs.safetensors")

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "image_size": 32,
    "patch_size": 8,
}
LARGER: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "image_size": 48,
    "patch_size": 16,
}
TINY: dict[str, Any] = {"image_size": 64, "num_classes": 7, "embed_dim": 48, "num_layers": 2, "num_heads": 3}


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (48, 48), (80, 32)])
@pytest.mark.parametrize("changes", [SMALL, LARGER, {**SMALL, "qkv_bias": False}])
@torch.no_grad()
def test_equals_transformers(changes: dict[str, Any], size: tuple[int, int], tmp_path: Path) -> None:
    theirs = randomised(DeiTModel(DeiTConfig(**changes, attn_implementation="eager")))
    model, images = through_folder(theirs, tmp_path), torch.randn(3, 3, *size)
    expected = theirs(images, output_hidden_states=True, output_attentions=True, interpolate_pos_encoding=True)
    found = model(images, output_attentions=True)
    close(found["tokens"], expected.last_hidden_state[:, 2:])
    close(found["embeddings"], expected.last_hidden_state[:, :2].flatten(1))
    for ours, prefix, state in zip(
        found["features"], found["aux"]["prefix_tokens"], expected.hidden_states[1:], strict=True
    ):
        close(ours.flatten(2).transpose(1, 2), state[:, 2:])
        close(prefix, state[:, :2])
    for ours, weights in zip(found["attentions"], expected.attentions, strict=True):
        close(ours, weights)


@pytest.mark.parametrize("classifier", [DeiTForImageClassification, DeiTForImageClassificationWithTeacher])
@torch.no_grad()
def test_classifiers_equal_transformers(classifier: Any, tmp_path: Path) -> None:
    """One reads the class token alone, the other averages the answers of two heads."""
    names = {index: f"class {index}" for index in range(7)}
    theirs = randomised(classifier(DeiTConfig(**SMALL, num_labels=7, id2label=names)))
    model = through_folder(theirs, tmp_path)
    for size in ((32, 32), (48, 64)):
        images = torch.randn(2, 3, *size)
        close(model(images)["logits"], theirs(images, interpolate_pos_encoding=True).logits)
    assert model.labels == tuple(names.values())


@pytest.mark.parametrize("name", GOLDEN)
@torch.no_grad()
def test_equals_timm(name: str) -> None:
    model = DeiT({**TINY, "distilled": "distilled" in name})
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    if model.config.distilled:  # timm has two heads
        shapes |= {"head.weight": (7, 48), "head_dist.weight": (7, 48), "head_dist.bias": (7,)}
    model = load_converted(model, formula_state(shapes), "deit", "timm").eval()  # type: ignore[assignment]
    close(model(formula_images((64, 64)))["logits"], GOLDEN[name])
