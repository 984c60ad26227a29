from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nexus.errors import ConfigError
from nexus.losses import LossConfig
from nexus.models.cv import DeiT, DINOv2
from nexus.objectives import Distillation, DistillConfig, Supervised

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}
IMAGES, TARGETS = torch.linspace(-1, 1, 4 * 3 * 28 * 28).sin().reshape(4, 3, 28, 28), torch.tensor([0, 2, 1, 2])


class Fixed(nn.Module):
    """A teacher that always says the same, and notes how it is asked."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.asked = nn.Parameter(logits), []

    def forward(self, images: Tensor, *, outputs: tuple[str, ...]) -> dict[str, Tensor]:
        assert images.shape[1:] == (3, 28, 28)
        self.asked.append((self.training, torch.is_grad_enabled(), outputs))
        return {"logits": self.logits * 1.0}


TAUGHT = torch.tensor([[5.0, 0, 0], [0, 1, 0], [0, 4, 1], [1, 0, 0]])


def student(**changes: Any) -> DINOv2:
    torch.manual_seed(0)
    return DINOv2({**TINY, "num_classes": 3, **changes})


def softmax(x: Any) -> Any:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_the_soft_loss_is_hintons() -> None:
    """Derived: (1 - a) CE(y) + a tau^2 KL(p_t || p_s), in float64, without torch; equation 2 of DeiT."""
    model = student()
    found = Distillation(Fixed(TAUGHT), DistillConfig(alpha=0.3), LossConfig(label_smoothing=0), 3)(
        model, IMAGES, TARGETS
    )
    ours = model(IMAGES)["logits"].detach().double().numpy()
    labels = -np.log(softmax(ours))[np.arange(4), TARGETS.numpy()].sum()
    ps, pt = softmax(ours / 3), softmax(TAUGHT.double().numpy() / 3)
    teacher = 9 * (pt * np.log(pt / ps)).sum()
    assert found["loss"].item() == pytest.approx(0.7 * labels + 0.3 * teacher, rel=1e-5)
    assert found["distillation_loss"].item() == pytest.approx(teacher, rel=1e-5)
    assert found["loss"].dtype == torch.float32


def test_the_hard_loss_is_deits() -> None:
    """Equation 3: half of the label's cross entropy and half of that of the teacher's class."""
    model = student()
    found = Distillation(Fixed(TAUGHT), DistillConfig(kind="hard"), LossConfig(), 3)(model, IMAGES, TARGETS)
    logits = model(IMAGES)["logits"]
    labels = F.cross_entropy(logits, TARGETS, label_smoothing=0.1, reduction="sum")
    teacher = F.cross_entropy(logits, torch.tensor([0, 1, 1, 0]), reduction="sum")
    torch.testing.assert_close(found["loss"], labels / 2 + teacher / 2)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_a_distillation_token_learns_from_the_teacher_alone(kind: Any) -> None:
    torch.manual_seed(0)
    model = DeiT({**TINY, "num_classes": 3}).train()
    config = DistillConfig(kind=kind, alpha=0.5)
    found = Distillation(Fixed(TAUGHT), config, LossConfig(label_smoothing=0), 3)(model, IMAGES, TARGETS)
    outputs = model(IMAGES)
    to_labels, to_teacher = outputs["aux"]["token_logits"]
    torch.testing.assert_close((to_labels + to_teacher) / 2, outputs["logits"])
    assert "token_logits" not in model.eval()(IMAGES)["aux"]
    teacher = (
        F.cross_entropy(to_teacher, TAUGHT.argmax(-1), reduction="sum")
        if kind == "hard"
        else 9 * F.kl_div((to_teacher / 3).log_softmax(-1), (TAUGHT / 3).softmax(-1), reduction="sum")
    )
    torch.testing.assert_close(found["loss"], (F.cross_entropy(to_labels, TARGETS, reduction="sum") + teacher) / 2)
    found["loss"].backward()
    assert model.dist_token is not None
    assert model.dist_token.grad is not None


def test_the_teacher_is_asked_without_gradients_in_evaluation_mode() -> None:
    teacher = Fixed(TAUGHT)
    objective = Distillation(teacher.train(), DistillConfig(), LossConfig(), 3).train()
    objective(student().train(), IMAGES, TARGETS)["loss"].backward()
    assert teacher.asked == [(False, False, ("logits",))]
    assert teacher.logits.grad is None
    assert not teacher.logits.requires_grad


def test_confident_answers_stand_in_for_labels() -> None:
    """Of the unlabelled pictures 0, 1 and 2 the teacher is sure of 0 (98.7 %) and 2 (93.7 %), by a threshold of 0.9."""
    model, without = student(), torch.tensor([-1, -1, -1, 2])
    found = Distillation(Fixed(TAUGHT), DistillConfig(alpha=0.0, confidence=0.9), LossConfig(), 3)(
        model, IMAGES, without
    )
    known = torch.tensor([0, 2, 3])
    expected = Supervised(LossConfig(), 3)(model, IMAGES[known], torch.tensor([0, 1, 2]))
    torch.testing.assert_close(found["loss"], expected["loss"])
    strict = Distillation(Fixed(TAUGHT), DistillConfig(alpha=0.0, confidence=0.999), LossConfig(), 3)
    alone = Supervised(LossConfig(), 3)(model, IMAGES[3:], TARGETS[3:])
    torch.testing.assert_close(strict(model, IMAGES, without)["loss"], alone["loss"])


def test_mixed_targets_are_taken_as_they_are() -> None:
    model, shares = student(), torch.eye(3)[TARGETS] * 0.6 + torch.eye(3)[TARGETS.flip(0)] * 0.4
    found = Distillation(Fixed(TAUGHT), DistillConfig(alpha=0.0), LossConfig(), 3)(model, IMAGES, shares)
    torch.testing.assert_close(found["loss"], Supervised(LossConfig(), 3)(model, IMAGES, shares)["loss"])


def test_a_student_comes_to_answer_as_its_teacher() -> None:
    """The effect, without any label: the student's answers turn into the teacher's."""
    model, objective = student(), Distillation(Fixed(TAUGHT), DistillConfig(alpha=1.0), LossConfig(), 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        objective(model, IMAGES, torch.full((4,), -1))["loss"].backward()
        optimizer.step()
    torch.testing.assert_close(model(IMAGES)["logits"].softmax(-1), TAUGHT.softmax(-1), atol=0.1, rtol=0)


def test_defaults_are_deits_and_other_teachers_are_named() -> None:
    assert (DistillConfig().alpha, DistillConfig(kind="hard").alpha, DistillConfig().temperature) == (0.1, 0.5, 3.0)
    with pytest.raises(ConfigError, match="the teacher gives 2 logits and the data has 3 classes"):
        Distillation(Fixed(TAUGHT[:, :2]), DistillConfig(), LossConfig(), 3)(student(), IMAGES, TARGETS)
