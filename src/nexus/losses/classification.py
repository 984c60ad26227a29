"""What a classifier's answers cost: cross entropy, and binary cross entropy over all classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from nexus.config import Config

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LossConfig", "binary_cross_entropy", "classification_losses", "cross_entropy", "smoothed"]


class LossConfig(Config):
    """What is minimised.

    Attributes:
        name: cross entropy, or binary cross entropy of every class for itself ("ResNet strikes back", Wightman et al.
            2021, section 3.1). Pictures with several labels always take the latter.
        label_smoothing: share of a label that is spread evenly over all classes (Szegedy et al. 2016, section 7).
        target_threshold: binary cross entropy takes every class whose share of a mixed picture is above this for
            present, and all others for absent ("ResNet strikes back"); None: shares are targets as they are.
        aux_weight: of the losses of auxiliary classifiers (GoogLeNet, section 5).
    """

    name: Literal["cross_entropy", "bce"] = "cross_entropy"
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    target_threshold: float | None = Field(None, ge=0, lt=1)
    aux_weight: NonNegativeFloat = 0.3


def classification_losses(
    logits: Float[Tensor, "b k"], targets: Tensor, config: LossConfig, *, multi_label: bool = False
) -> Float[Tensor, "b"]:
    """Return the loss of every sample, in fp32.

    Args:
        logits: (B, K), of any floating type.
        targets: (B,) int64, or (B, K) with the share of every class.
        config: see `LossConfig`.
        multi_label: whether the classes of a picture are independent of each other: binary cross entropy, and
            no label smoothing, which speaks of one label.
    """
    if multi_label:
        return binary_cross_entropy(logits, targets, threshold=config.target_threshold)
    if config.name == "bce":
        return binary_cross_entropy(logits, targets, config.label_smoothing, config.target_threshold)
    return cross_entropy(logits, targets, config.label_smoothing)


def cross_entropy(logits: Float[Tensor, "b k"], targets: Tensor, label_smoothing: float = 0.0) -> Float[Tensor, "b"]:
    """Return each sample's cross entropy, in fp32; arguments as for `classification_losses`."""
    targets = targets.float() if targets.is_floating_point() else targets
    return F.cross_entropy(logits.float(), targets, label_smoothing=label_smoothing, reduction="none")


def binary_cross_entropy(
    logits: Float[Tensor, "b k"], targets: Tensor, label_smoothing: float = 0.0, threshold: float | None = None
) -> Float[Tensor, "b"]:
    """Return each sample's binary cross entropy, the mean over its classes, in fp32.

    Arguments as for `classification_losses`; the threshold comes first and the smoothing after it.
    """
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[-1])
    if threshold is not None:
        targets = targets > threshold
    targets = smoothed(targets.float(), label_smoothing)
    return F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none").mean(-1)


def smoothed(targets: Float[Tensor, "b k"], label_smoothing: float) -> Float[Tensor, "b k"]:
    """Return the shares of the classes with a part of them spread evenly: ``(1 - s) t + s / K``."""
    return (1 - label_smoothing) * targets + label_smoothing / targets.shape[-1]
