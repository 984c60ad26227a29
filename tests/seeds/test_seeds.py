"""The seed documents' code blocks that use nexus, verbatim (`blocks/`), each executed in the setting its text supposes.

Seeds 000 to 002 use other libraries in their code; those of 003 are here. The block ``model = ViT({...})  # Will
underfit`` is a warning, not code: its dots are an `Ellipsis`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nexus.models import NexusModule, WeightInitMixin

BLOCKS = Path(__file__).parent / "blocks"


def run(block: str, **names: Any) -> dict[str, Any]:
    """Execute a block and return the names that it leaves."""
    space = {"torch": torch, "nn": nn, **names}
    exec(compile((BLOCKS / f"{block}.txt").read_text(), block, "exec"), space)
    return space


@pytest.fixture
def vitb14(tmp_path: Path) -> None:
    """ViT-B/14 at its full size with random weights in the weight cache, as if fetched: no hub is in reach."""
    from nexus import hub, registry
    from nexus.hub import cache

    variant = registry.variant("dinov2_vitb14")
    folder = registry.model_class("DINOv2")(variant.config).save_pretrained(tmp_path / "vitb14")
    source = hub.parse_source(variant.weights[0])
    cache.store(source, folder / "model.safetensors", name=variant.name, license=None, origin="random")


@pytest.mark.usefixtures("vitb14")
def test_image_classification() -> None:
    left = run("image_classification", images=torch.randn(1, 3, 224, 224))
    assert left["vit"](torch.randn(1, 3, 224, 224))["logits"].shape == (1, 1000)
    assert left["features"]["embeddings"].shape == (1, 768)


@pytest.mark.usefixtures("vitb14")
def test_a_new_head_makes_logits_and_is_saved(tmp_path: Path) -> None:
    from nexus.models.cv import DINOv2

    left = run("pretrained_head", DINOv2=DINOv2, num_classes=7)
    model, images = left["model"], torch.randn(1, 3, 28, 28)
    logits = model(images)["logits"]
    assert logits.shape == (1, 7)
    model.save_pretrained(tmp_path)
    loaded = DINOv2.from_pretrained(tmp_path)
    assert loaded.config.num_classes == 7
    assert torch.allclose(loaded(images)["logits"], logits, atol=1e-5)  # BLAS rounds by where memory lies


def test_warmup_then_cosine_decay() -> None:
    from nexus.training import get_cosine_schedule_with_warmup

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1e-3)
    left = run(
        "warmup_schedule",
        get_cosine_schedule_with_warmup=get_cosine_schedule_with_warmup,
        optimizer=optimizer,
        warmup_steps=2,
        total_steps=6,
    )
    rates = []
    for _ in range(7):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        left["scheduler"].step()
    assert rates == pytest.approx([0, 5e-4, 1e-3, 8.5355e-4, 5e-4, 1.4645e-4, 0], abs=1e-7)


def test_a_model_of_ones_own() -> None:
    outputs = {"logits": 1, "features": 2, "embeddings": 3}
    left = run("my_model", NexusModule=NexusModule, WeightInitMixin=WeightInitMixin, Dict=dict, Any=Any, **outputs)
    model = left["MyModel"]({"anything": 1})
    assert model(torch.zeros(1)) == outputs
    assert model.config["anything"] == 1


def test_attention_maps() -> None:
    from nexus.visualization import plot_attention_maps

    left = run(
        "attention_maps", model=tiny_vit(), image=torch.randn(1, 3, 32, 32), plot_attention_maps=plot_attention_maps
    )
    assert len(left["attentions"]["attentions"]) == 8


def test_feature_maps() -> None:
    from nexus.visualization import visualize_feature_maps

    left = run(
        "feature_maps", model=tiny_vit(), image=torch.randn(1, 3, 32, 32), visualize_feature_maps=visualize_feature_maps
    )
    assert left["features"][6].shape == (1, 16, 4, 4)


@pytest.mark.xfail(raises=ImportError, reason="the detectors come with their own issue")
def test_object_detection() -> None:
    run("object_detection", images=torch.randn(1, 3, 224, 224))


@pytest.mark.xfail(raises=(ImportError, AttributeError), reason="the segmenters come with their own issue")
def test_segmentation() -> None:
    run("segmentation", image=torch.randn(1, 3, 224, 224), prompts=[])


@pytest.mark.xfail(raises=ImportError, reason="GradCAM comes with the analysis of trained classifiers")
def test_gradcam() -> None:
    run("gradcam", model=tiny_vit(), image=torch.randn(1, 3, 32, 32))


def tiny_vit() -> Any:
    """A ViT with the eight blocks that the documents index into, and no more width than a test needs."""
    from nexus.models.cv import VisionTransformer

    config = {"image_size": 32, "patch_size": 8, "num_classes": 3, "embed_dim": 16, "num_layers": 8, "num_heads": 2}
    return VisionTransformer(config).eval()
