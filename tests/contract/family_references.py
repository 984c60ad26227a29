"""What the reference implementations call the tensors of our variants, at full size.

transformers' classes are built on the meta device; the keys of the others were written down by the generators in
``tests/parity/golden``.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from nexus.registry import Variant

__all__ = ["Shapes", "full_size_states", "golden", "on_meta", "published", "transformer_values"]

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "parity" / "golden"

Shapes = Mapping[str, tuple[int, ...]]


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    """Return library -> key -> shape of the state dicts in which a variant is published; nothing if none is known.

    A family whose references are more than a golden list has a module of its name in ``references``, with a function of
    this name.
    """
    path = HERE / "references" / f"{variant.family}.py"
    if not path.is_file():
        return published(variant.family, variant)
    states: dict[str, Shapes] = _module(path).full_size_states(variant)
    return states


def published(family: str, variant: Variant) -> dict[str, Shapes]:
    """The libraries in a family's golden list of keys that have a variant."""
    return {library: models[variant.name] for library, models in golden(family).items() if variant.name in models}


def transformer_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a Hugging Face config that plain transformers name alike."""
    return {
        "hidden_size": config["embed_dim"],
        "num_hidden_layers": config["num_layers"],
        "num_attention_heads": config["num_heads"],
    }


def on_meta(build: Callable[[Any], torch.nn.Module], config: Any) -> Shapes:
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build(config).state_dict().items()}


@cache
def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"references_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def golden(family: str) -> dict[str, dict[str, dict[str, tuple[int, ...]]]]:
    """Read library -> model -> key -> shape; nothing for a family that has no such file."""
    if not (GOLDEN / f"{family}_keys.json.gz").is_file():
        return {}
    described = json.loads(gzip.decompress((GOLDEN / f"{family}_keys.json.gz").read_bytes()))
    return {
        library: {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in models.items()}
        for library, models in described.items()
    }
