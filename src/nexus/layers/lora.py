"""LoRA: fine-tune a large model by a small, low-rank change of its linear layers."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from nexus.config import Config
from nexus.errors import CheckpointMismatchError, ConfigError

__all__ = [
    "LoRAConfig",
    "LoRALinear",
    "add_lora",
    "load_lora",
    "lora_state",
    "merge_lora",
    "merged_state",
    "unmerge_lora",
]


class LoRAConfig(Config):
    """Which layers are adapted, and by how much.

    Attributes:
        rank: r, of the change; the paper finds 4 to 8 enough.
        alpha: the change is scaled by alpha over r. The paper sets it to the first r that it tries, and leaves it so.
        dropout: rate on the input of the change, in training.
        targets: names of linear layers, or ends of their names, with ``*``, ``?`` and ``[...]`` as in file names.
    """

    rank: PositiveInt = 8
    alpha: PositiveFloat = 8.0
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("attn.qkv", "attn.proj")


class LoRALinear(nn.Module):
    """A linear layer with a change of low rank: h = W0 x + alpha / r B A x (Hu et al. 2021, equation 3).

    W0 is frozen. A starts normal, with the variance that keeps the length of x, and B at zero, so that at first nothing
    changes. It is ours because the library that has it (PEFT) brings transformers and accelerate with it.

    Args:
        base: the layer to adapt; it is frozen.
        config: see `LoRAConfig`.

    Attributes:
        lora_a: A, (r, inputs).
        lora_b: B, (outputs, r).
        merged: whether the change is part of `base.weight` at the moment.
    """

    def __init__(self, base: nn.Linear, config: LoRAConfig) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = config.alpha / config.rank
        device, dtype = base.weight.device, base.weight.dtype
        self.lora_a = nn.Linear(base.in_features, config.rank, bias=False, device=device, dtype=dtype)
        self.lora_b = nn.Linear(config.rank, base.out_features, bias=False, device=device, dtype=dtype)
        self.dropout = nn.Dropout(config.dropout)
        self.merged = False
        nn.init.normal_(self.lora_a.weight, std=base.in_features**-0.5)
        nn.init.zeros_(self.lora_b.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        if self.merged:
            return self.base(x)  # type: ignore[no-any-return]
        return self.base(x) + self.scale * self.lora_b(self.lora_a(self.dropout(x)))  # type: ignore[no-any-return]

    @property
    def change(self) -> Tensor:
        """What is added to the weight, (outputs, inputs)."""
        return self.scale * (self.lora_b.weight @ self.lora_a.weight)

    @property
    def weight(self) -> Tensor:
        """The weight with its change, for layers that read it instead of calling this one."""
        return self.base.weight if self.merged else self.base.weight + self.change

    @property
    def bias(self) -> nn.Parameter | None:
        """The bias of the adapted layer, which stays as it is."""
        return self.base.bias


def add_lora(model: nn.Module, config: LoRAConfig) -> list[str]:
    """Adapt linear layers of a model, and let only the adapters and the `head` learn.

    Args:
        model: changed in place.
        config: see `LoRAConfig`.

    Returns:
        The names of the adapted layers.

    Raises:
        ConfigError: a target fits no linear layer, or the model is adapted already.
    """
    if any(True for _ in adapters(model)):
        raise ConfigError(f"this {type(model).__name__} has adapters already; load it anew, or train those on")
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    linear = [name for name in linear if name.split(".")[0] != "head"]  # which learns as it is
    chosen = {target: [name for name in linear if fits(name, target)] for target in config.targets}
    for target, names in chosen.items():
        if not names:
            raise ConfigError(_lacks(model, target, linear))
    adapted = [name for name in linear if any(name in names for names in chosen.values())]
    model.requires_grad_(False)
    for name in adapted:
        model.set_submodule(name, LoRALinear(model.get_submodule(name), config))  # type: ignore[arg-type]
    if isinstance(head := getattr(model, "head", None), nn.Module):
        head.requires_grad_(True)
    return adapted


def _lacks(model: nn.Module, target: str, linear: Sequence[str]) -> str:
    name = type(model).__name__
    if not linear:
        return f"{name} has no linear layer but its head, so LoRA adapts nothing of it: leave lora out"
    kinds = sorted({".".join(part for part in layer.split(".") if not part.isdigit()) for layer in linear})
    return f"no linear layer of {name} is called {target!r}: set lora.targets to some of {', '.join(kinds)}"


def fits(name: str, target: str) -> bool:
    """Whether a module's name, or its end, is what a target says."""
    return fnmatch.fnmatchcase(name, target) or fnmatch.fnmatchcase(name, f"*.{target}")


@torch.no_grad()
def merge_lora(model: nn.Module) -> None:
    """Add all changes to the weights: the model answers the same, as fast as without adapters, and cannot learn."""
    for _, layer in adapters(model):
        if not layer.merged:
            layer.base.weight += layer.change
            layer.merged = True


@torch.no_grad()
def unmerge_lora(model: nn.Module) -> None:
    """Take all changes out of the weights again, so that the adapters can learn on."""
    for _, layer in adapters(model):
        if layer.merged:
            layer.base.weight -= layer.change
            layer.merged = False


@torch.no_grad()
def merged_state(model: nn.Module, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return the state dict that the model would have without adapters and with their changes in its weights.

    Args:
        model: with adapters or without.
        state: its own state dict, where the model itself does not hold it whole.
    """
    merged = dict(model.state_dict() if state is None else state)
    for name, layer in adapters(model):
        a, b = merged.pop(f"{name}.lora_a.weight"), merged.pop(f"{name}.lora_b.weight")
        if not layer.merged:
            merged[f"{name}.base.weight"] = merged[f"{name}.base.weight"] + layer.scale * (b @ a)
        for key in [key for key in merged if key.startswith(f"{name}.base.")]:
            merged[key.replace(f"{name}.base.", f"{name}.")] = merged.pop(key)
    return merged


def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """Return what `add_lora` lets learn, the adapters and the head: a small part of the model's state dict."""
    names = tuple(f"{name}.lora_" for name, _ in adapters(model))
    return {key: tensor for key, tensor in model.state_dict().items() if key.startswith((*names, "head."))}


def load_lora(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `lora_state` gave into a model with the same adapters, strictly.

    Raises:
        CheckpointMismatchError: all missing, unexpected and wrongly shaped keys.
    """
    own = lora_state(model)
    reshaped = [
        (key, tuple(state[key].shape), tuple(own[key].shape))
        for key in own.keys() & state.keys()
        if state[key].shape != own[key].shape
    ]
    missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
    if missing or unexpected or reshaped:
        raise CheckpointMismatchError(
            "the adapter", type(model).__name__, missing=missing, unexpected=unexpected, reshaped=reshaped,
            hint="Call add_lora with the adapter's own rank and targets, and give the model a head of its size, first.",
        )  # fmt: skip
    model.load_state_dict(dict(state), strict=False)


def adapters(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Return the adapted layers with their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear))
