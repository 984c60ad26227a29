"""Which logit of a model is which class of a dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nexus.assets import load_labels
from nexus.datasets.labelled import LabelledImages
from nexus.errors import InputError, did_you_mean

__all__ = ["Matching", "match_classes"]

SHOWN = 5
"""How many names a message lists."""


@dataclass(frozen=True)
class Matching:
    """Where the classes of a dataset stand among the logits of a model.

    Attributes:
        columns: (C,) for each class of the dataset the number of its logit; -1 for one without pictures and logit.
        names: K, one for each logit.
        note: what a reader of the figures should know; "" where names are equal.
    """

    columns: NDArray[np.int64]
    names: tuple[str, ...]
    note: str = ""

    def renumber(self, data: LabelledImages) -> LabelledImages:
        """Return single-label pictures with the numbers of the logits for labels."""
        return replace(data, targets=np.append(self.columns, -1)[data.targets], classes=self.names)

    def select(self, data: LabelledImages) -> tuple[LabelledImages, NDArray[np.int64]]:
        """Return the pictures with those classes only that have a logit, and the columns (C,) of these logits."""
        kept = np.flatnonzero(self.columns >= 0)
        if data.multi_label:
            targets = data.targets[:, kept]
        else:
            place = np.full(len(self.columns) + 1, -1)
            place[kept] = np.arange(len(kept))
            targets = place[data.targets]
        return replace(data, targets=targets, classes=tuple(data.classes[n] for n in kept)), self.columns[kept]


def match_classes(
    data: LabelledImages, labels: Sequence[str] | None, outputs: int, model: str = "the model"
) -> Matching:
    """Find the logit of each class of a dataset.

    By name: equal names; else names that differ in case, ``_`` and spaces only; else by their first synonym (``"tench,
    Tinca tinca"``); else ImageNet's by their WordNet ids (``n01440764``) or their order. By number: where the model has
    no names, or those of the dataset are numbers.

    Args:
        data: pictures and their classes.
        labels: the model's K names, or None.
        outputs: K.
        model: what to call it.

    Raises:
        InputError: a class with pictures has no logit.
    """
    used = data.counts() > 0
    if labels is not None and len(labels) != outputs:
        labels = None
    for read, note in READINGS.items() if labels else ():
        columns = _by_name([read(name) for name in data.classes], [read(name) for name in labels or ()])
        if (columns[used] >= 0).all():
            return Matching(columns, tuple(labels or ()), note)
    names = tuple(labels or map(str, range(outputs)))
    wnids, lemmas = load_labels("imagenet_1k_wnids"), load_labels("imagenet_1k")
    if outputs == len(wnids) and (labels is None or _agree(labels, lemmas)):
        if set(data.classes) <= set(wnids):
            columns = np.array([wnids.index(name) for name in data.classes], dtype=np.int64)
            return Matching(columns, lemmas, "classes were matched by their WordNet ids")
        if _agree(data.classes, lemmas):  # there are two kinds of cranes, which first names do not tell apart
            return Matching(np.arange(outputs), lemmas, "classes were taken for those of ImageNet-1k, in its order")
    if all(name.isdecimal() and int(name) < outputs for name in data.classes):
        columns = np.array([int(name) for name in data.classes], dtype=np.int64)
        return Matching(columns, names, "the classes are numbers, which were taken for those of the logits")
    if labels is None and outputs == len(data.classes):
        note = f"{model} has no class names: its {outputs} logits were taken for the classes, in alphabetical order"
        return Matching(np.arange(outputs), data.classes, note)
    lost = [name for name, is_used in zip(data.classes, used) if is_used and name not in names]
    known = f"tells apart {_shortened(names)}" if labels else f"has {outputs} logits without names"
    raise InputError(
        f"{data.origin} has the classes {_shortened(data.classes)}; {model} {known}. Which is {lost[0]!r}"
        f"{did_you_mean(lost[0], names)}? Rename the classes, set model.labels, train a head on them (nexus train), or "
        "compare with labelled examples (--protocol knn --train FOLDER)"
    )


def _by_name(mine: Sequence[str], theirs: Sequence[str]) -> NDArray[np.int64]:
    """The place of each of my names among theirs; -1 for one that either side has not, or more than once."""
    twice = {name for names in (mine, theirs) for name, count in Counter(names).items() if count > 1}
    place = {name: number for number, name in enumerate(theirs) if name not in twice}
    return np.array([place.get(name, -1) for name in mine], dtype=np.int64)


def _agree(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two lists are of the same classes in the same order: nine of ten first names are equal."""
    same = sum(_first_synonym(one) == _first_synonym(other) for one, other in zip(names, others))
    return len(names) == len(others) and same > 0.9 * len(names)


def _folded(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).strip().casefold()


def _first_synonym(name: str) -> str:
    return _folded(name.split(",")[0])


READINGS: dict[Callable[[str], str], str] = {
    str: "",
    _folded: "",
    _first_synonym: "classes were matched by the first of their names",
}
"""How names are read -> what to say about it; the first reading that finds all classes is taken."""


def _shortened(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
