"""`read_splits`: what to train on and what to judge by, with the same classes, and checked before the first step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nexus._seeds import generator
from nexus.datasets.labelled import Chosen, LabelledImages
from nexus.datasets.readers.parts import Parts
from nexus.datasets.reading import LabelledSource, described, open_parts
from nexus.errors import ConfigError, InputError, did_you_mean
from nexus.results import Skipped

__all__ = ["Splits", "align_classes", "check_classes", "hold_out", "keep_classes", "read_splits"]

SHOWN = 5
"""How many names a message lists."""


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset. All have the classes of `train`, in its order.

    Attributes:
        train: what is learned from.
        val: what is judged by while training, or None.
        test: what is judged by at the end, or None.
        skipped: what was passed over while listing, and why.
    """

    train: LabelledImages
    val: LabelledImages | None = None
    test: LabelledImages | None = None
    skipped: tuple[Skipped, ...] = ()


def read_splits(
    source: LabelledSource,
    *,
    val: LabelledSource | float | None = None,
    test: LabelledSource | float | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    image: str | None = None,
    label: str | None = None,
) -> Splits:
    """Read a dataset to train on.

    Args:
        source: see `read_labelled`. It has a part ``train``, or is not divided.
        val: a dataset of its own; a fraction of the training pictures, held out as by `hold_out`; 0: none; None: the
            part ``val`` of `source` where it has one.
        test: likewise.
        seed: of what is held out.
        classes: use these only, in this order; pictures of others are left out.
        image: column of the pictures, where they are in a table; None: the usual names.
        label: column of the labels; None: the usual names.

    Raises:
        InputError: something cannot be read, or a part has a class that `train` has not.
        ConfigError: a fraction is not from 0 to below 1.
    """
    skipped: list[Skipped] = []
    options: dict[str, Any] = {"image": image, "label": label, "on_skip": skipped.append}
    parts = open_parts(source, **options)
    if "train" not in parts:
        raise InputError(
            f"{described(source)} has no part to train on, only {', '.join(parts)}; name the folder or file to train on"
        )
    train, others = parts["train"](), {}
    for name, wanted in (("val", val), ("test", test)):
        if wanted is None and name in parts:
            part = parts[name]()
            if part.counts().any():
                others[name] = part
            else:
                skipped.append(Skipped(source=part.origin, reason="has no labels, so nothing can be judged by it"))
        elif wanted is not None and not isinstance(wanted, int | float):
            others[name] = _one_part(open_parts(wanted, **options), name, wanted)
    if classes is not None:
        _refuse_unknown(train, classes)
        train = keep_classes(train, classes)
        others = {name: keep_classes(part, classes) for name, part in others.items()}
    for name, wanted in (("test", test), ("val", val)):
        if isinstance(wanted, int | float) and wanted != 0:
            train, others[name] = hold_out(train, wanted, seed)
    aligned = {name: align_classes(part, train.classes, multi_label=train.multi_label) for name, part in others.items()}
    return Splits(train, aligned.get("val"), aligned.get("test"), tuple(skipped))


def _one_part(parts: Parts, name: str, source: LabelledSource) -> LabelledImages:
    if name not in parts and len(parts) > 1:
        raise InputError(
            f"{name}: {described(source)} has no part {name!r}, only {', '.join(parts)}; name the folder or file itself"
        )
    return parts.get(name, next(iter(parts.values())))()


def _refuse_unknown(data: LabelledImages, classes: Sequence[str]) -> None:
    for name in classes:
        if name not in data.classes:
            raise InputError(f"classes: {data.origin} has no class {name!r}{did_you_mean(name, data.classes)}")


