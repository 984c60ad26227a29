"""A classifier that looks at every picture several times: at several sizes, and mirrored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nexus.datasets.sources import OnSkip
from nexus.engines.predictor import Batch, Predictor
from nexus.errors import ConfigError
from nexus.models.base import NexusModule
from nexus.results import Progress, Skipped
from nexus.transforms.decode import Decoded
from nexus.transforms.image import ImageLike
from nexus.types import ModelOutput

__all__ = ["Mirrored", "stream_logits"]

Row = NDArray[np.float32]
GATHERED = 256
"""Rows at a time where several views are put together."""


class Mirrored(NexusModule):
    """A classifier whose answer is the mean of a picture's and its mirror image's probabilities, given as logits.

    Any engine can run it, as it is a model like others.

    Args:
        model: a model with a head.
        multi_label: the probabilities are sigmoids, not a softmax.
    """

    def __init__(self, model: NexusModule, *, multi_label: bool = False) -> None:
        super().__init__({"mirrored": repr(model.config), "multi_label": multi_label})
        self.model, self.multi_label = model, multi_label
        self.preprocess, self.labels, self.variant = model.preprocess, model.labels, model.variant

    def forward(self, images: Tensor, *, outputs: Sequence[str] | None = None) -> ModelOutput:
        """Return `logits` (B, K) of images (B, 3, H, W)."""
        self.wanted(outputs)
        # One after the other: a batch of both would be of another size, which exported graphs do not take.
        views = [self.model(view, outputs=("logits",))["logits"] for view in (images, images.flip(3))]
        return {"logits": mean_logits(torch.stack(views), self.multi_label)}


def mean_logits(logits: Tensor, multi_label: bool) -> Tensor:
    """Return logits (B, K) of the mean probabilities of V views, (V, B, K)."""
    if not multi_label:
        return F.log_softmax(logits, -1).logsumexp(0)  # the number of views is the same for all classes
    return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)


def stream_logits(
    predictor: Predictor,
    images: Sequence[ImageLike],
    *,
    sizes: Sequence[int] = (),
    flip: bool = False,
    multi_label: bool = False,
    on_skip: OnSkip | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[NDArray[np.int64], Row, str]]:
    """Give the logits of many pictures, in order, with memory that does not grow with them.

    Args:
        predictor: of a model with a head.
        images: the pictures.
        sizes: sides of the input at which each is looked at; none: the predictor's own.
        flip: look at its mirror image, too.
        multi_label: what probabilities are averaged, see `Mirrored`.
        on_skip: told once of each picture that cannot be read; None: nobody is.
        progress: called after every batch.

    Yields:
        The numbers of some pictures (b,), their logits (b, K), of several views those of the mean probabilities, and
        the name of the engine.

    Raises:
        ConfigError: a size is not positive, or there twice.
    """
    if len(set(sizes)) < len(sizes) or any(size < 1 for size in sizes):
        raise ConfigError(f"sizes = {tuple(sizes)}: sides in pixels, each once, are needed")
    model = Mirrored(predictor.model, multi_label=multi_label) if flip else predictor.model
    with ExitStack() as stack:
        views = [predictor.like(model=model, preprocess=predictor.preprocess.at(size)) for size in sizes]
        if not views:
            views = [predictor.like(model=model) if flip else predictor]
        for view in views:
            if view is not predictor:
                stack.enter_context(view)
        told = _told_once(on_skip)
        reports = [progress, *(None for _ in views[1:])]
        streams = [_batches(view, images, told, report) for view, report in zip(views, reports)]
        if len(streams) == 1:
            for batch in streams[0]:
                yield np.array(batch.indices, dtype=np.int64), batch.outputs["logits"], views[0].engine_name
        else:
            for numbers, logits in _averaged(streams, multi_label):
                yield numbers, logits, views[0].engine_name


def _told_once(on_skip: OnSkip | None) -> Callable[[Decoded], None]:
    seen: set[int] = set()

    def tell(bad: Decoded) -> None:
        assert bad.error is not None
        if on_skip is not None and bad.index not in seen:
            seen.add(bad.index)
            on_skip(Skipped(source=bad.source, reason=bad.error.reason))

    return tell


def _batches(
    view: Predictor, images: Sequence[ImageLike], tell: Callable[[Decoded], None], progress: Progress | None
) -> Iterator[Batch]:
    for batch in view.stream(images, ("logits",), progress=progress, stage="evaluate"):
        for bad in batch.skipped:
            tell(bad)
        if batch.indices:
            yield batch


def _averaged(streams: Sequence[Iterator[Batch]], multi_label: bool) -> Iterator[tuple[NDArray[np.int64], Row]]:
    numbers: list[int] = []
    rows: list[list[Row]] = []
    for number, views in _aligned([_rows(stream) for stream in streams]):
        numbers.append(number)
        rows.append(views)
        if len(numbers) == GATHERED:
            yield _mean(numbers, rows, multi_label)
            numbers, rows = [], []
    if numbers:
        yield _mean(numbers, rows, multi_label)


def _mean(numbers: list[int], rows: list[list[Row]], multi_label: bool) -> tuple[NDArray[np.int64], Row]:
    views = torch.from_numpy(np.array(rows)).transpose(0, 1)  # (V, b, K)
    return np.array(numbers, dtype=np.int64), mean_logits(views.float(), multi_label).numpy()


def _rows(batches: Iterable[Batch]) -> Iterator[tuple[int, Row]]:
    for batch in batches:
        yield from zip(batch.indices, batch.outputs["logits"], strict=True)


def _aligned(streams: Sequence[Iterator[tuple[int, Row]]]) -> Iterator[tuple[int, list[Row]]]:
    """What all streams have of the same picture; one that some view could not read is left out."""
    heads = [next(stream, None) for stream in streams]
    while (found := [head for head in heads if head is not None]) and len(found) == len(heads):
        last = max(number for number, _ in found)
        if all(number == last for number, _ in found):
            yield last, [row for _, row in found]
            heads = [next(stream, None) for stream in streams]
        else:
            heads = [head if head[0] == last else next(stream, None) for head, stream in zip(found, streams)]
