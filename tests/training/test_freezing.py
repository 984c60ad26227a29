from __future__ import annotations

from typing import Any

import pytest
import torch

from nexus.errors import ConfigError
from nexus.models.cv import DINOv2, ResNet
from nexus.training.freezing import count_parameters, freeze, freeze_all_but_last

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 4, "num_heads": 2}


def vit() -> DINOv2:
    return DINOv2({**TINY, "num_classes": 3})


def learning(model: torch.nn.Module) -> set[str]:
    """The first two parts of the names of what learns."""
    return {".".join(name.split(".")[:2]) for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (
            ["blocks.0-2", "patch_embed"],
            {"blocks.3", "cls_token", "mask_token", "pos_embed", "norm.weight", "norm.bias"},
        ),
        (["*token*", "pos_embed", "blocks.[012]", "patch_*", "norm"], {"blocks.3"}),
        (["*"], set()),
    ],
)
def test_names_and_patterns_freeze(patterns: list[str], expected: set[str]) -> None:
    model = vit()
    left = freeze(model, patterns)
    assert learning(model) - {"head.weight", "head.bias"} == expected
    assert left == count_parameters(model)
    assert sum(left) == sum(parameter.numel() for parameter in model.parameters())


def test_one_layer_of_every_block_is_a_pattern() -> None:
    model = vit()
    freeze(model, ["blocks.*.attn"])
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert len(frozen) == 4 * 4
    assert all(".attn." in name for name in frozen)


def test_blocks_that_lie_in_stages_have_their_number() -> None:
    model = resnet()
    freeze(model, ["blocks.1-2"])
    inside = {id(p) for block in list(model.blocks)[1:3] for p in block.parameters()}
    assert {id(p) for p in model.parameters() if not p.requires_grad} == inside


def test_a_pattern_that_fits_nothing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no part of DINOv2 is called 'pach_embed' \(did you mean 'patch_embed'\?\)"):
        freeze(vit(), ["pach_embed"])
    with pytest.raises(ConfigError, match=r"no part of DINOv2 is called 'blocks\.4-9'"):
        freeze(vit(), ["blocks.4-9"])


def test_the_last_blocks_learn() -> None:
    model = vit()
    freeze_all_but_last(model, 1)
    assert learning(model) == {"blocks.3", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    model = vit()
    freeze_all_but_last(model, 0)
    assert learning(model) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    with pytest.raises(ConfigError, match="DINOv2 has 4 blocks; its last 5 cannot be chosen"):
        freeze_all_but_last(vit(), 5)


def test_frozen_weights_do_not_change() -> None:
    model = vit()
    freeze(model, ["blocks.0"])
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.randn(2, 3, 28, 28))["logits"].square().sum().backward()
    optimizer.step()
    assert torch.equal(model.blocks[0].mlp.fc1.weight, before["blocks.0.mlp.fc1.weight"])
    assert not torch.equal(model.blocks[1].mlp.fc1.weight, before["blocks.1.mlp.fc1.weight"])


def test_frozen_batch_norms_keep_their_statistics_in_training() -> None:
    model = resnet()
    freeze(model, ["blocks.0"])
    model.train()
    statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(torch.randn(4, 3, 32, 32))
    frozen = {name for name, _ in model.blocks[0].named_buffers()}
    assert frozen
    changed = {name for name, buffer in model.named_buffers() if not torch.equal(buffer, statistics[name])}
    names = {id(module): name for name, module in model.named_modules()}
    inside = tuple(f"{names[id(module)]}." for module in model.blocks[0].modules())
    assert changed
    assert not [name for name in changed if name.startswith(inside)]
    model.requires_grad_(True)
    model.train()
    assert all(module.training for module in model.modules())


def resnet() -> ResNet:
    from nexus.models.cv.resnet.variants import TINY as TINY_RESNETS

    torch.manual_seed(0)
    return ResNet(TINY_RESNETS[0]["config"])
