from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nexus.errors import ConfigError
from nexus.losses import LossConfig, binary_cross_entropy, classification_losses, cross_entropy

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0]])
HARD = torch.tensor([0, 2])
SOFT = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.1, 0.9]])


@pytest.mark.parametrize("targets", [HARD, SOFT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_formula(targets: torch.Tensor, smoothing: float) -> None:
    """Derived: -sum((1 - s) t + s / K) log softmax, in float64, without torch; and equal to torch's."""
    logits = LOGITS.double().numpy()
    shares = SOFT.double().numpy() if targets is SOFT else np.eye(3)[HARD.numpy()]
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -(((1 - smoothing) * shares + smoothing / 3) * log).sum(-1)
    found = cross_entropy(LOGITS, targets, smoothing)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert found.sum().item() == pytest.approx(
        F.cross_entropy(LOGITS, targets, label_smoothing=smoothing, reduction="sum").item()
    )


@pytest.mark.parametrize("targets", [HARD, SOFT])
def test_binary_cross_entropy_is_the_formula(targets: torch.Tensor) -> None:
    """Derived: the mean over the classes of -t log p - (1 - t) log(1 - p), in float64."""
    p = 1 / (1 + np.exp(-LOGITS.double().numpy()))
    t = 0.9 * (SOFT.double().numpy() if targets is SOFT else np.eye(3)[HARD.numpy()]) + 0.1 / 3
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1)
    np.testing.assert_allclose(binary_cross_entropy(LOGITS, targets, 0.1).numpy(), expected, rtol=1e-6)


def test_values_are_those_of_timm() -> None:
    """timm 1.0.31: ``BinaryCrossEntropy(smoothing=0.1, reduction="none")`` and, with 0.2, ``target_threshold``."""
    smoothed = [0.5214223, 1.4603742]
    present = [0.8047555, 1.5303742]
    assert binary_cross_entropy(LOGITS, HARD, 0.1).tolist() == pytest.approx(smoothed, abs=1e-6)
    assert binary_cross_entropy(LOGITS, SOFT, threshold=0.2).tolist() == pytest.approx(present, abs=1e-6)


def test_classes_above_the_threshold_are_present_up_to_the_smoothing() -> None:
    config = LossConfig(name="bce", target_threshold=0.2, label_smoothing=0.3)
    shares = torch.tensor([[0.8, 0.8, 0.1], [0.1, 0.1, 0.8]])
    expected = F.binary_cross_entropy_with_logits(LOGITS, shares, reduction="none").mean(-1)
    torch.testing.assert_close(classification_losses(LOGITS, SOFT, config), expected)


def test_labels_of_many_are_not_smoothed() -> None:
    many = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    expected = F.binary_cross_entropy_with_logits(LOGITS, many, reduction="none").mean(-1)
    torch.testing.assert_close(classification_losses(LOGITS, many, LossConfig(), multi_label=True), expected)


@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_losses_are_in_full_precision_under_autocast(name: str) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = classification_losses(LOGITS.bfloat16(), SOFT, LossConfig(name=name))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, classification_losses(LOGITS.bfloat16().float(), SOFT, LossConfig(name=name)))


def test_smoothing_keeps_the_answers_from_running_away() -> None:
    """The effect: the best logits for a smoothed label are finite, and say 1 - s + s / K."""
    for smoothing, expected in ((0.3, 0.7 + 0.1), (0.0, 1.0)):
        logits = torch.zeros(1, 3, requires_grad=True)
        for _ in range(2000):
            (gradient,) = torch.autograd.grad(cross_entropy(logits, HARD[:1], smoothing).sum(), logits)
            logits = (logits - 1.0 * gradient).detach().requires_grad_()
        assert logits.softmax(-1)[0, 0].item() == pytest.approx(expected, abs=1e-3)


def test_impossible_values_are_named() -> None:
    with pytest.raises(ConfigError, match=r"label_smoothing = 1\.0"):
        LossConfig.parse({"label_smoothing": 1.0})
