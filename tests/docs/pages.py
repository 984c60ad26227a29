"""Reads the fenced blocks of a Markdown page, and runs them as a reader would: in order, in one folder."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from nexus.cli.app import main

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n\n?)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.M | re.S
)
RUN = ("sh", "console", "python")
"""Languages whose blocks are run."""
SHOWN = ("text", "toml", "json")
"""Languages whose blocks only show something."""
SHELL_SIGNS = set("|<>;&$`*")
ASSIGNMENT = re.compile(r"[A-Z_]+=")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it is, and why it is not run, if it is not."""

    page: Path
    line: int
    language: str
    code: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.page.name}, line {self.line}"


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start("language")) + 1, found["language"], found["code"], found["reason"])
        for found in FENCE.finditer(text)
    ]


def run_page(page: Path, *, shell: bool = False) -> None:
    """Run all blocks of a page in the current folder.

    Args:
        page: the Markdown file.
        shell: start `nexus` as a program; otherwise plain `nexus ...` lines run in this process, which is much faster.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.reason is not None or block.language not in RUN:
            continue
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.code, block.place, "exec", dont_inherit=True), names)
        else:
            for command, wanted in commands(block):
                said = run_command(command, block, shell=shell)
                assert wanted is None or _matches(wanted, said), f"{block.place}: {command}\n{said}"


def commands(block: Block) -> list[tuple[str, str | None]]:
    """The commands of a block, and of a ``console`` block also what they print."""
    text = block.code.replace("\\\n", " ")
    if block.language == "sh":
        return [(line, None) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    parts = re.split(r"^\$ ", text, flags=re.M)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def run_command(command: str, block: Block, *, shell: bool) -> str:
    """Run one command; what it prints on standard output. It must end with exit code 0."""
    words = shlex.split(command, comments=True)
    variables = dict(word.split("=", 1) for word in takewhile(ASSIGNMENT.match, words))
    words = words[len(variables) :]
    if words[0] == "nexus" and not shell and not SHELL_SIGNS & set(command):
        printed, errors = io.StringIO(), io.StringIO()
        with patch.dict(os.environ, variables), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            code = main(words[1:])
        assert code == 0, f"{block.place}: {command}\nexit code {code}\n{errors.getvalue()}"
        return printed.getvalue()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(["sh", "-ec", command], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.place}: {command}\nexit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _matches(wanted: str, said: str) -> bool:
    """Equal but for white space; ``...`` stands for anything."""
    return doctest.OutputChecker().check_output(wanted, said, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
