"""What a checkpoint is, when it is not what it was taken for: of another family, another size, with another head.

Nothing here runs while loading goes well. The key layouts of all families (`FORMATS`) are tried on the shapes alone.
"""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from torch import Tensor

from nexus import registry
from nexus.errors import CheckpointMismatchError, WeightsError
from nexus.models.base import NexusModule
from nexus.models.conversion import CheckpointFormat, State, has_signature
from nexus.models.loading import build_on_meta

__all__ = ["explain"]

LIKE = 0.6
"""Two sets of keys are of one family if at least that share of them is common; unrelated ones stay below a half."""

TIED = 0.02
"""Families whose shares differ by less cannot be told apart by keys (ViT and DeiT)."""

Keys = frozenset[str]


class _Fit(NamedTuple):
    """How a checkpoint, read as a model's, differs from it."""

    others: Keys  # keys that only one of the two has
    reshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]]  # key, theirs, ours

    @property
    def differing(self) -> set[str]:
        return {*self.others, *(key for key, _, _ in self.reshaped)}


def explain(error: WeightsError, model: NexusModule, state: State, family: str, source: str) -> WeightsError:
    """Return the error with what could be found out about the checkpoint.

    Args:
        error: why it does not load.
        model: what it was to be loaded into.
        state: the checkpoint, under the keys of its source.
        family: of the model.
        source: what to call the checkpoint.
    """
    shapes = {key: tensor.to("meta") for key, tensor in state.items()}
    nearest = _nearest_families(shapes)
    names = list(_fitting_variants(shapes, nearest or _families_with_signature(shapes)))
    nearest = nearest or sorted({registry.variant(name).family for name in names})
    if not nearest:
        return error
    if family in nearest:
        hint = _about_size(model, shapes, family)
    else:
        classes = sorted(name for other in nearest for name in registry.families()[other].classes)
        hint = f"It looks like a checkpoint of another family: {' or '.join(classes)}."
    if names:
        more = f" (and {len(names) - 1} more of this shape)" if len(names) > 1 else ""
        hint = f"{hint} It fits {names[0]}{more}: nexus.load({names[0]!r}, weights=PATH).".strip()
    return _with_hint(error, model, source, hint, listed=family in nearest) if hint else error


def _with_hint(error: WeightsError, model: NexusModule, source: str, hint: str, *, listed: bool) -> WeightsError:
    if not isinstance(error, CheckpointMismatchError):
        return type(error)(f"{error} {hint}")
    return CheckpointMismatchError(
        source,
        type(model).__name__,
        missing=error.missing,
        unexpected=error.unexpected,
        reshaped=error.reshaped,
        hint=hint,
        listed=listed,
    )


# -- of which family ---------------------------------------------------------------------------------------------------


def _nearest_families(state: State) -> list[str]:
    """The families whose keys are most like these, if any are."""
    scores = {name: _likeness_to_family(state, family) for name, family in registry.families().items()}
    best = max(scores.values())
    return [name for name, score in scores.items() if best >= LIKE and score > best - TIED]


def _families_with_signature(state: State) -> list[str]:
    """The families that have a layout which it could be in."""
    return [
        name
        for name in registry.families()
        if any(has_signature(state, layout) for layout in registry.converter(name).FORMATS.values())
    ]


def _likeness_to_family(state: State, family: registry.Family) -> float:
    likeness = 0.0
    for config, expected in _tiny_models(family.package):
        for reading in _readings(state, family.name, config):
            found = _templates(reading)
            likeness = max(likeness, len(found & expected) / len(found | expected))
    return likeness


@cache
def _tiny_models(package: str) -> tuple[tuple[Any, Keys], ...]:
    """Config and keys of the smallest model of every shape that a family has."""
    variants = importlib.import_module(f"{package}.variants")
    models = [build_on_meta(tiny["class_name"], tiny["config"]) for tiny in getattr(variants, "TINY", ())]
    return tuple((model.config, _templates(model.state_dict())) for model in models)


