"""`TrainLoader`: batches for training, which follow from the seed and the epoch alone.

Which pictures make up a step, in which order, and how each is changed at random depends on the run's seed, the epoch
and the sample, never on the number of processes, on workers or on where a run was taken up again. Pictures are decoded
ahead in processes without torch, stacked in a thread, and handed over as bytes; how many wait is bounded.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nexus._closing import Closing
from nexus._seeds import generator, sample_seeds
from nexus.datasets.labelled import LabelledImages
from nexus.errors import ConfigError, InputError
from nexus.results import Skipped
from nexus.transforms.augment import AugmentConfig
from nexus.transforms.decode import Decoded, Decoder, Seeded
from nexus.transforms.image import Limits
from nexus.transforms.preprocess import PreprocessSpec

__all__ = ["Samples", "TrainLoader"]

Indices = NDArray[np.int64]

STEPS_AHEAD = 2
"""Optimiser steps between the decoder and the caller: one in the model, one ready to follow it."""

ORDER, SIZE = 1, 2
"""What a generator of an epoch is for."""


class Samples(NamedTuple):
    """One process's share of one micro-batch. It may be empty: each process gets as many micro-batches as the others.

    Attributes:
        images: (b, H, W, 3) uint8, on the CPU, pinned where there is a GPU.
        targets: (b,) int64; (b, K) float32 where a picture may show several classes.
        indices: (b,) int64, number of each sample in the dataset.
        seeds: (b,) int64, from which all chance of a sample in this epoch follows.
        partners: (b,) int64, position here of the sample to mix with (MixUp, CutMix); its own: none.
        skipped: pictures that could not be read, and so are missing here.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    seeds: Tensor
    partners: Tensor
    skipped: list[Skipped]


class _Draw(NamedTuple):
    """What a micro-batch is to hold: dataset indices and seeds, pairs side by side, and the side of its views."""

    indices: Indices
    seeds: Indices
    size: int | None


