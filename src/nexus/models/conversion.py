"""What every `convert.py` is written with: a key table, applied by pure functions from dict to dict."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nexus.errors import ConfigError, WeightsError

__all__ = [
    "CheckpointFormat",
    "State",
    "detect_format",
    "fuse",
    "fuse_qkv",
    "huggingface_classes",
    "rename",
    "require_value",
    "square_side",
    "strip_prefix",
    "with_batch_counts",
]

State = Mapping[str, Tensor]
"""A flat state dict: key -> tensor."""


@dataclass(frozen=True)
class CheckpointFormat:
    """One upstream layout of a family's checkpoints.

    Attributes:
        signature: a key that every checkpoint of this layout has, as it stands or after a prefix (``vit.``,
            ``params/``), and no layout that the family lists before it.
        convert: ``(state, config) -> state`` of our model; pure; keys it does not know pass through unchanged, so that
            strict loading names them.
    """

    signature: str
    convert: Callable[[State, Any], dict[str, Tensor]]


def detect_format(state: State, formats: Mapping[str, CheckpointFormat], source: str) -> str:
    """Return the name of the layout that a checkpoint has, by its keys.

    Raises:
        WeightsError: none of them; the message names the layouts and the first keys found.
    """
    for name, layout in formats.items():
        if has_signature(state, layout):
            return name
    raise WeightsError(
        f"{source} is in none of the layouts that this family reads ({', '.join(formats)}); its first keys are "
        f"{', '.join(list(state)[:4])}."
    )


def has_signature(state: State, layout: CheckpointFormat) -> bool:
    """Return whether a checkpoint has the key that tells a layout apart."""
    prefixed = (f".{layout.signature}", f"/{layout.signature}")
    return any(key == layout.signature or key.endswith(prefixed) for key in state)


def rename(state: State, table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Rename keys by templates.

    Args:
        state: the upstream tensors.
        table: upstream template -> our template. ``{}`` stands for a layer number and is carried over in order; a
            template matches a whole key, or a prefix of it that ends before a dot. The first match wins. ``None``
            drops the key: that the model has no use for it is thereby declared.

    Returns:
        A new dict; keys that match nothing keep their names.
    """
    rules = [(_pattern(upstream), ours) for upstream, ours in table.items()]
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        new = _apply(key, rules)
        if new is not None:
            renamed[new] = tensor
    return renamed


def fuse(state: State, parts: Iterable[str], whole: str) -> dict[str, Tensor]:
    """Concatenate tensors along the first axis, e.g. query, key and value into one projection.

    Args:
        state: tensors, already renamed.
        parts: templates of the parts, in the order of concatenation, e.g. ``"blocks.{}.attn.q.weight"``.
        whole: template of the result, e.g. ``"blocks.{}.attn.qkv.weight"``.

    Returns:
        A new dict in which every complete set of parts is replaced by the whole.
    """
    fused, (first, *rest) = dict(state), tuple(parts)
    for key in state:
        match = _pattern(first).fullmatch(key)
        if match is None:
            continue
        keys = [part.format(*match.groups()[:-1]) for part in (first, *rest)]
        if all(k in fused for k in keys):
            fused[whole.format(*match.groups()[:-1])] = torch.cat([fused.pop(k) for k in keys])
    return fused


def fuse_qkv(state: State, attention: str) -> dict[str, Tensor]:
    """Make one projection of query, key and value, for weights and biases.

    Args:
        state: tensors, already renamed.
        attention: template of an attention layer, e.g. ``"blocks.{}.attn"``; its parts ``q``, ``k`` and ``v`` become
            ``qkv``.
    """
    fused = dict(state)
    for kind in ("weight", "bias"):
        fused = fuse(fused, [f"{attention}.{part}.{kind}" for part in "qkv"], f"{attention}.qkv.{kind}")
    return fused


def strip_prefix(state: State, prefix: str) -> dict[str, Tensor]:
    """Take a prefix such as ``"vit."`` off the keys that have it."""
    return {key.removeprefix(prefix): tensor for key, tensor in state.items()}


def square_side(described: Mapping[str, Any], key: str) -> int:
    """Read a side length from a Hugging Face ``config.json``, where it may be a number or a pair of equal numbers.

    Raises:
        ConfigError: the two differ.
    """
    sides = {described[key]} if isinstance(described[key], int) else set(described[key])
    if len(sides) != 1:
        raise ConfigError(
            f"{key} = {described[key]} is not square; only square grids of position embeddings are supported"
        )
    return int(sides.pop())


def require_value(described: Mapping[str, Any], key: str, expected: Any) -> None:
    """Check a value of a Hugging Face ``config.json`` that our model cannot change; an absent one is taken as right.

    Raises:
        ConfigError: it has another value.
    """
    if described.get(key, expected) != expected:
        raise ConfigError(f"{key} = {described[key]!r} in config.json is not supported; only {expected!r} is")


def huggingface_classes(described: Mapping[str, Any]) -> int:
    """Return the number of classes of a Hugging Face classifier, 0 where the folder holds a bare encoder."""
    if not any("ForImageClassification" in name for name in described.get("architectures") or ()):
        return 0
    return len(described.get("id2label") or (0, 1))  # two classes are their default and not written down


def with_batch_counts(state: State) -> dict[str, Tensor]:
    """Set the number of batches seen by each norm to zero: sources give it or not, and inference does not read it."""
    counts = {
        key.removesuffix("running_mean") + "num_batches_tracked": torch.tensor(0)
        for key in state
        if key.endswith(".running_mean")
    }
    return {**state, **counts}


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.escape(template).replace(r"\{\}", r"(\d+)") + r"((?:\..*)?)")


def _apply(key: str, rules: list[tuple[re.Pattern[str], str | None]]) -> str | None:
    for pattern, ours in rules:
        if match := pattern.fullmatch(key):
            *numbers, rest = match.groups()
            return None if ours is None else ours.format(*numbers) + rest
    return key
