from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from nexus import registry
from nexus.errors import ConfigError
from nexus.models import NexusModule
from nexus.models.cv import DINOv2, SwinTransformer, VisionTransformer
from nexus.models.loading import build_on_meta
from nexus.training import LAMB, OptimizerConfig, build_optimizer
from nexus.training.optim import layer_depths, parameter_groups

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}


def names_by_group(model: nn.Module, config: OptimizerConfig) -> dict[tuple[float, float], set[str]]:
    """The names of the parameters by `lr_scale` and weight decay."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        (group["lr_scale"], group["weight_decay"]): {names[id(p)] for p in group["params"]}
        for group in parameter_groups(model, config, lr=1.0)
    }


@pytest.mark.parametrize("family", registry.families())
def test_every_trainable_parameter_is_in_one_group(family: str) -> None:
    """And none of what all families leave free decays."""
    free = ("bias", "token", "tokens", "pos_embed", "table", "rpb", "biases", "scale", "gamma", "probe")
    for tiny in getattr(importlib.import_module(f"{registry.families()[family].package}.variants"), "TINY", ()):
        model = build_on_meta(tiny["class_name"], tiny["config"])
        next(model.parameters()).requires_grad_(False)
        groups = names_by_group(model, OptimizerConfig(layer_decay=0.7))
        found = [name for names in groups.values() for name in names]
        assert len(found) == len(set(found))
        assert set(found) == {name for name, p in model.named_parameters() if p.requires_grad}
        decaying = [name for (_, decay), names in groups.items() if decay for name in names]
        assert decaying
        assert not [name for name in decaying if name.endswith(free) or model.get_parameter(name).ndim < 2]
        depths = layer_depths(model)
        assert min(depths.values()) <= 1  # the first block, where there is no stem
        assert all(depth == max(depths.values()) for name, depth in depths.items() if name.startswith("head."))


def test_what_decays_in_dinov2() -> None:
    groups = names_by_group(DINOv2({**TINY, "num_classes": 3, "num_registers": 2}), OptimizerConfig(weight_decay=0.1))
    layers = {"attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"}
    assert groups[1.0, 0.1] == {f"blocks.{i}.{layer}.weight" for i in range(2) for layer in layers} | {
        "patch_embed.proj.weight",
        "head.weight",
    }
    assert {"cls_token", "register_tokens", "pos_embed", "mask_token", "norm.weight", "blocks.0.ls1.gamma"} <= groups[
        1.0, 0.0
    ]


def test_rates_of_layers_are_those_of_mae() -> None:
    """Derived from the rule that MAE's and BEiT's fine-tuning states: by name, in plain words."""
    model = VisionTransformer({**TINY, "num_layers": 3, "num_classes": 2})
    config = OptimizerConfig(layer_decay=0.5, weight_decay=0.1)
    rates = {
        name: group["lr"]
        for group in parameter_groups(model, config, lr=0.8)
        for name, p in model.named_parameters()
        if any(p is other for other in group["params"])
    }
    for name, rate in rates.items():
        if name in ("cls_token", "pos_embed") or name.startswith("patch_embed."):
            layer = 0
        elif name.startswith("blocks."):
            layer = int(name.split(".")[1]) + 1
        else:
            layer = 4
        assert rate == pytest.approx(0.8 * 0.5 ** (4 - layer)), name
    assert rates["head.weight"] == 0.8


def test_what_leads_to_a_stage_learns_as_its_first_block() -> None:
    tiny = registry.families()["swin_transformer"]
    config = importlib.import_module(f"{tiny.package}.variants").TINY[0]["config"]
    model = SwinTransformer(config)
    depths = layer_depths(model)
    first = len(model.stages[0])
    assert depths["merges.0.reduction.weight"] == depths["stages.1.0.norm1.weight"] == first + 1
    assert depths["patch_embed.proj.weight"] == depths["patch_norm.weight"] == 0
    assert depths["norm.weight"] == depths["head.weight"] == len(list(model.blocks)) + 1


def test_adamw_and_sgd_are_their_formulas() -> None:
    """Derived: two steps in float64, decay apart from the gradient (AdamW) and inside of it (SGD)."""
    for name in ("adamw", "sgd"):
        model = nn.Linear(1, 1).double()
        with torch.no_grad():
            model.weight.fill_(2.0)
        config = OptimizerConfig(name=name, weight_decay=0.1)
        optimizer = build_optimizer(model, config, lr=0.01)
        x, m, v = 2.0, 0.0, 0.0
        for t, g in enumerate((0.5, -2.0), 1):
            model.weight.grad = torch.full((1, 1), g, dtype=torch.float64)
            optimizer.step()
            if name == "adamw":
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                x = x - 0.01 * 0.1 * x - 0.01 * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
            else:
                m = 0.9 * m + (g + 0.1 * x)
                x = x - 0.01 * m
        assert model.weight.item() == pytest.approx(x, rel=1e-12), name


def test_defaults_go_with_the_name() -> None:
    assert (OptimizerConfig().weight_decay, OptimizerConfig().eps) == (0.05, 1e-8)
    assert OptimizerConfig(name="sgd").weight_decay == 1e-4
    assert (OptimizerConfig(name="lamb").weight_decay, OptimizerConfig(name="lamb").eps) == (0.01, 1e-6)
    assert isinstance(build_optimizer(nn.Linear(2, 2), OptimizerConfig(name="lamb"), lr=1.0), LAMB)
    nesterov = build_optimizer(nn.Linear(2, 2), OptimizerConfig(name="sgd", nesterov=True), lr=1.0)
    assert nesterov.param_groups[0]["nesterov"]
    with pytest.raises(ConfigError, match="name = 'adam'"):
        OptimizerConfig.parse({"name": "adam"})


def test_impossible_wishes_are_named() -> None:
    class Plain(NexusModule):
        def __init__(self) -> None:
            super().__init__({})
            self.layer = nn.Linear(2, 2)

    with pytest.raises(ConfigError, match="Plain has no blocks to decay the learning rate over: set layer_decay to 1"):
        build_optimizer(Plain(), OptimizerConfig(layer_decay=0.7), lr=1.0)
    with pytest.raises(ConfigError, match="Plain has no trainable parameters: everything is frozen"):
        build_optimizer(Plain().requires_grad_(False), OptimizerConfig(), lr=1.0)


@pytest.fixture
def process_group() -> Iterator[None]:
    """A group of this process alone: enough to make shards of a model."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("name", ["adamw", "sgd", "lamb"])
def test_shards_take_the_same_steps(name: Any) -> None:
    images, found = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0)), []
    for sharded in (False, True):
        torch.manual_seed(0)
        model = VisionTransformer({**TINY, "num_classes": 2})
        if sharded:
            fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
        optimizer = build_optimizer(model, OptimizerConfig(name=name, layer_decay=0.8), lr=0.01)
        for _ in range(2):
            model(images, outputs=("logits",))["logits"].square().sum().backward()
            optimizer.step()
        weights = [p.full_tensor() if isinstance(p, DTensor) else p for p in model.parameters()]
        found.append(torch.cat([weight.detach().flatten() for weight in weights]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)