class TrainLoader(Closing):
    """Batches of labelled pictures, decoded and augmented ahead of the training step.

    Every epoch is a permutation of the dataset, and every sample comes exactly once in it, whatever the number of
    processes. A step takes `batch_size` consecutive samples of it, the last one what is left. Two neighbours, at the
    positions 2k and 2k + 1 of a step, are a pair to be mixed: they are always in the same process and micro-batch.

    It keeps its decoding processes from one epoch to the next; use it as a context manager, or call `close`.

    Args:
        data: pictures and labels.
        spec: of the model: size and interpolation; with ``augment=None`` all of its geometry.
        batch_size: samples per optimiser step, over all processes.
        micro_batch: samples per forward pass and process at most, even (gradient accumulation); None: all of a step.
        augment: random changes; None: none, and the pixels are those of evaluation.
        seed: of the run.
        shuffle: whether an epoch is a permutation, or the dataset's own order.
        balanced: draw as many samples as the dataset has, the same number of each class (a rare class's pictures come
            several times, each time changed anew). Needs one class per picture; pictures without a label are left out.
        sizes: sides from which each step draws one (multi-scale training); none: the spec's size.
        rank, world: which process this is, of how many.
        workers: decoding processes; None: one per usable core.
        limits: what a picture may cost to decode.

    Attributes:
        steps: optimiser steps in an epoch.

    Raises:
        ConfigError: a value out of range, or values that exclude each other.
        InputError: there are no pictures, or none with a label to balance.
    """

    def __init__(
        self,
        data: LabelledImages,
        spec: PreprocessSpec,
        *,
        batch_size: int,
        micro_batch: int | None = None,
        augment: AugmentConfig | None = None,
        seed: int = 0,
        shuffle: bool = True,
        balanced: bool = False,
        sizes: Sequence[int] = (),
        rank: int = 0,
        world: int = 1,
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size = {batch_size}: must be at least 1")
        if micro_batch is not None and (micro_batch < 2 or micro_batch % 2):
            raise ConfigError(f"micro_batch = {micro_batch}: must be even, so that pairs to be mixed stay together")
        if not 0 <= rank < world:
            raise ConfigError(f"rank = {rank}, world = {world}: a rank is at least 0 and below the number of processes")
        if balanced and (data.multi_label or not shuffle):
            raise ConfigError("balanced = True: needs one class per picture, and shuffle = True")
        if not len(data):
            raise InputError(f"{data.origin} has no pictures")
        if balanced and not data.counts().any():
            raise InputError(f"{data.origin} has no labels, so its classes cannot be balanced")
        self.data, self.batch_size, self.micro_batch, self.seed = data, batch_size, micro_batch, seed
        self.shuffle, self.balanced, self.sizes = shuffle, balanced, tuple(sizes)
        self.rank, self.world = rank, world
        self.steps = -(-len(data) // batch_size)
        self._decoder = Decoder(spec, workers=workers, limits=limits, augment=augment, hashes=False)
        self._pinned = torch.cuda.is_available()
        self._targets = torch.from_numpy(data.targets.astype(np.float32) if data.multi_label else data.targets)
        self._closer = weakref.finalize(self, self._decoder.close)

    def close(self) -> None:
        """End the decoding processes. The loader may be used again, and then starts new ones."""
        self._decoder.close()

    def epoch(self, number: int, start: int = 0) -> Iterator[list[Samples]]:
        """Give the steps of one epoch, each as its micro-batches.

        Args:
            number: of the epoch; 0 is the first.
            start: the first step to give. Those that follow are the same whatever it is.
        """
        steps = self._load(number, start)
        with closing(steps), ThreadPoolExecutor(1, thread_name_prefix="nexus-load") as thread:
            ahead = deque(thread.submit(next, steps, None) for _ in range(STEPS_AHEAD))
            try:
                while (step := ahead.popleft().result()) is not None:
                    ahead.append(thread.submit(next, steps, None))
                    yield step
            except BaseException:
                self.close()  # what is being decoded is not waited for
                raise

    def order(self, number: int) -> Indices:
        """Return the dataset indices of an epoch, (N,), in the order in which they are trained on."""
        count = len(self.data)
        if self.balanced:
            return _balanced(self.data.targets, count, generator(self.seed, number, ORDER))
        return generator(self.seed, number, ORDER).permutation(count) if self.shuffle else np.arange(count)

    def _load(self, number: int, start: int) -> Generator[list[Samples], None, None]:
        """Decode and stack the steps; this runs in the thread."""
        order = self.order(number)
        numbers = order + len(order) * _occurrences(order) if self.balanced else order
        seeds = sample_seeds(self.seed, number, numbers)

        def steps() -> Iterator[list[_Draw]]:
            return (self._draws(number, step, order, seeds) for step in range(start, self.steps))

        items = (
            Seeded(self.data.sources[index], seed, draw.size)
            for draws in steps()
            for draw in draws
            for index, seed in zip(draw.indices.tolist(), draw.seeds.tolist(), strict=True)
        )
        with closing(self._decoder.stream(items)) as decoded:  # type: ignore[type-var]
            for draws in steps():
                yield [self._stack(draw, decoded) for draw in draws]
            next(decoded, None)  # a stream that has ended leaves its processes for the next epoch

    def _draws(self, number: int, step: int, order: Indices, seeds: Indices) -> list[_Draw]:
        """Return this process's micro-batches of a step: whole pairs, consecutive, as evenly as can be."""
        first = step * self.batch_size
        count = min(self.batch_size, len(order) - first)
        pairs = -(-count // 2)
        most = -(-pairs // self.world)  # of any process, so that all have as many micro-batches
        parts = 1 if self.micro_batch is None else -(-2 * most // self.micro_batch)
        parts_of_all = self.world * parts
        bounds = [2 * (pairs * part // parts_of_all) for part in range(self.rank * parts, (self.rank + 1) * parts + 1)]
        size = None
        if self.sizes:
            size = self.sizes[generator(self.seed, number, SIZE, step).integers(len(self.sizes))]
        places = [slice(first + low, first + min(high, count)) for low, high in pairwise(bounds)]
        return [_Draw(order[place], seeds[place], size) for place in places]

    def _stack(self, draw: _Draw, decoded: Iterator[Decoded]) -> Samples:
        """Take the pictures of a micro-batch from the stream."""
        height, width = self._decoder.spec.size if draw.size is None else (draw.size, draw.size)
        images = torch.empty(len(draw.indices), height, width, 3, dtype=torch.uint8, pin_memory=self._pinned)
        pixels = images.numpy()
        kept: list[int] = []
        skipped: list[Skipped] = []
        for place, item in enumerate(islice(decoded, len(draw.indices))):
            if item.error is not None:
                skipped.append(Skipped(source=item.source, reason=item.error.reason))
            else:
                pixels[len(kept)] = item.pixels
                kept.append(place)
        indices = torch.from_numpy(draw.indices[kept])
        return Samples(
            images=images[: len(kept)],
            targets=self._targets[indices],
            indices=indices,
            seeds=torch.from_numpy(draw.seeds[kept]),
            partners=torch.tensor(_partners(kept), dtype=torch.int64),
            skipped=skipped,
        )


def _partners(kept: list[int]) -> list[int]:
    """Return where the other of each sample's pair is among those that were kept; its own place, if it is not."""
    position = {place: at for at, place in enumerate(kept)}
    return [position.get(place ^ 1, at) for at, place in enumerate(kept)]


def _balanced(targets: Indices, count: int, rng: np.random.Generator) -> Indices:
    """Draw `count` samples: of all classes equally many, and of a class each equally often, up to a rest of one."""
    members = [np.flatnonzero(targets == number) for number in np.unique(targets[targets >= 0])]
    shares = np.full(len(members), count // len(members))
    shares[rng.permutation(len(members))[: count % len(members)]] += 1
    drawn = []
    for own, share in zip(members, shares.tolist(), strict=True):
        rounds = -(-share // len(own))
        drawn.append(np.concatenate([rng.permutation(own) for _ in range(rounds)])[:share])
    return rng.permutation(np.concatenate(drawn))


def _occurrences(order: Indices) -> Indices:
    """Return how often each entry has come before."""
    ranked = np.argsort(order, kind="stable")
    grouped = order[ranked]
    starts = np.maximum.accumulate(np.where(np.diff(grouped, prepend=-1), np.arange(len(order)), 0))
    earlier = np.empty_like(order)
    earlier[ranked] = np.arange(len(order)) - starts
    return earlier
