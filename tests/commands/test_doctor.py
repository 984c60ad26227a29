from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import nexus
from nexus.commands.doctor import EXTRAS

Command = Callable[..., tuple[int, str, str]]


def test_it_says_what_is_there(command: Command) -> None:
    found = {check.name: check for check in nexus.doctor().checks}
    assert found["torch"].ok
    assert found["engine eager"].ok
    assert all(check.remedy for check in found.values() if not check.ok and not check.name.startswith("engine"))
    code, said, _ = command("doctor", "--json")
    assert code == 0
    assert {check["name"] for check in json.loads(said)["checks"]} == set(found)


def test_what_is_missing_comes_with_the_line_that_installs_it() -> None:
    script = (
        "import importlib.metadata as m, nexus\n"
        "real = m.version\n"
        "def version(name):\n"
        "    if name == 'openvino': raise m.PackageNotFoundError(name)\n"
        "    return '0.3' if name == 'nexus' else real(name)\n"
        "m.version = version\n"
        "print('\\n'.join(nexus.doctor().lines()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 'pip install "nexus-vision[openvino]"' in done.stdout
    assert "an unrelated distribution called 'nexus' 0.3" in done.stdout


def test_extras_are_the_same_in_the_project_the_documentation_and_here() -> None:
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = {extra: {re.split(r"[<>=]", one)[0] for one in needs} for extra, needs in project.items()}
    for_users = installed.keys() - {"docs", "dev"}
    table = (root / "docs" / "how-to" / "install.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == for_users
    assert {extra: set(needs) for extra, (needs, _) in EXTRAS.items()} == {
        extra: installed[extra] for extra in for_users - {"all"}
    }


def test_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXUS_OFFLINE", "1")
    monkeypatch.setenv("NEXUS_MIRROR", "1")
    found = {check.name: check.detail for check in nexus.doctor().checks}
    assert "NEXUS_OFFLINE" in found["network"]
    assert found["package index"].startswith("looked into")
