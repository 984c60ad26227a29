"""Shipped vocabularies, class names, prompt templates and photographs, with their licences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nexus.errors import UnknownNameError, did_you_mean

__all__ = ["PHOTOS", "VOCABULARIES", "load_counts", "load_labels", "load_templates"]

PHOTOS = Path(__file__).parent / "photos"
"""Folder of the photographs that `nexus demo` uses."""

SELECTION = Path(__file__).parent / "selection.json"
"""What the documents that nexus set out from say about choosing a model, each statement with its source."""

COUNTS = Path(__file__).parent / "models.json"
"""What `load_counts` reads."""

VOCABULARIES = Path(__file__).parent / "vocabularies"
"""Folder of what tokenizers are built of."""


@cache
def load_labels(name: str) -> tuple[str, ...]:
    """Return a shipped list of class names, e.g. ``"imagenet_1k"``, in the order of the logits.

    Raises:
        UnknownNameError: no such list.
    """
    return _load_list("labels", name, "label list")


@cache
def load_templates(name: str) -> tuple[str, ...]:
    """Return a shipped list of prompt templates, ``"imagenet"`` or ``"simple"``: ``{}`` stands for a class.

    Raises:
        UnknownNameError: no such list.
    """
    return _load_list("templates", name, "list of templates")


@cache
def load_counts() -> Mapping[str, Mapping[str, int]]:
    """Return the ``parameters`` and ``multiply_adds`` of every variant in the tree, by name.

    ``tools/count_models.py`` has counted them.
    """
    counts: Mapping[str, Mapping[str, int]] = json.loads(COUNTS.read_text(encoding="utf-8"))
    return counts


def _load_list(folder: str, name: str, kind: str) -> tuple[str, ...]:
    path = Path(__file__).parent / folder / f"{name}.json"
    if not path.is_file():
        known = [file.stem for file in path.parent.glob("*.json")]
        raise UnknownNameError(f"no {kind} is called {name!r}{did_you_mean(name, known)}")
    return tuple(json.loads(path.read_text(encoding="utf-8")))
