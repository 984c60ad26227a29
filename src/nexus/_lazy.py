"""Lazy package `__init__` files (PEP 562): a name is imported when it is first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["attach"]


def attach(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make a package lazy.

    Args:
        package: ``__name__`` of the package.
        names: public name -> module that defines it, relative (``".model"``) or absolute.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package. A `TYPE_CHECKING` block beside the call tells
        editors the same names; a contract test holds both equal.
    """

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(names[name], package), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattr_, lambda: sorted(names), sorted(names)
