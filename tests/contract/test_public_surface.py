"""What is public is written down, importable, documented, and the same for editors and at run time."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import nexus
from nexus.commands import VERBS

PACKAGES = ["nexus", *(m.name for m in pkgutil.walk_packages(nexus.__path__, "nexus."))]
LAZY = [name for name in PACKAGES if "attach(__name__" in inspect.getsource(importlib.import_module(name))]


def typed_names(module: str) -> set[str]:
    """Names imported under `TYPE_CHECKING`, which is what editors see."""
    file = importlib.import_module(module).__file__
    assert file is not None
    block = next(node for node in ast.parse(Path(file).read_text()).body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_true(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        assert getattr(module, public) is not None


@pytest.mark.parametrize("name", LAZY)
def test_editors_see_the_same_names(name: str) -> None:
    assert typed_names(name) == set(importlib.import_module(name).__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    if not name.rpartition(".")[2].startswith("_"):
        assert module.__doc__, f"{name} has no docstring"
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{public} has no docstring"


@pytest.mark.parametrize("verb", VERBS)
def test_summaries_are_the_docstrings_first_lines(verb: str) -> None:
    target, summary = VERBS[verb]
    module, function = target.split(":")
    assert inspect.getdoc(getattr(importlib.import_module(module), function)).splitlines()[0] == summary


def test_no_verb_hides_a_subpackage() -> None:
    for package in pkgutil.iter_modules(nexus.__path__):
        importlib.import_module(f"nexus.{package.name}")
    subpackages = {package.name for package in pkgutil.iter_modules(nexus.__path__)}
    assert not subpackages & set(nexus.__all__)
    for name in nexus.__all__:
        assert callable(getattr(nexus, name))
