"""For the reference: what the code says of fields in other ways than by docstrings."""

from __future__ import annotations

import re
from typing import Any, get_type_hints

import griffe

from nexus.commands import _options

SHARED = re.compile(r"^ {4}(\w+(?:, \w+)+): (.+(?:\n {5,}.+)*)", re.M)
"""An entry of a section that describes several names at once: ``sheet, page: where they were written``."""


class FieldDescriptions(griffe.Extension):
    """Describes the options that verbs share as the command line does, and those of `nexus.types` by their comments.

    A description that several names share is given to each of them.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for everything that griffe has read."""
        if obj.docstring:
            obj.docstring.value = SHARED.sub(_for_each, obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Called for every class that griffe has read."""
        if cls.module.path == _options.__name__:
            _describe_options(cls)
        elif cls.module.path == "nexus.types":
            _describe_by_comments(cls)


def _for_each(entry: re.Match[str]) -> str:
    return "\n".join(f"    {name}: {entry[2]}" for name in entry[1].split(", "))


def _describe_options(cls: griffe.Class) -> None:
    hints = get_type_hints(getattr(_options, cls.name), include_extras=True)
    own = {name: member for name, member in cls.members.items() if isinstance(member, griffe.Attribute)}
    for name, attribute in own.items():
        field, annotation = hints[name].__metadata__[-1], attribute.annotation
        assert isinstance(annotation, griffe.ExprSubscript)
        assert isinstance(annotation.slice, griffe.ExprTuple)
        attribute.annotation = annotation.slice.elements[0]
        attribute.value = repr(field.default)
        attribute.docstring = griffe.Docstring(field.description, parent=attribute)


def _describe_by_comments(cls: griffe.Class) -> None:
    """``logits: Tensor  # (B, K) before softmax``."""
    for attribute in cls.attributes.values():
        if comment := re.search(r"#\s*(.+)$", "".join(attribute.lines)):
            attribute.docstring = griffe.Docstring(comment[1], parent=attribute)
