"""``nexus models``: what can be loaded by name."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

from nexus.commands._verb import verb
from nexus.errors import UnknownNameError, did_you_mean
from nexus.registry import Task
from nexus.results import ModelCard, ModelList, ModelRow

if TYPE_CHECKING:
    from nexus.registry import Variant

__all__ = ["describe_models", "rows_of", "show_model"]

Order = Literal["name", "parameters", "gflops", "top1"]

ORDERS: dict[str, Callable[[ModelRow], Any]] = {
    "name": lambda model: (model.family, model.name),
    "parameters": lambda model: (model.parameters or math.inf, model.name),
    "gflops": lambda model: (model.gflops or math.inf, model.name),
    "top1": lambda model: (-(model.top1 or 0), model.name),
}


@verb
def describe_models(
    pattern: str = "*", *, task: Task | None = None, license: str | None = None, sort: Order = "name"
) -> ModelList:
    """List the models.

    Args:
        pattern: a shell pattern that the names, or the names of families, must match, e.g. ``dino*``.
        task: what they must be able to do.
        license: a pattern that their licences must match, e.g. ``apache*``; ``commercial`` stands for every licence
            that allows commercial use and needs no acceptance.
        sort: by family and name; or smallest, cheapest or most accurate first.

    Returns:
        One row per variant; nothing is built or fetched.

    Raises:
        UnknownNameError: nothing matches.
    """
    from nexus import registry

    variants = [one for family in registry.families().values() for one in family.variants.values()]
    named = [one for one in variants if fnmatch.fnmatch(one.name, pattern) or fnmatch.fnmatch(one.family, pattern)]
    if not named:
        known = [*registry.list_models(), *registry.families()]
        raise UnknownNameError(f"no model matches {pattern!r}{did_you_mean(pattern, known)}")
    rows = rows_of(license, named)
    kept = [row for row in rows if task is None or task in row.tasks]
    if not kept:
        asked = {"task": task, "license": license}
        said = ", ".join(f"{name} = {value!r}" for name, value in asked.items() if value)
        raise UnknownNameError(f"none of the {len(named)} models that match {pattern!r} has {said}")
    return ModelList(models=tuple(sorted(kept, key=ORDERS[sort])))


@verb
def show_model(name: str) -> ModelCard:
    """Show one model: sizes, layers, sources, licence, how to cite.

    Args:
        name: a variant's name (`nexus models`).

    Returns:
        Its card; parameters and operations are counted on a model that takes no memory.

    Raises:
        UnknownNameError: no such name; the message has the nearest one.
    """
    import importlib

    from nexus import registry
    from nexus.models.loading import build_on_meta
    from nexus.models.summary import summarize

    variant = registry.variant(name)
    row = _row(variant)
    model = build_on_meta(variant.class_name, variant.config)
    summary = summarize(model, row.input_size)
    family = registry.families()[variant.family]
    counted = {"parameters": summary.parameters, "gflops": summary.multiply_adds / 1e9}
    return ModelCard(
        **{**row.model_dump(), **counted},
        config=model.config.to_dict(),
        preprocess=variant.preprocess,
        weights=tuple(variant.weights),
        layers=summary.layers,
        about=(importlib.import_module(family.package).__doc__ or "").strip(),
        bibtex=tuple(paper.bibtex() for paper in family.citations),
    )


def rows_of(license: str | None, variants: Iterable[Variant] | None = None) -> list[ModelRow]:
    """Return the rows of variants, of all by default, that are under one of the licences asked for.

    Args:
        license: see `describe_models`.
        variants: those to choose from.
    """
    from nexus import registry

    if variants is None:
        variants = [one for family in registry.families().values() for one in family.variants.values()]
    return [_row(one) for one in variants if _is_under(one, license)]


def _row(variant: Variant) -> ModelRow:
    from nexus.assets import load_counts
    from nexus.transforms.preprocess import PreprocessSpec

    counts = load_counts().get(variant.name)
    classifies: tuple[Task, ...] = ("classify",) if variant.labels else ()
    return ModelRow(
        name=variant.name,
        family=variant.family,
        class_name=variant.class_name,
        tasks=tuple(dict.fromkeys(("embed", *classifies, *variant.tasks))),
        parameters=counts["parameters"] if counts else None,
        gflops=counts["multiply_adds"] / 1e9 if counts else None,
        input_size=PreprocessSpec.parse(variant.preprocess).size,
        labels=variant.labels,
        license=variant.license,
        score=variant.score,
        sources=tuple(source["kind"] for source in variant.weights),
    )


def _is_under(variant: Variant, license: str | None) -> bool:
    """Whether the licence is one of those asked for."""
    from nexus.hub.licenses import restriction

    if license is None:
        return True
    if license != "commercial":
        return fnmatch.fnmatchcase((variant.license or "").lower(), license.lower())
    gated = any(source.get("gated") for source in variant.weights)
    return variant.license is not None and restriction(variant.license, gated=gated) is None