def _templates(keys: Iterable[str]) -> Keys:
    """Keys without the numbers of their layers."""
    return frozenset(re.sub(r"(?<![^.])\d+(?![^.])", "{}", key) for key in keys)


def _readings(state: State, family: str, config: Any) -> Iterator[Mapping[str, Tensor]]:
    """The checkpoint under our keys, once for each layout of the family that it could be in, our own included."""
    yield state
    formats: Mapping[str, CheckpointFormat] = registry.converter(family).FORMATS
    for layout in formats.values():
        if has_signature(state, layout):
            try:
                yield layout.convert(state, config)
            except Exception:  # noqa: BLE001  (a converter may stumble over a foreign checkpoint in any way)
                continue


# -- of which size -----------------------------------------------------------------------------------------------------


def _fitting_variants(state: State, families: Iterable[str]) -> Iterator[str]:
    """Names whose models have exactly these tensors."""
    fitting: dict[str, bool] = {}
    for family in families:
        for variant in registry.families()[family].variants.values():
            built = json.dumps([variant.class_name, variant.config], sort_keys=True)
            if built not in fitting:
                model = build_on_meta(variant.class_name, variant.config)
                fitting[built] = not _fit(model, state, family).differing
            if fitting[built]:
                yield variant.name


def _fit(model: NexusModule, state: State, family: str) -> _Fit:
    """The reading of a checkpoint that differs least from a model."""
    own = model.state_dict()
    fits = []
    for reading in _readings(state, family, model.config):
        others = (own.keys() ^ reading.keys()) - set(model.optional_keys)
        common = sorted(own.keys() & reading.keys())
        both = ((key, tuple(reading[key].shape), tuple(own[key].shape)) for key in common)
        fits.append(_Fit(frozenset(others), [(key, theirs, ours) for key, theirs, ours in both if theirs != ours]))
    return min(fits, key=lambda fit: len(fit.differing))


def _about_size(model: NexusModule, state: State, family: str) -> str:
    """What differs from the model in width, depth or head; empty if it is something else."""
    fit = _fit(model, state, family)
    if fit.differing and all(key.startswith("head.") for key in fit.differing):
        found = next((theirs[0] for _, theirs, _ in fit.reshaped), None)
        own = getattr(model.head, "out_features", 0)
        theirs = "no head" if found is None else f"{found} classes"
        return f"Only the head differs: {theirs} found, {own} expected." if own else ""
    differences = [*_width(model, fit), *_depth(model, fit)]
    return f"It is of another size: {', '.join(differences)}." if differences else ""


def _width(model: NexusModule, fit: _Fit) -> Iterator[str]:
    """The commonest change of a dimension; one that the config names, if there is any."""
    changes = Counter(
        (ours_, theirs_)
        for key, theirs, ours in fit.reshaped
        if not key.startswith("head.") and len(theirs) == len(ours)
        for theirs_, ours_ in zip(theirs, ours, strict=True)
        if theirs_ != ours_
    )
    sizes = {value: key for key, value in _integers(model.config) if key != "num_classes"}
    for (expected, found), _ in sorted(changes.most_common(), key=lambda change: change[0][0] not in sizes):
        yield f"{sizes.get(expected, 'width')} {found} found, {expected} expected"
        return


def _integers(config: Any) -> list[tuple[str, int]]:
    values = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return [(key, value) for key, value in values.items() if type(value) is int]


def _depth(model: NexusModule, fit: _Fit) -> Iterator[str]:
    """The number of blocks."""
    blocks = {id(block) for block in getattr(model, "blocks", ())}
    paths = {name for name, module in model.named_modules() if id(module) in blocks}
    patterns = [re.compile(re.escape(path).replace(r"\{\}", r"\d+") + r"(?=\.)") for path in _templates(paths)]
    own = model.state_dict().keys()
    matches = (pattern.match(key) for pattern in patterns for key in (own ^ fit.others))
    found = {match.group() for match in matches if match}
    if len(found) != len(paths):
        yield f"{len(found)} blocks found, {len(paths)} expected"
