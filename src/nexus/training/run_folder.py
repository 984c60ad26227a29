"""`RunFolder`: what a training run leaves on the disk, whole at every moment.

::

    runs/flowers/
      config.json  model.safetensors    the best model so far: `nexus.load("runs/flowers")`
      train.json                        the resolved config, the data and the versions
      metrics.jsonl                     a line per step and per epoch
      skipped.jsonl                     pictures that could not be read
      checkpoints/00001200/             where the run goes on after an interruption: see `nexus.training.checkpoint`
      curves.png  confusion.png  mistakes.png  report.json  README.md
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from nexus._files import write_file
from nexus.errors import ConfigError, TrainingError
from nexus.results import Skipped

__all__ = ["RunFolder"]


class RunFolder:
    """A folder of one run.

    Args:
        path: the folder; `create` and `open` make one of these.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    @classmethod
    def open(cls, path: str | Path, described: Mapping[str, Any]) -> Self:
        """Begin a run, or go on with one that was begun in the same way.

        Args:
            path: the folder; made where it is not there.
            described: what decides the run's numbers: config, data, model. Kept as ``train.json``.

        Raises:
            ConfigError: the folder holds a run of another description (the differences are named), or something else.
            TrainingError: the folder cannot be written.
        """
        folder = cls(path)
        before = folder.description
        if before is None and folder.path.is_dir() and any(folder.path.iterdir()):
            raise ConfigError(f"out = {folder.path}: holds files, but no training run; name a new folder")
        if before is not None and (changed := differences(before, json.loads(json.dumps(described)))):
            raise ConfigError(
                f"out = {folder.path}: holds a run with other settings ({'; '.join(changed)}). Give the same ones to "
                "go on with it, or name a new folder"
            )
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.write_json("train.json", described)
        except OSError as error:
            raise TrainingError(f"{folder.path} cannot be written ({error.strerror or error})") from error
        return folder

    @property
    def description(self) -> dict[str, Any] | None:
        """What `open` was given; None where there is no run."""
        try:
            content: dict[str, Any] = json.loads((self.path / "train.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content

    @property
    def checkpoints(self) -> Path:
        """Where the run's checkpoints lie."""
        return self.path / "checkpoints"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file whole, or not at all."""
        write_file(self.path / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())

    def log(self, record: Mapping[str, Any]) -> None:
        """Append a line to ``metrics.jsonl``. Lines survive the death of this process, not that of the machine."""
        self._append("metrics.jsonl", [record])

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Append pictures that could not be read to ``skipped.jsonl``, each once a run."""
        records = [one.to_dict() for one in dict.fromkeys(skipped)]
        if records:
            known = self.skipped()
            self._append("skipped.jsonl", [record for record in records if record not in known])

    def skipped(self) -> list[dict[str, Any]]:
        """Return the pictures that could not be read, and why."""
        return list(self._lines("skipped.jsonl"))

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the lines of ``metrics.jsonl``, all or those of one kind (``"step"``, ``"epoch"``)."""
        return [line for line in self._lines("metrics.jsonl") if kind is None or line["kind"] == kind]

    def rewind(self, step: int = 0, epoch: int = 0) -> None:
        """Forget what a run that goes on from its checkpoint logs again.

        Args:
            step: of the checkpoint; what came after it is forgotten,
            epoch: under way at the checkpoint; and its end too, which falls on the same step as its last one.
        """

        def lasts(record: Mapping[str, Any]) -> bool:
            return record["step"] <= step and not (record["kind"] == "epoch" and record["epoch"] >= epoch)

        kept = [json.dumps(record) + "\n" for record in self.records() if lasts(record)]
        if (self.path / "metrics.jsonl").exists():
            write_file(self.path / "metrics.jsonl", "".join(kept).encode())

    def _append(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        if lines:
            with (self.path / name).open("a", encoding="utf-8") as file:
                file.write(lines)

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        """Lines of a file; the last may be torn by the death of its writer, and is left out."""
        if not (self.path / name).exists():
            return
        for line in (self.path / name).read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name the values in which two descriptions differ, as ``lr = 0.1 there, 0.2 here``."""
    found = []
    for key in dict.fromkeys((*before, *now)):
        one, other = before.get(key), now.get(key)
        if key in FREE:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, f"{prefix}{key}.")
        elif one != other:
            found.append(f"{prefix}{key} = {_short(one)} there, {_short(other)} here")
    return found


FREE = frozenset({"versions", "workers", "loggers", "machine"})
"""What may change between two sessions of a run: none of it decides the run's numbers on purpose."""


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
