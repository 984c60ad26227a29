"""``nexus models recommend``: which model for a task, so many labelled pictures, and what matters most."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from nexus.commands._selection import Purpose, Row, Selection, load_selection
from nexus.commands._verb import verb
from nexus.commands.models import rows_of
from nexus.results import ModelRow, Quote, Suggestion, Suggestions

__all__ = ["recommend_models"]

FOR_CONSTRAINT, FOR_DATA, FOR_TASK, AS_ALTERNATIVE = 4, 2, 2, 1
"""Votes of a row: what cannot be changed later counts most."""

USUAL_SIZE = 86.6e6
"""Parameters of ViT-B, the size in most of the documents' examples: taken where they use no variant of a model."""

CHEAP = frozenset({"realtime", "edge"})


@dataclass
class Candidate:
    """A model that the documents name for the task.

    Attributes:
        name: as they name it; a narrower one where a row does (Swin-L for Swin).
        votes: what speaks for it -> how much.
        reasons: the rows that name it.
        variant: the variant of ours that fits best; None: nexus has none.
    """

    name: str
    votes: dict[str, int] = field(default_factory=dict)
    reasons: list[Quote] = field(default_factory=list)
    variant: ModelRow | None = None


@verb
def recommend_models(
    task: Purpose = "classify",
    *,
    images: Annotated[int | None, Field(ge=0)] = None,
    realtime: bool = False,
    edge: bool = False,
    accuracy: bool = False,
    license: str | None = None,
) -> Suggestions:
    """Recommend models for a task, an amount of data and what matters most, and say why.

    The answer comes from the selection tables of the documents that nexus was built after, and quotes them. Sizes are
    counted. Models that the documents name and nexus does not have yet are named as such.

    Args:
        task: what the model is wanted for.
        images: how many labelled pictures there are.
        realtime: it must keep up with a camera.
        edge: it must run on a phone or a small device.
        accuracy: it should be as accurate as can be, even if slower.
        license: as in `nexus models`: ``commercial``, or a pattern of licences.

    Returns:
        The models, best first, each with its variant and reasons.
    """
    guide = load_selection()
    chosen = {"realtime": realtime, "edge": edge, "accuracy": accuracy}
    constraints = frozenset(name for name, wanted in chosen.items() if wanted)
    purpose = "zero-shot" if task == "classify" and images == 0 else task
    counted = images if task in ("classify", "zero-shot") else None
    rows = [row for row in guide.rows if row.when.holds(purpose, counted, constraints)]
    candidates = _candidates(guide, rows)
    for candidate in candidates:
        candidate.variant = _variant(guide, candidate.name, purpose, images, constraints, license)
    ordered = sorted(candidates, key=lambda candidate: _rank(candidate, constraints))
    here = [candidate for candidate in ordered if candidate.variant]
    about_data = [row for row in rows if row.approach]
    approach = guide.approaches[about_data[0].approach or ""] if about_data else None
    run = approach.run if approach else guide.runs.get(task)
    return Suggestions(
        task=task,
        images=images,
        constraints=tuple(sorted(constraints)),
        approach=approach.do if approach else None,
        approach_reasons=tuple(guide.quote(row) for row in about_data),
        run=run.format(model=_name(here[0])) if run and here else None,
        models=tuple(_suggestion(candidate) for candidate in here),
        absent=tuple(_suggestion(candidate) for candidate in ordered if not candidate.variant),
        notes=tuple(_notes(guide, rows, candidates, task, images)),
    )


# -- who is named, and how often ---------------------------------------------------------------------------------------


def _candidates(guide: Selection, rows: Iterable[Row]) -> list[Candidate]:
    """The models that rows about the task name, in their order; the other rows vote for those."""
    rows = list(rows)
    found = {name: Candidate(name) for row in rows if row.when.task for name in (*row.best, *row.also)}
    for row in rows:
        for name in (*row.best, *row.also):
            kind = name if name in found else guide.models[name].kind
            if kind in found:
                _vote(found[kind], name, row, guide.quote(row))
    return list(found.values())


