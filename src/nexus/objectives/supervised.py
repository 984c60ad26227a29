"""Learning from labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nexus.errors import ConfigError
from nexus.losses import LossConfig, classification_losses

__all__ = ["Objective", "Supervised"]


class Objective(nn.Module):
    """What is minimised over the weights of a model. It is given the model at each call and never owns it.

    Losses are sums over samples: who trains divides by the number of samples of the whole step, over all processes, so
    that unequal shares of a batch change nothing.
    """

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Run the model and say what its answers cost.

        Args:
            model: in training mode, bare or wrapped.
            images: (B, 3, H, W), preprocessed.
            targets: (B,) int64, or (B, K) floating with the share of every class.

        Returns:
            `loss`, the sum over the samples, a scalar in fp32; `logits` (B, K), detached; and what else to log, each
            the detached sum over the samples of what its name says.
        """
        raise NotImplementedError


class Supervised(Objective):
    """The loss of the labels, and of auxiliary classifiers where the model has them.

    The answers of auxiliary classifiers (`aux_logits` in the model's `aux`) add their losses, weighted by
    ``config.aux_weight``, as in GoogLeNet (Szegedy et al. 2015, section 5).

    Args:
        config: see `nexus.losses.LossConfig`.
        num_classes: K, classes of the data.
        multi_label: whether a picture has any number of classes.

    Raises:
        ConfigError: in the call, the model has another number of logits than the data has classes, or none.
    """

    def __init__(self, config: LossConfig, num_classes: int, *, multi_label: bool = False) -> None:
        super().__init__()
        self.config, self.num_classes, self.multi_label = config, num_classes, multi_label

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        outputs = self.answers(model, images)
        return {"loss": self.losses(outputs, targets).sum(), "logits": outputs["logits"].detach()}

    def answers(self, model: nn.Module, images: Tensor) -> dict[str, Any]:
        """Return the model's `logits` and `aux`, after a look at their number."""
        outputs: dict[str, Any] = model(images, outputs=("logits", "aux"))
        check_classes("the model", outputs, self.num_classes)
        return outputs

    def losses(self, outputs: Mapping[str, Any], targets: Tensor) -> Tensor:
        """Return the loss of every sample, auxiliary classifiers included, (B,)."""
        answers = [outputs["logits"], *outputs.get("aux", {}).get("aux_logits", ())]
        losses = [
            classification_losses(logits, targets, self.config, multi_label=self.multi_label) for logits in answers
        ]
        return losses[0] + self.config.aux_weight * sum(losses[1:], torch.zeros_like(losses[0]))


def check_classes(who: str, outputs: Mapping[str, Any], num_classes: int) -> None:
    """See that a model answers with as many logits as the data has classes.

    Raises:
        ConfigError: it does not.
    """
    found = outputs["logits"].shape[-1] if "logits" in outputs else 0
    if found != num_classes:
        raise ConfigError(
            f"{who} gives {found} logits and the data has {num_classes} classes: give it a head with as many"
        )
