"""Temperature scaling finds the temperature that was hidden, and the least likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nexus.errors import InputError
from nexus.evaluation import fit_temperature
from nexus.evaluation.calibration import temperature_scaling


def hidden(temperature: float, count: int = 4000) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits that are `temperature` times those by which the classes were drawn."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(count, 5)) * 2
    shares = torch.from_numpy(true).softmax(1).numpy()
    targets = (shares.cumsum(1) < rng.random((count, 1))).sum(1)
    return (true * temperature).astype(np.float32), targets


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_it_finds_how_much_too_sure_a_classifier_is(temperature: float) -> None:
    logits, targets = hidden(temperature)
    found = fit_temperature(logits, targets)
    assert found == pytest.approx(temperature, rel=0.05)

    def loss(value: float) -> float:
        scaled = torch.from_numpy(logits).double() / value
        return torch.nn.functional.cross_entropy(scaled, torch.from_numpy(targets)).item()

    assert all(loss(found) < loss(found * factor) for factor in (0.98, 1.02))


def test_no_temperature_is_low_or_high_enough() -> None:
    right, wrong = np.array([[5.0, 0.0], [0.0, 5.0]]), np.array([0, 1])
    assert fit_temperature(right, wrong) == 0.01
    assert fit_temperature(right, wrong[::-1]) == 100


def test_it_is_judged_by_the_other_half() -> None:
    logits, targets = hidden(3.0)
    found = temperature_scaling(logits, targets, seed=3)
    assert (found.fitted_on, found.measured_on) == (2000, 2000)
    assert found.error_after < 0.03 < 0.1 < found.error_before
    assert found.loss_after < found.loss_before
    assert found == temperature_scaling(logits, targets, seed=3) != temperature_scaling(logits, targets, seed=4)
    with pytest.raises(InputError, match="too few"):
        temperature_scaling(logits[:1], targets[:1])
