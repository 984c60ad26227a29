from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from nexus.training import LAMB


def steps(parameter: nn.Parameter, gradients: list[torch.Tensor], **options: object) -> torch.Tensor:
    optimizer = LAMB([parameter], **options)
    for gradient in gradients:
        parameter.grad = gradient.to(parameter.dtype)
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_the_papers_algorithm(weight_decay: float) -> None:
    """Derived: algorithm 2 of the paper in float64, without torch; no trust ratio where nothing decays."""
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(3, 4)), random.normal(size=(5, 3, 4))
    x, m, v = start.copy(), np.zeros((3, 4)), np.zeros((3, 4))
    for t, g in enumerate(gradients, 1):
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        r = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-6) + weight_decay * x
        ratio = np.linalg.norm(x) / np.linalg.norm(r) if weight_decay else 1.0
        x = x - 0.05 * ratio * r
    found = steps(
        nn.Parameter(torch.from_numpy(start)),
        [torch.from_numpy(g) for g in gradients],
        lr=0.05,
        betas=(0.8, 0.95),
        weight_decay=weight_decay,
    )
    np.testing.assert_allclose(found.numpy(), x, rtol=1e-12)


def test_values_are_those_of_timm() -> None:
    """timm 1.0.31: ``Lamb([p], lr=0.05, weight_decay=0.1, max_grad_norm=None)`` over the three gradients below."""
    start = torch.linspace(-1, 1, 6).reshape(2, 3)
    gradients = [torch.sin(torch.arange(6.0) * (t + 1)).reshape(2, 3) for t in range(3)]
    found = steps(nn.Parameter(start), gradients, lr=0.05, weight_decay=0.1)
    expected = [[-0.9798799, -0.773488, -0.2251924], [0.1469829, 0.6267288, 1.1092902]]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_a_step_is_as_long_as_the_rate_says() -> None:
    start = torch.full((50, 50), 0.3)
    moved = steps(nn.Parameter(start.clone()), [torch.randn(50, 50)], lr=0.01, weight_decay=0.1) - start
    assert (moved.norm() / start.norm()).item() == pytest.approx(0.01, rel=1e-4)


def test_weights_of_zero_learn_too() -> None:
    assert steps(nn.Parameter(torch.zeros(2, 2)), [torch.ones(2, 2)], lr=0.1).mean().item() == pytest.approx(-0.1)


def test_a_restored_state_goes_on_bit_for_bit() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(6, 3, 2)
    whole = steps(nn.Parameter(torch.ones(3, 2)), list(gradients))
    parameter = nn.Parameter(torch.ones(3, 2))
    optimizer = LAMB([parameter])
    for index, gradient in enumerate(gradients):
        if index == 3:
            state = copy.deepcopy(optimizer.state_dict())
            optimizer = LAMB([parameter])
            optimizer.load_state_dict(state)
        parameter.grad = gradient
        loss = optimizer.step(lambda: 2.0)
    assert torch.equal(parameter, whole)
    assert loss == 2.0
