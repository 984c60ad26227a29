"""`LabelledImages`: pictures and what they show, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nexus.errors import InputError
from nexus.transforms.image import ImageLike, describe_source

__all__ = ["LabelledImages"]


@dataclass(frozen=True)
class LabelledImages:
    """Pictures with their labels, in a fixed order.

    Attributes:
        sources: N pictures in any form that a `Decoder` takes: paths, encoded files, arrays. A sequence may be lazy:
            what it gives for an index need not be in memory before.
        targets: (N,) int64, the number of each picture's class; or, where a picture may show several classes, (N, K)
            bool. -1 stands for a picture without a label.
        classes: K names, in the order of their numbers.
        origin: what a user would call the dataset.

    Raises:
        InputError: numbers that do not fit each other.
    """

    sources: Sequence[ImageLike]
    targets: NDArray[Any]
    classes: tuple[str, ...]
    origin: str = field(default="dataset", compare=False)

    def __post_init__(self) -> None:
        targets = np.asarray(self.targets)
        targets = targets.astype(bool if targets.ndim == 2 else np.int64)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "classes", tuple(self.classes))
        if len(self.sources) != len(targets):
            raise InputError(f"{self.origin} has {len(self.sources)} pictures and {len(targets)} labels")
        known = targets.shape[1] if targets.ndim == 2 else int(targets.max(initial=-1)) + 1
        if known > len(self.classes) or (targets.ndim == 2 and known != len(self.classes)):
            raise InputError(f"{self.origin} has labels up to number {known - 1}, but {len(self.classes)} class names")

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def multi_label(self) -> bool:
        """Whether a picture may show several classes, or none."""
        return self.targets.ndim == 2

    def name(self, index: int) -> str:
        """What to call a picture: its path, or its name in the archive."""
        return describe_source(self.sources[index])

    def counts(self) -> NDArray[np.int64]:
        """Return how many pictures each class has, (K,)."""
        if self.multi_label:
            return np.asarray(self.targets.sum(0), dtype=np.int64)
        return np.bincount(self.targets[self.targets >= 0], minlength=len(self.classes))

    def subset(self, indices: ArrayLike) -> LabelledImages:
        """Return some of the pictures, in the order of `indices`, with the same classes."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(self, sources=Chosen(self.sources, chosen), targets=self.targets[chosen])

    def joined(self, other: LabelledImages) -> LabelledImages:
        """Return these pictures, then the others; both have the same classes, or the others no labels.

        Raises:
            InputError: they have other classes, or one a class per picture and the other several.
        """
        if self.classes != other.classes or self.multi_label != other.multi_label:
            raise InputError(f"{self.origin} and {other.origin} cannot be joined: their classes differ")
        targets = np.concatenate([self.targets, other.targets])
        return replace(self, sources=Joined(self.sources, other.sources), targets=targets)


class Joined(Sequence[ImageLike]):
    """Two sequences, which may be lazy, one behind the other."""

    def __init__(self, first: Sequence[ImageLike], second: Sequence[ImageLike]) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Chosen(self, np.arange(len(self))[index])
        place = range(len(self))[index]
        return self.first[place] if place < len(self.first) else self.second[place - len(self.first)]


class Chosen(Sequence[ImageLike]):
    """Some items of a sequence, which may be lazy."""

    def __init__(self, sources: Sequence[ImageLike], indices: NDArray[np.int64]) -> None:
        self.sources, self.indices = sources, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Chosen(self.sources, self.indices[index])
        return self.sources[int(self.indices[index])]