def hold_out(data: LabelledImages, fraction: float, seed: int = 0) -> tuple[LabelledImages, LabelledImages]:
    """Divide pictures at random, each class by the same fraction.

    Of each class at least one picture is on either side. Where pictures show several classes, the rarest class is dealt
    out first, and the shares are met nearly (after the iterative stratification of K. Sechidis et al., "On the
    Stratification of Multi-Label Data", ECML PKDD 2011). Pictures without a label are kept. The same data, fraction and
    seed give the same parts.

    Args:
        data: what to divide.
        fraction: how much of it is held out, between 0 and 1.
        seed: of the draw.

    Returns:
        What is kept and what is held out, both in the order of `data`.

    Raises:
        ConfigError: the fraction is not between 0 and 1.
        InputError: a class has a single picture.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"fraction = {fraction}: what is held out is a fraction between 0 and 1, e.g. 0.1")
    counts = data.counts()
    _refuse_rare(data, counts == 1, "only one picture, which cannot be both trained on and held out,")
    wanted = np.where(counts > 0, np.clip(np.rint(fraction * counts), 1, counts - 1), 0).astype(np.int64)
    rng = generator(seed)
    held = _deal(data.targets, wanted, fraction, rng) if data.multi_label else _draw(data.targets, wanted, rng)
    return data.subset(np.flatnonzero(~held)), data.subset(np.flatnonzero(held))


def _draw(targets: NDArray[Any], wanted: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark `wanted` (K,) pictures of each class; targets are (N,)."""
    order = rng.permutation(len(targets))
    order = order[np.argsort(targets[order], kind="stable")]  # shuffled within each class
    starts = np.searchsorted(targets[order], np.arange(len(wanted)))
    held = np.zeros(len(targets), dtype=bool)
    for start, number in zip(starts, wanted):
        held[order[start : start + number]] = True
    return held


