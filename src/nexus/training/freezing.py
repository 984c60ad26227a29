"""Which parts of a model learn and which stay as they are."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import NamedTuple

from torch import nn

from nexus.errors import ConfigError, did_you_mean
from nexus.training.optim import layer_depths

__all__ = ["ParameterCount", "count_parameters", "freeze", "freeze_all_but_last"]


class ParameterCount(NamedTuple):
    """How many numbers of a model learn.

    Attributes:
        trainable: numbers that gradients are computed for.
        frozen: the others.
    """

    trainable: int
    frozen: int


def count_parameters(model: nn.Module) -> ParameterCount:
    """Count the trainable and the frozen parameters; buffers are neither."""
    sizes = [(parameter.requires_grad, parameter.numel()) for parameter in model.parameters()]
    return ParameterCount(sum(n for learns, n in sizes if learns), sum(n for learns, n in sizes if not learns))


def freeze(model: nn.Module, patterns: Iterable[str]) -> ParameterCount:
    """Let parts of a model stay as they are. Batch norms among them keep their statistics too (`NexusModule.train`).

    Args:
        model: the bare model.
        patterns: names of modules or parameters, with ``*``, ``?`` and ``[...]`` as in file names and ranges as in
            ``"blocks.0-8"``. All that lies in a module goes with it. ``blocks.N`` is the N-th of `model.blocks`,
            wherever it lies.

    Returns:
        What learns now.

    Raises:
        ConfigError: a pattern fits nothing.
    """
    parts: dict[str, list[nn.Parameter]] = {
        **{f"blocks.{index}": list(block.parameters()) for index, block in enumerate(getattr(model, "blocks", ()))},
        **{name: list(module.parameters()) for name, module in model.named_modules() if name},
        **{name: [parameter] for name, parameter in model.named_parameters()},
    }
    for pattern in patterns:
        fits = matcher(pattern).fullmatch
        fitting = [name for name in parts if fits(name)]
        if not fitting:
            raise ConfigError(f"no part of {type(model).__name__} is called {pattern!r}{did_you_mean(pattern, parts)}")
        for name in fitting:
            for parameter in parts[name]:
                parameter.requires_grad_(False)
    return count_parameters(model)


def freeze_all_but_last(model: nn.Module, blocks: int) -> ParameterCount:
    """Let only the last blocks learn, and what comes behind them: the last norm and the head.

    Args:
        model: the bare model.
        blocks: how many; 0: the last norm and the head alone.

    Returns:
        What learns now.

    Raises:
        ConfigError: the model has fewer blocks, or none at all.
    """
    depths = layer_depths(model)
    top = max(depths.values())
    if not 0 <= blocks < top:
        raise ConfigError(f"{type(model).__name__} has {top - 1} blocks; its last {blocks} cannot be chosen")
    for name, parameter in model.named_parameters():
        if depths[name] < top - blocks:
            parameter.requires_grad_(False)
    return count_parameters(model)


def matcher(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern as `freeze` takes it."""
    parts = []
    for part in pattern.split("."):
        ends = re.fullmatch(r"(\d+)-(\d+)", part)
        if ends:
            parts.append("(" + "|".join(str(number) for number in range(int(ends[1]), int(ends[2]) + 1)) + ")")
        else:
            parts.append(fnmatch.translate(part).removesuffix(r"\z").removesuffix(r"\Z"))
    return re.compile(r"\.".join(parts))
