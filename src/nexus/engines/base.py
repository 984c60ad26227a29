"""What every engine is, and what every engine runs: one forward pass with only the wanted outputs in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nexus.errors import InputError
from nexus.models.base import NexusModule
from nexus.transforms.preprocess import PreprocessSpec

__all__ = ["Engine", "Forward", "Job", "Outputs", "check_batch", "fill", "leaves", "names_of", "pick"]

Outputs = dict[str, Any]
"""What an engine returns: for each wanted path an array, or the list or dict of arrays that stands there."""


class Engine(Protocol):
    """A way of running one model on batches of one input size.

    Attributes:
        name: as in `nexus.engines.names`.
    """

    name: str

    def __call__(self, images: np.ndarray) -> Outputs:
        """Run a batch of any number of images.

        Args:
            images: what the job's example is: (B, H, W, 3) uint8 pixels if the job has a preprocess spec, else
                (B, 3, H, W) float32, already normalised.

        Returns:
            float32 arrays under the wanted paths, each with B as its first axis.
        """
        ...


@dataclass(frozen=True)
class Job:
    """All that an engine must know to be built.

    Attributes:
        model: in evaluation mode.
        outputs: paths into `ModelOutput`: a key, or one item of it, e.g. ``"features.5"``, ``"aux.prefix_tokens.-1"``.
        device: where to run.
        example: a batch of the input, see `Engine.__call__`; its size but for the first axis is fixed.
        spec: if given, the input is pixels, and normalising them is part of the engine.
        threads: CPU threads to use.
        artefact: a path without suffix below which an engine may keep what is slow to make; its name must change
            whenever the model, the outputs, the input size or a library changes. None: keep nothing.
    """

    model: NexusModule
    outputs: tuple[str, ...]
    device: torch.device
    example: np.ndarray
    spec: PreprocessSpec | None
    threads: int
    artefact: Path | None = None

    def forward(self) -> Forward:
        """Return the forward pass as a module."""
        return Forward(self.model, self.outputs, self.spec)


class Forward(nn.Module):
    """A model with its last step of preprocessing before it and only the wanted outputs behind it.

    Args:
        model: the model; its weights are shared, not copied.
        outputs: see `Job.outputs`.
        spec: see `Job.spec`.
    """

    def __init__(self, model: NexusModule, outputs: Sequence[str], spec: PreprocessSpec | None = None) -> None:
        super().__init__()
        self.model = model
        self.outputs = tuple(outputs)
        self.normalise: nn.Module = nn.Identity() if spec is None else Normalise(spec)

    def forward(self, images: Tensor) -> Outputs:
        """Return the wanted outputs of a batch; see `Engine.__call__`."""
        keys = tuple(dict.fromkeys(path.partition(".")[0] for path in self.outputs))
        outputs = self.model(self.normalise(images), outputs=keys)
        return {path: pick(outputs, path) for path in self.outputs}


class Normalise(nn.Module):
    """(B, H, W, 3) uint8 RGB pixels to (B, 3, H, W) float32 in the model's channel order, mean 0 and deviation 1."""

    scale: Tensor
    shift: Tensor

    def __init__(self, spec: PreprocessSpec) -> None:
        super().__init__()
        self.bgr = spec.channels == "bgr"
        mean, std = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
        self.register_buffer("scale", (1 / (255 * std)).float(), persistent=False)
        self.register_buffer("shift", (-mean / std).float(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.permute(0, 3, 1, 2).float()
        if self.bgr:
            images = images.flip(1)
        return images * self.scale + self.shift


class Flat(nn.Module):
    """A `Forward` whose outputs are a flat tuple of tensors: what a graph file can hold."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.inner = forward

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        tensors = (tensor for _, tensor in leaves(self.inner(images)))
        return tuple(tensor.float() if tensor.is_floating_point() else tensor for tensor in tensors)


def pick(outputs: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a dotted path, e.g. ``"embeddings"``, ``"features.5"``, ``"pyramid.14"``.

    Raises:
        InputError: nothing stands there; the message says what does.
    """
    found: Any = outputs
    for part in path.split("."):
        key = int(part) if part.removeprefix("-").isdigit() else part
        try:
            found = found[key]
        except (KeyError, IndexError):
            there = f"{len(found)} items" if isinstance(found, list) else ", ".join(map(str, found)) or "nothing"
            raise InputError(f"the model has no output {path!r}: at {part!r} there is only {there}") from None
    return found


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted name, leaf)`` of nested lists and dicts, depth first, in order."""
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list | tuple) else None
    if items is None:
        yield prefix, tree
    else:
        for key, branch in items:
            yield from leaves(branch, f"{prefix}.{key}" if prefix else str(key))


def transform(tree: Any, change: Callable[[str, Any], Any], prefix: str = "") -> Any:
    """Return the same nesting with ``change(dotted name, leaf)`` in place of each leaf."""
    if isinstance(tree, Mapping):
        return {k: transform(v, change, f"{prefix}.{k}" if prefix else str(k)) for k, v in tree.items()}
    if isinstance(tree, list | tuple):
        return [transform(v, change, f"{prefix}.{i}" if prefix else str(i)) for i, v in enumerate(tree)]
    return change(prefix, tree)


def names_of(tree: Any) -> Any:
    """Return the nesting with the name of each leaf in its place: the shape of a result, without the tensors."""
    return transform(tree, lambda name, _: name)


def fill(names: Any, values: Mapping[str, Any]) -> Any:
    """Undo `names_of`: put the value of each name in its place."""
    return transform(names, lambda _, name: values[name])


def to_numpy(outputs: Outputs) -> Outputs:
    """Return the outputs as float32 arrays (integers as they are)."""

    def array(_: str, tensor: Tensor) -> np.ndarray:
        return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()

    return {path: transform(tree, array, path) for path, tree in outputs.items()}


def check_batch(engine: Engine, job: Job) -> None:
    """Run a batch of equal images, of another size than the example: their results must be equal.

    Raises:
        ValueError: the batch size is fixed in the graph.
    """
    for name, array in leaves(engine(np.repeat(job.example[:1], 3, axis=0))):
        if len(array) != 3 or np.linalg.norm(array - array[:1]) > 0.05 * np.linalg.norm(array):
            raise ValueError(f"the output {name!r} of shape {array.shape} does not follow the batch size (3)")
