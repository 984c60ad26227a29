"""Weights and images that follow from keys, shapes and sizes, so that golden files hold only answers; and key lists.

A generator fills another library's model with `formula_state` and stores what it answers; the test fills ours with the
same, through our converter.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "filled",
    "formula_images",
    "formula_state",
    "library_model",
    "read_keys",
    "read_outputs",
    "shapes_of",
    "thinned",
    "write_keys",
    "write_outputs",
]

HERE = Path(__file__).parent

LARGE = ("_token", "_tokens", "pos_embed", "gamma", "cls", "pos_embedding")
"""Ends of the names of tensors that are drawn from -1..1."""


def formula_state(shapes: Mapping[str, Sequence[int]], *, spread: float = 3.0, gain: float = 1.0) -> dict[str, Tensor]:
    """Return weights that depend on nothing but keys and shapes.

    Args:
        shapes: key -> shape.
        spread: matrices are uniform within ±sqrt(spread / inputs): 3 keeps the variance, 6 does so before a ReLU.
        gain: mean weight of the norms; below 1, the answers of a deep residual network stay small.
    """
    return {key: formula_tensor(key, tuple(shape), spread, gain) for key, shape in shapes.items()}


def formula_tensor(key: str, shape: tuple[int, ...], spread: float, gain: float) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    low, high = -0.2, 0.2
    if key.endswith(LARGE):
        low, high = -1.0, 1.0
    elif len(shape) > 1:
        high = math.sqrt(spread / math.prod(shape[1:]))
        low = -high
    elif key.endswith(".running_var"):
        low, high = 0.5, 1.5
    elif key.endswith((".weight", "/scale")):
        low, high = 0.8 * gain, 1.2 * gain
    # RandomState's stream is frozen (NumPy's NEP 19), and a uniform number is the same on every machine.
    values = np.random.RandomState(zlib.crc32(key.encode())).uniform(low, high, shape)
    return torch.from_numpy(values.astype(np.float32))


def formula_images(size: tuple[int, int]) -> Tensor:
    """Return a batch (2, 3, H, W) of uniform noise in -2..2."""
    values = np.random.RandomState(sum(size)).uniform(-2, 2, (2, 3, *size))
    return torch.from_numpy(values.astype(np.float32))


def library_model(library: str, name: str, **changes: Any) -> nn.Module:
    """Build a model of timm or torchvision by its name there."""
    if library == "timm":
        import timm

        return timm.create_model(name, **changes)
    import torchvision

    return torchvision.models.get_model(name, **changes)


def filled(model: nn.Module, **formula: float) -> nn.Module:
    """Give a model the weights of the formula."""
    model.load_state_dict(formula_state({key: tensor.shape for key, tensor in model.state_dict().items()}, **formula))
    return model.eval()


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, list[int]]:
    """Build a model on the meta device and return key -> shape."""
    with torch.device("meta"):
        return {key: list(tensor.shape) for key, tensor in build().state_dict().items()}


def read_keys(family: str) -> dict[str, dict[str, dict[str, tuple[int, ...]]]]:
    """Read library -> our variant -> key -> shape."""
    described = json.loads(gzip.decompress((HERE / f"{family}_keys.json.gz").read_bytes()))
    return {
        library: {name: {key: tuple(shape) for key, shape in keys.items()} for name, keys in models.items()}
        for library, models in described.items()
    }


def write_keys(family: str, described: Mapping[str, Any]) -> None:
    """Write library -> our variant -> key -> shape, the same bytes each time."""
    text = json.dumps(described, separators=(",", ":")).encode()
    (HERE / f"{family}_keys.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))


def read_outputs(family: str) -> dict[str, Tensor]:
    """Read ``library.model.size`` -> answer."""
    from safetensors.torch import load_file

    outputs: dict[str, Tensor] = load_file(HERE / f"{family}_outputs.safetensors")
    return outputs


@torch.no_grad()
def write_outputs(
    family: str,
    models: Mapping[str, Mapping[str, Any]],
    sizes: Mapping[str, tuple[int, int]],
    formula: Callable[[str], Mapping[str, float]],
) -> None:
    """Write what models of other libraries answer.

    Args:
        family: of ours.
        models: library -> model -> what to change of it.
        sizes: name -> height and width of the images.
        formula: model -> arguments of `formula_state`.
    """
    from safetensors.torch import save_file

    outputs = {}
    for library, names in models.items():
        for name, changes in names.items():
            model = filled(library_model(library, name, **changes), **formula(name))
            for label, size in sizes.items():
                outputs[f"{library}.{name}.{label}"] = thinned(model(formula_images(size)))
    save_file(outputs, HERE / f"{family}_outputs.safetensors")


def thinned(answer: Tensor) -> Tensor:
    """Keep every eighth of a thousand logits: golden files are small."""
    return answer[:, ::8].contiguous() if answer.ndim == 2 and answer.shape[1] >= 1000 else answer
