"""Every exception that nexus raises on purpose.

    NexusError
    ├── ConfigError (ValueError)            a config key or value, or a verb's argument, is wrong
    ├── UnknownNameError (LookupError)      no model, engine or verb has that name
    ├── InputError (ValueError)             the data given to a call cannot be used
    │   └── ImageError                      one image cannot be read; `reason` says why
    ├── WeightsError (RuntimeError)         weights cannot be had or do not fit
    │   ├── DownloadError                   the source did not deliver
    │   ├── OfflineError                    not in the cache, and the network is switched off
    │   ├── ChecksumError                   the bytes are not the bytes that were promised
    │   ├── LicenseError                    the licence forbids commercial use or is gated, and was not accepted
    │   ├── UnsafeFileError                 the file could run code when opened
    │   └── CheckpointMismatchError         keys or shapes differ from the model's
    ├── EngineError (RuntimeError)          a way of running the model is absent or gives other answers
    ├── CollectionError (RuntimeError)      an index folder is damaged, locked, newer, or made with other settings
    ├── TrainingError (RuntimeError)        a training run cannot begin, or cannot go on
    └── MissingDependencyError (ImportError)  an optional package is not installed

A message names the thing, its value and the remedy. `except NexusError` catches them all; the command line prints
them without a traceback.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import Any

__all__ = [
    "CheckpointMismatchError",
    "ChecksumError",
    "CollectionError",
    "ConfigError",
    "DownloadError",
    "EngineError",
    "ImageError",
    "InputError",
    "LicenseError",
    "MissingDependencyError",
    "NexusError",
    "OfflineError",
    "TrainingError",
    "UnknownNameError",
    "UnsafeFileError",
    "WeightsError",
    "did_you_mean",
    "require",
]


class NexusError(Exception):
    """Root of all errors raised by nexus."""


class ConfigError(NexusError, ValueError):
    """A config key or value, or an argument of a verb, is wrong."""


class UnknownNameError(NexusError, LookupError):
    """No model, engine or verb has that name."""


class InputError(NexusError, ValueError):
    """The data given to a call cannot be used."""


class ImageError(InputError):
    """One image cannot be read.

    Args:
        source: what was asked for, as a user would recognise it (a path, an address, ``"array"``).
        reason: why it cannot be read, short enough for one line of a list.
    """

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.source, self.reason)


class WeightsError(NexusError, RuntimeError):
    """Weights cannot be had or do not fit."""


class DownloadError(WeightsError):
    """The source did not deliver the file."""


class OfflineError(WeightsError):
    """The file is not in the cache, and the network is switched off."""


class ChecksumError(WeightsError):
    """The bytes that arrived are not the bytes that were promised."""


class LicenseError(WeightsError):
    """The weights are under a licence that has to be accepted first; nothing was fetched."""


class UnsafeFileError(WeightsError):
    """The file could run code when opened, so it was not opened."""


class CheckpointMismatchError(WeightsError):
    """A checkpoint does not hold exactly the tensors that the model has.

    Args:
        source: the checkpoint, as a user would recognise it.
        model: the class that it was loaded into.
        missing: keys of the model that the checkpoint lacks.
        unexpected: keys of the checkpoint that the model lacks.
        reshaped: ``(key, shape in the checkpoint, shape in the model)``.
        hint: one sentence on what to do.
        listed: whether the message has every key; else it has their numbers.
    """

    def __init__(
        self,
        source: str,
        model: str,
        *,
        missing: Iterable[str] = (),
        unexpected: Iterable[str] = (),
        reshaped: Iterable[tuple[str, tuple[int, ...], tuple[int, ...]]] = (),
        hint: str = "Check that the checkpoint is of this family and size.",
        listed: bool = True,
    ) -> None:
        self.missing, self.unexpected, self.reshaped = sorted(missing), sorted(unexpected), sorted(reshaped)
        lines = [f"{source} does not fit {model}. {hint}"]
        entries = [f"  missing:    {key}" for key in self.missing]
        entries += [f"  unexpected: {key}" for key in self.unexpected]
        entries += [f"  shape:      {key} is {theirs}, the model has {ours}" for key, theirs, ours in self.reshaped]
        counts = f"  {len(self.missing)} keys missing, {len(self.unexpected)} unexpected, {len(self.reshaped)} reshaped"
        super().__init__("\n".join([*lines, *(entries if listed else [counts])]))


class EngineError(NexusError, RuntimeError):
    """A way of running the model is absent here, or its answers differ from eager fp32."""


class CollectionError(NexusError, RuntimeError):
    """An index folder is damaged, locked, of a newer format, or made with other settings."""


class TrainingError(NexusError, RuntimeError):
    """A training run cannot begin, or cannot go on; what it had reached is kept."""


class MissingDependencyError(NexusError, ImportError):
    """An optional package is not installed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known name, or an empty string."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.55)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def require(module: str, extra: str) -> Any:
    """Import an optional package.

    Args:
        module: dotted module name, e.g. ``"openvino"``.
        extra: the extra of ``nexus-vision`` that installs it.

    Returns:
        The imported module.

    Raises:
        MissingDependencyError: it is not installed, or does not import; the message has the line that installs it.
    """
    try:
        imported: ModuleType = importlib.import_module(module)
    except Exception as error:  # a broken optional package must read as absent, whatever it raises
        raise MissingDependencyError(
            f'{module} is needed here but does not import ({error}). Install it: pip install "nexus-vision[{extra}]"'
        ) from error
    return imported
