from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nexus import registry
from nexus.errors import CheckpointMismatchError, ConfigError
from nexus.layers import (
    HeadConfig,
    LoRAConfig,
    LoRALinear,
    add_lora,
    build_head,
    load_lora,
    lora_state,
    merge_lora,
    merged_state,
    unmerge_lora,
)
from nexus.models.cv import DINOv2, ResNet
from nexus.models.loading import load_model

TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 2, "num_heads": 2}
IMAGES = torch.linspace(-1, 1, 2 * 3 * 28 * 28).sin().reshape(2, 3, 28, 28)


def vit() -> DINOv2:
    torch.manual_seed(0)
    return DINOv2({**TINY, "num_classes": 3, "layer_scale": 1.0}).eval()


def adapted(*, rank: int = 2, dropout: float = 0.0, learnt: bool = True) -> DINOv2:
    """A model with adapters that have left zero."""
    model = vit()
    add_lora(model, LoRAConfig(rank=rank, dropout=dropout))
    if learnt:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_b" in name:
                    parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    return model.eval()


def test_a_layer_is_equation_three() -> None:
    """Derived in float64: W0 x + b + alpha / r B A x, with the length of A x near that of x."""
    torch.manual_seed(0)
    base = nn.Linear(50, 7).double()
    weight = base.weight.detach().clone()
    layer, x = LoRALinear(base, LoRAConfig(rank=4, alpha=6)), torch.randn(5, 50).double()
    torch.testing.assert_close(layer(x), x @ weight.T + base.bias)
    assert (layer.lora_a.weight @ x.T).square().mean().sqrt().item() == pytest.approx(1, abs=0.4)
    nn.init.normal_(layer.lora_b.weight)
    change = 6 / 4 * layer.lora_b.weight @ layer.lora_a.weight
    torch.testing.assert_close(layer(x), x @ (weight + change).T + base.bias)
    torch.testing.assert_close(layer.weight, weight + change)


def test_nothing_changes_at_first() -> None:
    torch.testing.assert_close(adapted(learnt=False)(IMAGES)["logits"], vit()(IMAGES)["logits"], rtol=0, atol=0)


def test_only_adapters_and_the_head_learn() -> None:
    model, before = adapted(learnt=False).train(), vit().state_dict()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(".lora_" in name or name.startswith("head.") for name in learning)
    assert len(learning) == 2 * 2 * 2 + 2
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(IMAGES)["logits"], torch.tensor([0, 2]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(model.blocks[0].attn.qkv.base.weight, before["blocks.0.attn.qkv.weight"])
    assert torch.equal(model.blocks[0].mlp.fc1.weight, before["blocks.0.mlp.fc1.weight"])


def test_merged_models_answer_the_same() -> None:
    model = adapted()
    expected, weight = model(IMAGES)["logits"], model.blocks[0].attn.qkv.base.weight.clone()
    assert not torch.allclose(expected, vit()(IMAGES)["logits"], atol=1e-2)
    for _ in range(2):  # merging twice adds nothing twice
        merge_lora(model)
        assert not torch.equal(model.blocks[0].attn.qkv.base.weight, weight)
        torch.testing.assert_close(model(IMAGES)["logits"], expected, rtol=1e-5, atol=1e-6)
    unmerge_lora(model)
    torch.testing.assert_close(model.blocks[0].attn.qkv.base.weight, weight, rtol=0, atol=1e-6)
    torch.testing.assert_close(model(IMAGES)["logits"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("merged", [False, True])
def test_a_saved_model_needs_no_adapters(merged: bool, tmp_path: Path) -> None:
    model = adapted()
    if merged:
        merge_lora(model)
    assert merged_state(model).keys() == vit().state_dict().keys()
    loaded = load_model(model.save_pretrained(tmp_path))
    torch.testing.assert_close(loaded(IMAGES)["logits"], model(IMAGES)["logits"], rtol=1e-5, atol=1e-6)
    assert any(isinstance(module, LoRALinear) for module in model.modules())  # saving changes nothing


def test_an_adapter_alone_restores_the_model() -> None:
    model = adapted()
    model.head = build_head(16, 5, HeadConfig(hidden=(8,)))
    state = copy.deepcopy(lora_state(model))
    assert sum(tensor.numel() for tensor in state.values()) < 0.3 * sum(p.numel() for p in model.parameters())
    other = adapted(learnt=False)
    with pytest.raises(CheckpointMismatchError, match=r"missing: *head\.bias"):
        load_lora(other, state)
    other.head = build_head(16, 5, HeadConfig(hidden=(8,)))
    load_lora(other, state)
    torch.testing.assert_close(other(IMAGES)["logits"], model(IMAGES)["logits"], rtol=0, atol=0)
    with pytest.raises(CheckpointMismatchError, match="Call add_lora with the adapter's own rank and targets"):
        load_lora(adapted(rank=3), lora_state(adapted()))


@pytest.mark.parametrize("family", ["eva02", "swin_transformer"])
def test_layers_whose_weight_is_read_directly_are_adapted_too(family: str) -> None:
    """EVA-02 and Swin V2 add a bias of their own to query and value, and do not call the layer."""
    for tiny in importlib.import_module(f"{registry.families()[family].package}.variants").TINY:
        torch.manual_seed(0)
        model = registry.model_class(tiny["class_name"])(tiny["config"]).eval()
        for parameter in model.parameters():  # norms that start at zero would hide what is before them
            nn.init.normal_(parameter, std=0.3)
        images = torch.randn(1, 3, *tiny["sizes"][0])
        before = model(images)["logits"]
        names = add_lora(model, LoRAConfig(rank=2, targets=("attn.q*",)))
        torch.testing.assert_close(model(images)["logits"], before)
        for name in names:
            nn.init.normal_(model.get_submodule(name).lora_b.weight)
        logits = model(images)["logits"]
        assert not torch.allclose(logits, before)
        logits.sum().backward()
        assert all(model.get_submodule(name).lora_a.weight.grad.abs().sum() > 0 for name in names)
        merge_lora(model)
        torch.testing.assert_close(model(images)["logits"], logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("targets", "count"),
    [(("attn.qkv",), 2), (("attn.*",), 4), (("blocks.1.*",), 4), (("mlp.fc[12]", "attn.proj", "proj"), 6)],
)
def test_targets_are_ends_of_names_or_patterns(targets: tuple[str, ...], count: int) -> None:
    assert len(add_lora(vit(), LoRAConfig(targets=targets))) == count


def test_targets_that_fit_nothing_are_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"no linear layer of DINOv2 is called 'attn\.query': set lora.targets to some of blocks\.attn",
    ):
        add_lora(vit(), LoRAConfig(targets=("attn.query",)))
    with pytest.raises(ConfigError, match=r"no linear layer but its head, .* leave lora out"):
        add_lora(ResNet({"depths": (1, 1), "widths": (8, 8), "strides": (1, 2)}), LoRAConfig())
    model = adapted()
    with pytest.raises(ConfigError, match="this DINOv2 has adapters already"):
        add_lora(model, LoRAConfig())


def test_dropout_is_for_training() -> None:
    model = adapted(dropout=0.5)
    assert torch.equal(model(IMAGES)["logits"], model(IMAGES)["logits"])
    model.train()
    assert not torch.equal(model(IMAGES)["logits"], model(IMAGES)["logits"])
