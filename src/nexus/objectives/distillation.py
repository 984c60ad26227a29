"""Learning from another model's answers, and from labels where there are any."""

from __future__ import annotations

from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from nexus.config import Config
from nexus.losses import LossConfig
from nexus.objectives.supervised import Supervised, check_classes

__all__ = ["DistillConfig", "Distillation"]

ALPHA = {"soft": 0.1, "hard": 0.5}


class DistillConfig(Config):
    """How much the teacher says, and in what form; the defaults are those of DeiT (section 4, equations 2 and 3).

    Attributes:
        kind: soft: the teacher's probabilities are the target (Hinton et al. 2015); hard: the class it finds likeliest
            is (DeiT, equation 3).
        alpha: share of the teacher in the loss; the labels have the rest. Default: 0.1 if it is soft, 0.5 if hard.
        temperature: tau, what both models' logits are divided by in the soft loss.
        confidence: a picture without a label (target -1) has the teacher's likeliest class for one if its probability
            is at least this (FixMatch, Sohn et al. 2020, equation 4 and table 4), and none otherwise.
    """

    kind: Literal["soft", "hard"] = "soft"
    alpha: float = Field(default_factory=lambda values: ALPHA[values.get("kind", "soft")], ge=0, le=1)
    temperature: PositiveFloat = 3.0
    confidence: float = Field(0.95, ge=0, le=1)


class Distillation(Supervised):
    """(1 - alpha) times the loss of the labels, and alpha times that of the teacher's answers.

    A model with a distillation token (`token_logits` in its `aux`, as `DeiT` gives them in training) learns the labels
    with its class token and the teacher's answers with the other; any other model learns both with its `logits`. The
    soft loss is scaled by temperature squared, so that its gradients keep their size (Hinton et al. 2015, section 2).

    Args:
        teacher: answers in evaluation mode and without gradients; it is frozen. It is shown the same pictures as the
            model, so its `preprocess` should normalise them alike.
        distill: see `DistillConfig`.
        config: see `nexus.losses.LossConfig`.
        num_classes: K, classes of the data, of the model and of the teacher; a picture has one.

    Raises:
        ConfigError: in the call, the model or the teacher has another number of logits.
    """

    def __init__(self, teacher: nn.Module, distill: DistillConfig, config: LossConfig, num_classes: int) -> None:
        super().__init__(config, num_classes)
        self.teacher, self.distill = teacher.eval().requires_grad_(False), distill

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the objective; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        outputs = self.answers(model, images)
        taught = self.taught(images)
        targets, counted = with_pseudo_labels(targets, taught, self.distill.confidence)
        to_labels, to_teacher = outputs.get("aux", {}).get("token_logits", [outputs["logits"]] * 2)
        from_labels = (self.losses({**outputs, "logits": to_labels}, targets) * counted).sum()
        from_teacher = self.teaching_losses(to_teacher, taught).sum()
        alpha = self.distill.alpha
        return {
            "loss": (1 - alpha) * from_labels + alpha * from_teacher,
            "logits": outputs["logits"].detach(),
            "distillation_loss": from_teacher.detach(),
        }

    @torch.no_grad()
    def taught(self, images: Tensor) -> Tensor:
        """Return the teacher's logits, (B, K), in fp32."""
        outputs = self.teacher(images, outputs=("logits",))
        check_classes("the teacher", outputs, self.num_classes)
        return outputs["logits"].float()  # type: ignore[no-any-return]

    def teaching_losses(self, logits: Tensor, taught: Tensor) -> Tensor:
        """Return what it costs each sample to differ from the teacher, (B,)."""
        if self.distill.kind == "hard":
            return F.cross_entropy(logits.float(), taught.argmax(-1), reduction="none")
        tau = self.distill.temperature
        ours, theirs = (logits.float() / tau).log_softmax(-1), (taught / tau).log_softmax(-1)
        return tau**2 * F.kl_div(ours, theirs, log_target=True, reduction="none").sum(-1)


def with_pseudo_labels(targets: Tensor, taught: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """Let the teacher's confident answers stand in for labels that are not there.

    Args:
        targets: (B,) int64, -1 where a picture has no label; or (B, K) shares, which all have one.
        taught: (B, K), the teacher's logits.
        confidence: probability from which on an answer counts.

    Returns:
        The targets, and which of the samples count, (B,) 1 or 0.
    """
    if targets.ndim > 1:
        return targets, targets.new_ones(len(targets))
    best, guesses = taught.softmax(-1).max(-1)
    labelled = targets >= 0
    return torch.where(labelled, targets, guesses), (labelled | (best >= confidence)).float()
