"""What the documents that nexus set out from say about choosing a model: `assets/selection.json`, parsed.

The file is data with sources: every row quotes one document and names the section. What nexus adds is only how the
documents' names and ours go together, and the approaches in words.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Literal

from pydantic import Field

from nexus.assets import SELECTION
from nexus.config import Config
from nexus.results import Quote

__all__ = ["Constraint", "Purpose", "Selection", "load_selection"]

Purpose = Literal[
    "classify",
    "zero-shot",
    "embed",
    "search-by-words",
    "detect",
    "detect-by-words",
    "segment",
    "segment-instances",
    "segment-video",
    "pose",
    "annotate",
]
"""What a model is wanted for; more than nexus can do today."""

Constraint = Literal["realtime", "edge", "accuracy"]


class Named(Config):
    """A model as the documents name it.

    Attributes:
        classes: what it is called here, once it is here.
        variants: shell patterns that tell its variants from others of these classes.
        usual: the variant that the documents use in their examples.
        kind: the wider name that it belongs to, e.g. ``"Swin"`` for ``"Swin-L"``.
        reads_text: where words are needed, only variants with a text tower will do.
    """

    classes: tuple[str, ...]
    variants: tuple[str, ...] = ("*",)
    usual: str | None = None
    kind: str | None = None
    reads_text: bool = False


class When(Config):
    """When a row applies; what is None does not matter.

    Attributes:
        task: what the model is wanted for.
        constraint: what matters most.
        images: fewest and most labelled pictures; None: without an end.
    """

    task: Purpose | None = None
    constraint: Constraint | None = None
    images: tuple[int, int | None] | None = None

    def holds(self, task: str, images: int | None, constraints: frozenset[str]) -> bool:
        """Whether the row applies to a wish."""
        if self.images is not None:
            fewest, most = self.images
            if images is None or images < fewest or (most is not None and images > most):
                return False
        return self.task in (None, task) and (self.constraint is None or self.constraint in constraints)


class Row(Config):
    """One statement of a document.

    Attributes:
        when: when it applies.
        says: the statement, quoted.
        document, section: where it stands.
        best, also: the models that it recommends, and its alternatives.
        approach: for rows about the amount of data, what to do.
        note: what nexus adds, so that the statement is not misunderstood.
        stated: the range of the document, where `when` has to stretch it so that no number is without an answer.
    """

    when: When
    says: str
    document: str
    section: str
    best: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    approach: str | None = None
    note: str | None = None
    stated: tuple[int, int] | None = None


class Approach(Config):
    """What to do with so many labelled pictures.

    Attributes:
        do: in words.
        run: the command that does it, with ``{model}``.
    """

    do: str
    run: str | None = None


class Selection(Config):
    """The whole file.

    Attributes:
        documents: short name -> title.
        models: the documents' names.
        rows: all statements, in the order in which they are weighed.
        approaches: by name.
        runs: task -> a command to start with.
    """

    documents: dict[str, str]
    models: dict[str, Named]
    rows: tuple[Row, ...] = Field(min_length=1)
    approaches: dict[str, Approach]
    runs: dict[str, str]

    def quote(self, row: Row) -> Quote:
        """A row with its source."""
        return Quote(says=row.says, document=self.documents[row.document], section=row.section)


@cache
def load_selection() -> Selection:
    """Read the file."""
    return Selection.parse(json.loads(SELECTION.read_text(encoding="utf-8")))
