"""`mix_values`: the same values by PyTorch's fused kernel and by the open products."""

from __future__ import annotations

import pytest
import torch

from nexus.layers import attention, mix_values


@pytest.fixture
def heads() -> torch.Tensor:
    return torch.randn(3, 2, 3, 7, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", [None, 0.2])
def test_weights_change_nothing_but_what_is_returned(heads: torch.Tensor, masked: bool, scale: float | None) -> None:
    mask = torch.zeros(7, 7).fill_diagonal_(-torch.inf) if masked else None
    query, key, value = heads
    fused, none = mix_values(query, key, value, mask=mask, scale=scale)
    mixed, weights = mix_values(query, key, value, mask=mask, scale=scale, return_weights=True)
    assert none is None
    assert weights is not None
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 7))
    torch.testing.assert_close(mixed, fused, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(weights @ value, fused, atol=1e-6, rtol=1e-6)


def test_training_in_bf16_on_a_cpu_is_the_same_within_its_precision(heads: torch.Tensor) -> None:
    """Values and gradients are as far from fp32 as the fused kernel's are, within a factor of three."""

    def mixed_and_gradient(dtype: torch.dtype, keys: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = heads.to(dtype, copy=True).requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(attention, "SHORT", keys)
            mixed, _ = mix_values(*inputs)
        mixed.float().square().sum().backward()
        assert inputs.grad is not None
        return mixed.detach().float(), inputs.grad.float()

    truth = mixed_and_gradient(torch.float32, 0)
    fused, opened = mixed_and_gradient(torch.bfloat16, 0), mixed_and_gradient(torch.bfloat16, 7)
    assert not torch.equal(fused[0], opened[0])  # two different ways
    for true, one, other in zip(truth, fused, opened):
        assert (other - true).abs().mean() < 3 * (one - true).abs().mean() < 0.03


def test_inference_and_long_rows_take_the_fused_kernel(heads: torch.Tensor) -> None:
    key = heads[1].bfloat16().requires_grad_()
    assert attention.is_faster_open(key)
    assert not attention.is_faster_open(heads[1].requires_grad_())
    assert not attention.is_faster_open(key.expand(-1, -1, 7, -1).new_zeros(1, 1, attention.SHORT + 1, 8))
    with torch.no_grad():
        assert not attention.is_faster_open(key)
