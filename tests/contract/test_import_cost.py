"""Importing nexus, asking for help and listing models load nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "faiss", "PIL", "openvino", "onnxruntime", "transformers")


def modules_after(code: str) -> set[str]:
    """Names of the modules that are loaded after some code ran in a fresh interpreter."""
    script = f"import sys, json\n{code}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "banned"),
    [
        ("import nexus", (*HEAVY, "pydantic", "rich", "cyclopts")),
        ("import nexus.models, nexus.models.cv", (*HEAVY, "pydantic")),
        ("import nexus; nexus.list_models('dino*')", HEAVY),
        ("from nexus.cli.app import main; main(['--help'])", HEAVY),
        ("from nexus.cli.app import main; main(['search', '--help'])", HEAVY),
        ("import nexus.hub, nexus.registry, nexus.commands.search", HEAVY),
    ],
)
def test_loads_nothing_heavy(code: str, banned: tuple[str, ...]) -> None:
    assert not modules_after(code) & set(banned)
