"""What a model costs and what it is made of, counted on a model without numbers (`nexus.models.loading.build_on_meta`).

One multiply-add counts as one operation, as papers and timm print it: half of what `torch.utils.flop_counter` counts.
Convolutions and matrix products are counted, attention included; what is done element by element (norms, activations,
additions, resizing) is not, as elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nexus.models.base import NexusModule
from nexus.results import LayerRow

__all__ = ["Summary", "summarize"]

OUTPUTS = ("embeddings", "logits", "tokens")
"""What is computed while counting, of what the model has. Papers count the last block whole, as for the tokens, though
embeddings alone may need less of it (`NexusModule.run_blocks`)."""


class Summary(NamedTuple):
    """Figures of one model.

    Attributes:
        parameters: all of them, a text tower's included.
        multiply_adds: of one picture through the model, to all tokens, embeddings and logits.
        layers: its parts down to the blocks, in the order in which they were built.
    """

    parameters: int
    multiply_adds: int
    layers: tuple[LayerRow, ...]


class _Part(NamedTuple):
    """A module or a parameter that gets a row, and its path."""

    parent: str
    name: str
    value: nn.Module | nn.Parameter

    @property
    def path(self) -> str:
        return f"{self.parent}.{self.name}".removeprefix(".")


def summarize(model: NexusModule, size: tuple[int, int], outputs: Sequence[str] = OUTPUTS) -> Summary:
    """Count parameters and multiply-adds.

    Args:
        model: on any device; on the meta device nothing is computed. Its parameters are frozen.
        size: (height, width) of the picture.
        outputs: what is computed.

    Returns:
        The counts, as a whole and by layer.
    """
    parts = list(_parts(model, {id(block) for block in getattr(model, "blocks", ())}))
    shapes: dict[int, tuple[int, ...]] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        if (tensor := _first_tensor(output)) is not None:
            shapes[id(module)] = tuple(tensor.shape[1:])

    hooks = [part.value.register_forward_hook(note) for part in parts if isinstance(part.value, nn.Module)]
    device = next(model.parameters()).device
    counter = FlopCounterMode(display=False)
    model.requires_grad_(False)  # the counter looks for the gradient of what enters a module, even of a learned query
    try:
        with counter, torch.inference_mode():
            model(torch.zeros(1, 3, *size, device=device), outputs=outputs)
    finally:
        for hook in hooks:
            hook.remove()
    flops = {path: sum(by_kind.values()) for path, by_kind in counter.get_flop_counts().items()}
    rows = [_row(part, shapes, flops.get(f"{type(model).__name__}.{part.path}", 0)) for part in parts]
    return Summary(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        layers=tuple(_merged(parts, rows)),
    )


def _parts(module: nn.Module, blocks: set[int], path: str = "") -> Iterator[_Part]:
    """The parameters and children of a module; children that hold blocks are opened in turn."""
    for name, parameter in module.named_parameters(recurse=False):
        yield _Part(path, name, parameter)
    for name, child in module.named_children():
        inside = {id(inner) for inner in child.modules()}
        if id(child) not in blocks and inside & blocks:
            yield from _parts(child, blocks, f"{path}.{name}".removeprefix("."))
        else:
            yield _Part(path, name, child)


def _row(part: _Part, shapes: dict[int, tuple[int, ...]], flops: int) -> LayerRow:
    value = part.value
    if isinstance(value, nn.Parameter):
        return LayerRow(name=part.path, type="Parameter", parameters=value.numel())
    return LayerRow(
        name=part.path,
        type=type(value).__name__,
        output=shapes.get(id(value)),
        parameters=sum(parameter.numel() for parameter in value.parameters()),
        gflops=flops / 2e9,
    )


def _merged(parts: list[_Part], rows: list[LayerRow]) -> Iterator[LayerRow]:
    """Rows of numbered neighbours that differ in nothing but the number become one."""

    def alike(pair: tuple[_Part, LayerRow]) -> object:
        part, row = pair
        return (part.parent, row.model_copy(update={"name": ""})) if part.name.isdigit() else part.path

    for _, group in groupby(zip(parts, rows, strict=True), key=alike):
        (_, first), *others = group
        if not others:
            yield first
            continue
        count = 1 + len(others)
        yield first.model_copy(
            update={
                "name": f"{first.name}-{others[-1][0].name}",
                "count": count,
                "parameters": count * first.parameters,
                "gflops": count * first.gflops,
            }
        )


def _first_tensor(output: object) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    return next((found for value in values if (found := _first_tensor(value)) is not None), None)
