"""The optimiser of a run: which parameters decay, and which of them learn slowly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import nn
from torch.optim import Optimizer

from nexus.config import Config
from nexus.errors import ConfigError
from nexus.training.lamb import LAMB

__all__ = ["OptimizerConfig", "build_optimizer", "layer_depths", "parameter_groups"]

WEIGHT_DECAY = {"adamw": 0.05, "sgd": 1e-4, "lamb": 0.01}
FUSED = {"cpu", "cuda"}
"""Devices on which torch has its optimisers as one kernel."""
LINKS = ("downsamples", "merges")
"""How families call the list of what leads from one stage to the next."""


class OptimizerConfig(Config):
    """What changes the weights; the learning rate is the run's.

    The weight decays by default are those of DeiT (its authors' ``main.py``), ResNet (He et al. 2016, section 3.4) and
    LAMB's paper.

    Attributes:
        name: AdamW (Loshchilov and Hutter 2019), SGD with momentum, or LAMB (You et al. 2020).
        weight_decay: of matrices and kernels; everything else is free (`parameter_groups`). Default: by `name`.
        betas: decay of the two moments of AdamW and LAMB.
        eps: added to the root of the second moment. Default: 1e-8, and 1e-6 for LAMB.
        momentum: of SGD.
        nesterov: look ahead along the momentum (SGD).
        layer_decay: the rate of a block over that of the next one (`layer_depths`); 1: the same for all. MAE's
            authors fine-tune ViT-B with 0.65, ViT-L and ViT-H with 0.75 (their ``FINETUNE.md``).
    """

    name: Literal["adamw", "sgd", "lamb"] = "adamw"
    weight_decay: NonNegativeFloat = Field(default_factory=lambda values: WEIGHT_DECAY[values.get("name", "adamw")])
    betas: tuple[float, float] = (0.9, 0.999)
    eps: PositiveFloat = Field(default_factory=lambda values: 1e-6 if values.get("name") == "lamb" else 1e-8)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    layer_decay: float = Field(1.0, gt=0, le=1)


def build_optimizer(model: nn.Module, config: OptimizerConfig, lr: float) -> Optimizer:
    """Return an optimiser over the trainable parameters of a model.

    Args:
        model: the bare model, not one wrapped for distribution.
        config: see `OptimizerConfig`.
        lr: the peak learning rate, of the parameters with an `lr_scale` of 1.

    Raises:
        ConfigError: nothing is trainable, or `layer_decay` is asked of a model that has no blocks.
    """
    groups = parameter_groups(model, config, lr)
    if not groups:
        raise ConfigError(f"{type(model).__name__} has no trainable parameters: everything is frozen")
    if config.name == "lamb":
        return LAMB(groups, lr=lr, betas=config.betas, eps=config.eps)
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = all(parameter.device.type in FUSED for parameter in parameters)
    if config.name == "sgd":
        # Torch has no such kernel for shards. A `DTensor` is told by what only it has: its import takes a second.
        fused = fused and not any(hasattr(parameter, "placements") for parameter in parameters)
        return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused)
    return torch.optim.AdamW(groups, lr=lr, betas=config.betas, eps=config.eps, fused=fused)


def parameter_groups(model: nn.Module, config: OptimizerConfig, lr: float) -> list[dict[str, Any]]:
    """Return the trainable parameters of a model by what is done to them.

    What decays are matrices and kernels: parameters called ``weight`` of two dimensions or more. Biases, norms, layer
    scales, position embeddings, class and register tokens, tables of relative positions and temperatures are free.

    Returns:
        Groups with `params`, `lr`, `lr_scale` (its `lr` over the peak) and `weight_decay`; each parameter is in one.
    """
    depths = layer_depths(model) if config.layer_decay < 1 else {}
    top = max(depths.values(), default=0)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = config.layer_decay ** (top - depths.get(name, top))
            decays = parameter.ndim > 1 and name.endswith("weight")
            groups.setdefault((scale, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": lr * scale,
            "lr_scale": scale,
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (scale, decays), parameters in groups.items()
    ]


def layer_depths(model: nn.Module) -> dict[str, int]:
    """Return how deep each parameter lies (the rule of BEiT and MAE, whose rate is ``decay ** (top - depth)``).

    Patch embedding, stem, tokens and positions have depth 0, block i of L (counted from 0) has i + 1, the last norm and
    the head L + 1. What stands between two blocks, or leads to a stage, counts with the block that follows.

    Raises:
        ConfigError: the model has no `blocks`.
    """
    if not hasattr(model, "blocks"):
        raise ConfigError(f"{type(model).__name__} has no blocks to decay the learning rate over: set layer_decay to 1")
    blocks: Iterable[nn.Module] = model.blocks  # type: ignore[assignment]
    inside = {id(p): depth for depth, block in enumerate(blocks, 1) for p in block.parameters()}
    leading = stage_links(model, inside)
    first, following = min(inside.values(), default=1), max(inside.values(), default=0) + 1
    depths: dict[str, int] = {}
    for name, parameter in reversed(list(model.named_parameters())):
        following = inside.get(id(parameter), following)
        in_front = following == first and id(parameter) not in inside
        depths[name] = leading.get(id(parameter), 0 if in_front else following)
    return depths


def stage_links(model: nn.Module, inside: dict[int, int]) -> dict[int, int]:
    """Return the depths of the layers that lead from one of the model's `stages` to the next, by parameter."""
    stages = getattr(model, "stages", ())
    firsts = [min((inside[id(p)] for p in stage.parameters() if id(p) in inside), default=0) for stage in stages]
    return {
        id(parameter): depth
        for links in LINKS
        for link, depth in zip(getattr(model, links, ()), firsts[1:])
        for parameter in link.parameters()
    }
