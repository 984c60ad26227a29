from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nexus.errors import ConfigError
from nexus.losses import LossConfig
from nexus.models import NexusModule
from nexus.models.cv import DINOv2, GoogLeNet
from nexus.models.cv.googlenet.variants import TINY_CONFIG as GOOGLENET
from nexus.objectives import Supervised

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}


def vit(classes: int = 4) -> DINOv2:
    torch.manual_seed(0)
    return DINOv2({**TINY, "num_classes": classes})


def test_the_loss_is_the_sum_over_the_samples() -> None:
    model, images, targets = vit(), torch.randn(5, 3, 28, 28), torch.tensor([0, 1, 2, 3, 3])
    objective = Supervised(LossConfig(), 4)
    found = objective(model, images, targets)
    logits = model(images)["logits"]
    expected = F.cross_entropy(logits, targets, label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(found["loss"], expected)
    torch.testing.assert_close(found["logits"], logits.detach())
    assert not found["logits"].requires_grad
    parts = [objective(model, images[part], targets[part])["loss"] for part in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(sum(parts), found["loss"])
    found["loss"].backward()
    assert model.head.weight.grad is not None
    assert not list(objective.parameters())


def test_pictures_with_many_labels_take_the_binary_loss() -> None:
    model, images, targets = vit(), torch.randn(2, 3, 28, 28), torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    found = Supervised(LossConfig(), 4, multi_label=True)(model, images, targets)
    expected = F.binary_cross_entropy_with_logits(model(images)["logits"], targets, reduction="none").mean(-1).sum()
    torch.testing.assert_close(found["loss"], expected)


def test_auxiliary_classifiers_add_three_tenths() -> None:
    """GoogLeNet, section 5; in evaluation it has none."""
    torch.manual_seed(0)
    model = GoogLeNet(GOOGLENET)
    images, targets = torch.randn(2, 3, 64, 64), torch.tensor([0, 2])
    torch.manual_seed(1)
    found = Supervised(LossConfig(label_smoothing=0), 5)(model.train(), images, targets)
    torch.manual_seed(1)  # of the dropout
    outputs = model(images)
    main = F.cross_entropy(outputs["logits"], targets, reduction="sum")
    aux = sum(F.cross_entropy(logits, targets, reduction="sum") for logits in outputs["aux"]["aux_logits"])
    assert len(outputs["aux"]["aux_logits"]) == 2
    torch.testing.assert_close(found["loss"], main + 0.3 * aux)
    alone = Supervised(LossConfig(label_smoothing=0, aux_weight=0), 5)(model.eval(), images, targets)
    torch.testing.assert_close(Supervised(LossConfig(label_smoothing=0), 5)(model, images, targets), alone)


@pytest.mark.parametrize(("classes", "message"), [(3, "the model gives 3 logits"), (0, "the model gives 0 logits")])
def test_another_head_than_the_data_needs_is_named(classes: int, message: str) -> None:
    model: NexusModule = vit(classes)
    with pytest.raises(ConfigError, match=f"{message} and the data has 4 classes"):
        Supervised(LossConfig(), 4)(model, torch.randn(1, 3, 28, 28), torch.tensor([0]))