def _vote(candidate: Candidate, name: str, row: Row, quote: Quote) -> None:
    criterion, weight = _weight(row)
    if name in row.also and not row.when.constraint:
        weight = AS_ALTERNATIVE
    candidate.name = name  # a narrower one comes later, and holds
    candidate.votes[criterion] = max(weight, candidate.votes.get(criterion, 0))
    candidate.reasons.append(quote)


def _weight(row: Row) -> tuple[str, int]:
    if row.when.constraint:
        return row.when.constraint, FOR_CONSTRAINT
    return ("data", FOR_DATA) if row.when.images else ("task", FOR_TASK)


def _rank(candidate: Candidate, constraints: frozenset[str]) -> tuple[int, float]:
    """Most votes first; among equals the cheapest or the most accurate, where that is asked for."""
    votes, tie = -sum(candidate.votes.values()), 0.0
    if candidate.variant and constraints & CHEAP:
        tie = candidate.variant.gflops or math.inf
    elif candidate.variant and "accuracy" in constraints:
        tie = -(candidate.variant.top1 or 0)
    return votes, tie


# -- which variant -----------------------------------------------------------------------------------------------------


def _variant(
    guide: Selection, name: str, purpose: str, images: int | None, constraints: frozenset[str], license: str | None
) -> ModelRow | None:
    """The variant of a model that fits a wish best; None where nexus has none."""
    from nexus.hub.licenses import restriction

    named = guide.models[name]
    rows = [row for row in rows_of(license) if row.class_name in named.classes]
    rows = [row for row in rows if any(fnmatch.fnmatch(row.name, pattern) for pattern in named.variants)]
    if named.reads_text and purpose in ("zero-shot", "search-by-words"):
        rows = [row for row in rows if "zero-shot" in row.tasks]
    if purpose == "classify" and not images:  # without pictures of one's own, a classifier is wanted
        rows = [row for row in rows if "classify" in row.tasks] or rows
    rows = [row for row in rows if restriction(row.license) is None] or rows  # a free licence first
    if not rows:
        return None
    if constraints & CHEAP:
        return min(rows, key=lambda row: (row.gflops or math.inf, row.name))
    if "accuracy" in constraints:
        scored = all(row.top1 for row in rows)  # where one has no score, what is computed most is taken for the best
        return max(rows, key=lambda row: (0 if scored else row.gflops or 0, row.top1 or 0))
    usual = [row for row in rows if row.name == named.usual]
    return usual[0] if usual else min(rows, key=lambda row: abs(math.log((row.parameters or math.inf) / USUAL_SIZE)))


# -- what is said ------------------------------------------------------------------------------------------------------


def _suggestion(candidate: Candidate) -> Suggestion:
    return Suggestion(name=candidate.name, model=candidate.variant, reasons=tuple(candidate.reasons))


def _name(candidate: Candidate) -> str:
    assert candidate.variant is not None
    return candidate.variant.name


def _notes(
    guide: Selection, rows: list[Row], candidates: list[Candidate], task: str, images: int | None
) -> Iterable[str]:
    """What an answer must not hide: rows that help nothing here, and ranges that were stretched."""
    if task == "classify" and images is None:
        yield (
            "Say how many labelled pictures you have: --images changes the answer. Without any, the models of "
            "`nexus models --task classify` know the classes that they were trained on."
        )
    voted = {name for candidate in candidates for name in candidate.votes}
    for row in rows:
        if row.note:
            yield row.note
        if row.when.constraint and row.when.constraint not in voted:
            yield (
                f'"{row.says}" ({guide.documents[row.document]}, {row.section}) names nothing for this task; it only '
                "decides which variant of each model is taken, by what was counted or scored."
            )
        if row.stated and images is not None and not row.stated[0] <= images <= row.stated[1]:
            fewest, most = row.stated
            yield f"The documents have no row for {images:,} pictures; the row for {fewest:,} to {most:,} is used."