def _deal(
    targets: NDArray[np.bool_], wanted: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Mark about `wanted` (K,) pictures of each class; targets are (N, K)."""
    held = np.zeros(len(targets), dtype=bool)
    free = np.ones(len(targets), dtype=bool)
    left = targets.sum(0)
    while left.any():
        rarest = int(np.where(left > 0, left, len(targets) + 1).argmin())
        members = rng.permutation(np.flatnonzero(free & targets[:, rarest]))
        missing = max(0, wanted[rarest] - int((held & targets[:, rarest]).sum()))
        held[members[:missing]] = True
        free[members] = False
        left -= targets[members].sum(0)
    others = rng.permutation(np.flatnonzero(free))  # they show none of the classes
    held[others[: round(fraction * len(others))]] = True
    return held


def align_classes(data: LabelledImages, classes: Sequence[str], *, multi_label: bool = False) -> LabelledImages:
    """Give pictures the class numbers of others, e.g. of what a model was trained on.

    Args:
        data: what is numbered anew.
        classes: names in the order of the numbers.
        multi_label: give targets (N, K) bool.

    Raises:
        InputError: a picture has a class that is not among `classes`, or several where one is wanted.
    """
    extra = [name for name, count in zip(data.classes, data.counts()) if count and name not in set(classes)]
    if extra:
        raise InputError(
            f"{data.origin} has {_named(extra)}, none of the {len(classes)} classes to train ({_shortened(classes)}). "
            "Add pictures to train on, take these away, or correct the name"
        )
    if data.multi_label and not multi_label:
        raise InputError(f"{data.origin} has pictures of several classes, but one for each is trained")
    return _renumbered(data, classes, multi_label)


def keep_classes(data: LabelledImages, classes: Sequence[str]) -> LabelledImages:
    """Leave out the pictures of all but some classes; those without any label stay."""
    kept = np.array([name in classes for name in data.classes], dtype=bool)
    if data.multi_label:
        chosen = data.targets[:, kept].any(1) | ~data.targets.any(1)
    else:
        chosen = np.append(kept, True)[data.targets]  # -1, no label, is the last
    return _renumbered(data.subset(np.flatnonzero(chosen)), classes, data.multi_label)


def _renumbered(data: LabelledImages, classes: Sequence[str], multi_label: bool) -> LabelledImages:
    numbers = {name: number for number, name in enumerate(classes)}
    table = np.array([*(numbers.get(name, -1) for name in data.classes), -1])
    targets = data.targets
    if multi_label:
        shown = targets if data.multi_label else targets[:, None] == np.arange(len(data.classes))
        kept = np.flatnonzero(table[:-1] >= 0)
        targets = np.zeros((len(data), len(classes)), dtype=bool)
        targets[:, table[kept]] = shown[:, kept]
    else:
        targets = table[targets]
    return replace(data, targets=targets, classes=tuple(classes))


def check_classes(splits: Splits) -> list[str]:
    """Refuse a dataset that cannot be trained on, before anything is computed.

    Args:
        splits: what `read_splits` gave.

    Returns:
        What is odd but possible, one sentence each.

    Raises:
        InputError: there are no labelled pictures, fewer than two classes, or a class that has no training picture or
            only one picture in all.
    """
    train = splits.train
    counts = train.counts()
    if not counts.sum():
        raise InputError(f"{train.origin} has no pictures with labels to train on")
    if len(set(train.classes)) < len(train.classes):
        twice = [name for name in dict.fromkeys(train.classes) if train.classes.count(name) > 1]
        raise InputError(f"{train.origin} has two classes of the same name: {_shortened(twice)}; names tell them apart")
    if len(train.classes) < 2 and not train.multi_label:
        raise InputError(
            f"{train.origin} has one class only ({train.classes[0]!r}); to tell apart, two are needed at least"
        )
    _refuse_rare(train, counts == 0, "no pictures")
    parts = {name: part for name, part in (("val", splits.val), ("test", splits.test)) if part is not None}
    in_all = counts + sum(part.counts() for part in parts.values())
    _refuse_rare(train, in_all == 1, "only one picture, which is not enough to train on and judge by,")
    single = [name for name, count in zip(train.classes, counts) if count == 1]
    doubts = [f"{train.origin} has a single picture of {_named(single)}: too few to learn from"] if single else []
    return [*doubts, *(doubt for name, part in parts.items() for doubt in _doubts(train, part, name))]


def _doubts(train: LabelledImages, part: LabelledImages, name: str) -> Iterator[str]:
    counts = part.counts()
    if not counts.sum():
        raise InputError(f"{part.origin} has no pictures with labels, so nothing can be judged by it")
    if absent := [name for name, count in zip(part.classes, counts) if not count]:
        yield f"{part.origin} ({name}) has no pictures of {_named(absent)}: nothing will be known about them"
    if shared := [one for one, twice in zip(_identities(part), np.isin(_hashes(part), _hashes(train))) if twice]:
        yield (
            f"{len(shared)} pictures are both in train and in {name} ({_shortened(shared)}): "
            "what is measured there will be too good"
        )


def _hashes(data: LabelledImages) -> NDArray[np.int64]:
    """Eight bytes for each file, where the names of a million would take two hundred megabytes."""
    return np.fromiter(map(hash, _identities(data)), dtype=np.int64)


def _identities(data: LabelledImages) -> Iterator[str]:
    """Give what tells the files apart, where the pictures are files: other pictures would have to be read for it."""
    sources: Any = data.sources
    indices: Any = range(len(sources))
    while isinstance(sources, Chosen):
        sources, indices = sources.sources, sources.indices[indices]
    if hasattr(sources, "identity"):
        yield from (sources.identity(int(index)) for index in indices)
    elif isinstance(sources, list | tuple):
        paths = (sources[index] for index in indices)
        yield from (os.path.abspath(os.fsdecode(path)) for path in paths if isinstance(path, str | os.PathLike))


def _refuse_rare(data: LabelledImages, rare: NDArray[np.bool_], what: str) -> None:
    if names := [name for name, is_rare in zip(data.classes, rare) if is_rare]:
        raise InputError(
            f"{data.origin} has {what} of {_named(names)}: add pictures, or leave out what has too few (classes=)"
        )


def _named(names: Sequence[str]) -> str:
    return f"{'class' if len(names) == 1 else 'the classes'} {_shortened(names)}"


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
