"""Which way imports go is checked by import-linter (`make check`); here: that the check can fail, and covers all."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "nexus"


def layers() -> list[set[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = contracts[0]["layers"]
    return [{part.strip().removeprefix("nexus.") for part in row.replace(":", "|").split("|")} for row in rows]


def imported(path: Path) -> set[str]:
    """Top-level nexus modules that a file imports outside `TYPE_CHECKING`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nexus."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "nexus":
            found |= {alias.name for alias in node.names}
    return found


def test_every_subpackage_has_a_rank() -> None:
    ranked = set().union(*layers())
    present = {p.name for p in SOURCE.iterdir() if p.is_dir() and any(p.glob("*.py"))} | {
        p.stem for p in SOURCE.glob("*.py")
    }
    assert present - {"__init__"} <= ranked


def test_nothing_above_the_models_names_a_family() -> None:
    families = {p.parent.name for p in (SOURCE / "models").glob("*/*/variants.py")}
    for folder in ("datasets", "objectives", "visualization", "retrieval", "engines", "evaluation", "commands", "cli"):
        for path in (SOURCE / folder).rglob("*.py"):
            named = [
                node.module
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.ImportFrom) and node.module and set(node.module.split(".")) & families
            ]
            assert not named, f"{path} imports the family {named}; reach it through the registry"


def test_the_layers_are_true_of_the_sources() -> None:
    rank = {name: row for row, names in enumerate(reversed(layers())) for name in names}
    for path in SOURCE.rglob("*.py"):
        own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for other in imported(path) & rank.keys() - {own}:
            assert rank[other] <= rank[own], f"{path} (rank {rank[own]}) imports nexus.{other} (rank {rank[other]})"
