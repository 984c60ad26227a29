from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nexus.errors import ConfigError, InputError
from nexus.layers import DropPath, seed_drop_path, set_drop_path
from nexus.layers.drop_path import uniform_draws
from nexus.models.cv import DINOv2

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 3, "num_heads": 2}
SEEDS = torch.tensor([3, 2**62 + 5, 7_000_000_000, 41, 0, 99, 2**40, 12])


def vit(rate: float = 0.6) -> DINOv2:
    torch.manual_seed(0)
    return DINOv2({**TINY, "num_classes": 4, "drop_path": rate, "layer_scale": 1.0}).train()


def gradients(model: nn.Module, images: Tensor, seeds: Tensor) -> dict[str, Tensor]:
    """What the seeds give; the torch generator is in another state at each call."""
    model.zero_grad()
    seed_drop_path(model, seeds)
    model(images)["logits"].square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_draws_are_uniform_and_independent() -> None:
    draws = uniform_draws(torch.arange(20_000) * 2**31 + 11, 6)
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = torch.stack([torch.histc(layer, 20, 0, 1) for layer in draws])
    assert ((counts - 1000) ** 2 / 1000).sum(1).max() < 45  # chi squared of 19 degrees: 1 in 1000 is above 43.8
    assert (torch.corrcoef(draws) - torch.eye(6)).abs().max() < 0.03
    assert torch.corrcoef(torch.stack([draws[0, 1:], draws[0, :-1]]))[0, 1].abs() < 0.03


def test_draws_are_those_of_the_hash_in_plain_integers() -> None:
    """Derived: the hash in Python's integers; a run that goes on after an update must drop what it would have."""

    def mixed(x: int) -> int:
        for _ in range(2):
            x = ((x >> 16) ^ x) * 0x45D9F3B % 2**32
        return (x >> 16) ^ x

    found = uniform_draws(SEEDS, 3)
    for layer in range(3):
        for sample, seed in enumerate(SEEDS.tolist()):
            expected = mixed(mixed(mixed(seed % 2**32) ^ (seed >> 32)) ^ mixed(layer + 1)) >> 8
            assert found[layer, sample].item() == expected / 2**24


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_batch_gives_the_same_in_two_halves(checkpointing: bool) -> None:
    model, images = vit(), torch.randn(8, 3, 28, 28)
    whole = gradients(model, images, SEEDS)
    model.gradient_checkpointing = checkpointing
    halves = [gradients(model, images[half], SEEDS[half]) for half in (slice(0, 4), slice(4, 8))]
    for name, gradient in whole.items():
        torch.testing.assert_close(halves[0][name] + halves[1][name], gradient, rtol=1e-4, atol=1e-4)
    seed_drop_path(model, SEEDS)
    once = model(images)["logits"]
    assert torch.equal(once, model(images)["logits"])
    seed_drop_path(model, SEEDS + 1)
    assert not torch.allclose(once, model(images)["logits"])


def test_checkpointed_blocks_repeat_their_choices() -> None:
    model, images = vit(), torch.randn(8, 3, 28, 28)
    expected = gradients(model, images, SEEDS)
    model.gradient_checkpointing = True
    torch.manual_seed(5)
    found = gradients(model, images, SEEDS)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)


def test_the_two_branches_of_a_block_are_dropped_apart() -> None:
    block = vit().blocks[2]
    seed_drop_path(block, torch.arange(1000))
    first, second = block.drop_path1(torch.ones(1000, 1)), block.drop_path2(torch.ones(1000, 1))
    assert (first > 0).float().mean().item() == pytest.approx(0.4, abs=0.05)
    agreement = ((first > 0) == (second > 0)).float().mean().item()
    assert agreement == pytest.approx(0.4**2 + 0.6**2, abs=0.05)


def test_without_seeds_torch_decides() -> None:
    layer, x = DropPath(0.5), torch.ones(4000, 1)
    seed_drop_path(layer, torch.zeros(4000, dtype=torch.int64))
    assert len(set(layer(x).flatten().tolist())) == 1  # one seed, one choice
    seed_drop_path(layer, None)
    torch.manual_seed(0)
    assert layer(x).mean().item() == pytest.approx(1, abs=0.1)


def test_seeds_of_another_batch_are_refused() -> None:
    layer = DropPath(0.5)
    seed_drop_path(layer, SEEDS)
    with pytest.raises(InputError, match="8 samples have seeds, the batch has 4: seed_drop_path first"):
        layer(torch.ones(4, 2))


@pytest.mark.slow
def test_new_seeds_compile_nothing_again() -> None:
    model, images, graphs = vit(), torch.randn(8, 3, 28, 28), []

    def counted(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    compiled = torch.compile(model, backend=counted)
    for shift in range(3):
        seed_drop_path(compiled, SEEDS + shift)
        torch.testing.assert_close(compiled(images)["logits"], model(images)["logits"])
    assert len(graphs) == 1


def test_rates_are_set_after_construction() -> None:
    model = vit(0.0)
    set_drop_path(model, 0.4)
    assert [block.drop_path1.rate for block in model.blocks] == pytest.approx([0, 0.2, 0.4])
    assert [block.drop_path2.rate for block in model.blocks] == pytest.approx([0, 0.2, 0.4])
    with pytest.raises(ConfigError, match=r"drop_path = 1\.0: a rate is at least 0 and below 1"):
        set_drop_path(model, 1.0)
    with pytest.raises(ConfigError, match="Linear has no residual branch that could be dropped"):
        set_drop_path(nn.Linear(2, 2), 0.1)
