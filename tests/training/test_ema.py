from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from nexus.models.cv import DINOv2
from nexus.training import EMA, EMAConfig

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}


def drift(model: nn.Module, seed: int) -> None:
    """Change all weights, as a step of an optimiser would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))


@pytest.mark.parametrize("warmup", [True, False])
def test_the_average_is_the_recurrence(warmup: bool) -> None:
    """Derived: e <- d e + (1 - d) w in float64, with timm's decay: 1 - (1 + t) ** (-2 / 3), from a copy on."""
    model = nn.Linear(3, 2).double()
    ema = EMA(model, EMAConfig(decay=0.7, warmup=warmup))
    expected = None
    for step in range(9):
        drift(model, step)
        ema.update(model)
        weight = model.weight.detach().clone()
        decay = min(0.7, 1 - (1 + step) ** (-2 / 3)) if warmup else 0.7
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
        torch.testing.assert_close(ema.module.weight, expected, rtol=1e-12, atol=1e-12)


def test_the_decay_is_timms() -> None:
    """timm 1.0.31: ``ModelEmaV3(model, decay=0.99, use_warmup=True).get_decay(t + 1)`` for the steps below."""
    config = EMAConfig(decay=0.99)
    found = [config.decay_at(step) for step in (0, 1, 2, 10, 100, 999, 1000)]
    assert found == pytest.approx([0.0, 0.3700394751, 0.5192501432, 0.7978199918, 0.953890995, 0.99, 0.99], abs=1e-9)


def test_statistics_are_averaged_and_counts_are_copied() -> None:
    norm = nn.BatchNorm2d(2)
    ema = EMA(norm, EMAConfig(decay=0.5, warmup=False))
    ema.update(norm)
    norm(torch.ones(2, 2, 3, 3) * 10)  # running mean 1
    ema.update(norm)
    assert ema.module.running_mean.tolist() == pytest.approx([0.5, 0.5])
    assert ema.module.num_batches_tracked == 1


def test_the_average_is_smoother_than_what_it_follows() -> None:
    model = nn.Linear(50, 50)
    ema = EMA(model, EMAConfig(decay=0.9))
    start = model.weight.detach().clone()
    for step in range(60):  # noise around a fixed point
        with torch.no_grad():
            model.weight.copy_(start + torch.randn(50, 50, generator=torch.Generator().manual_seed(step)))
        ema.update(model)
    assert (ema.module.weight - start).std() < 0.3 * (model.weight - start).std()


def test_it_is_a_model_that_answers_and_does_not_learn() -> None:
    model = DINOv2({**TINY, "num_classes": 3, "drop_path": 0.5}).train()
    ema = EMA(model, EMAConfig())
    images = torch.randn(2, 3, 28, 28)
    assert not ema.module.training
    assert model.training
    assert not any(parameter.requires_grad for parameter in ema.parameters())
    torch.testing.assert_close(ema.module(images)["logits"], model.eval()(images)["logits"].detach())


def test_a_restored_average_goes_on_bit_for_bit() -> None:
    model = nn.Linear(3, 2)
    whole = EMA(model, EMAConfig())
    for step in range(3):
        drift(model, step)
        whole.update(model)
    restored = EMA(nn.Linear(3, 2), EMAConfig())
    restored.load_state_dict(whole.state_dict())
    drift(model, 3)
    whole.update(model)
    restored.update(model)
    assert restored.updates == 4
    assert all(torch.equal(tensor, whole.state_dict()[key]) for key, tensor in restored.state_dict().items())


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])  # with buffers, and without
def test_a_spread_model_is_averaged_whole(norm: type[nn.Module]) -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    found = []
    for sharded in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), norm(4))
        ema = EMA(model, EMAConfig(decay=0.5))
        if sharded:
            fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
        for step in range(3):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(step + 0.5)
            ema.update(model)
        found.append(torch.cat([tensor.flatten() for tensor in ema.module.state_dict().values()]))
    torch.distributed.destroy_process_group()
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)
