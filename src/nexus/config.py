"""The base of every config: a frozen pydantic model that takes a plain dict and names its mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from nexus.errors import ConfigError, did_you_mean

__all__ = ["Config", "check_multiple", "config_error", "require_multiple"]


class Config(BaseModel):
    """Base of every config.

    A config is immutable, refuses unknown keys (naming the nearest known one) and round-trips through `to_dict`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any] | Config) -> Self:
        """Build a config from a mapping, or pass a finished one through.

        Args:
            values: keys and values of this config, or a config of this class.

        Raises:
            ConfigError: an unknown key, a missing one, or a value of the wrong type or range.
        """
        if isinstance(values, cls):
            return values
        if isinstance(values, Config):
            raise ConfigError(f"a {cls.__qualname__} is needed here, not a {type(values).__qualname__}")
        try:
            return cls(**values)
        except ValidationError as error:
            raise config_error(cls.__qualname__, error, cls.model_fields) from None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types such that ``parse(config.to_dict()) == config``."""
        return self.model_dump(mode="json")

    def replace(self, **changes: Any) -> Self:
        """Return a validated copy with some values changed."""
        return self.parse({**self.model_dump(), **changes})


def require_multiple(config: Config, whole: str, part: str) -> None:
    """Check, in a validator, that one value of a config is a multiple of another.

    Raises:
        ValueError: as `check_multiple`.
    """
    step = getattr(config, part)
    check_multiple(whole, getattr(config, whole), step, f"{part} = {step}")


def check_multiple(name: str, value: int, step: int, of: str) -> None:
    """Check, in a validator, that a value is a multiple of a number.

    Args:
        name, value: which, and what it is.
        step: the number.
        of: what to call it.

    Raises:
        ValueError: it is not; both are named, and the nearest values that would do.
    """
    if value % step:
        below = value // step * step
        nearest = f"{below} or {below + step}" if below else step
        raise ValueError(f"{name} = {value} is not a multiple of {of}: take {nearest}")


def config_error(owner: str, error: ValidationError, known: Mapping[str, Any]) -> ConfigError:
    """Rewrite a pydantic error as one line per mistake: dotted key, value, what is wrong, nearest key."""
    # A default that depends on a wrong value is no mistake of its own.
    mistakes = [mistake for mistake in error.errors() if mistake["type"] != "default_factory_not_called"]
    lines = [_describe(mistake, known) for mistake in mistakes]
    return ConfigError(f"{owner}: " + "; ".join(lines))


def _describe(mistake: Any, known: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        names = _names_beside(mistake["loc"], known)
        return f"unknown key {key!r}" + (did_you_mean(key, names) or f" (known keys: {', '.join(names)})")
    if mistake["type"] in ("missing", "missing_argument"):
        return f"missing key {key!r}"
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{key} = {mistake['input']!r}: {message}" if key else message


def _names_beside(path: tuple[int | str, ...], known: Mapping[str, Any]) -> list[str]:
    """Return the keys, dotted, of the config in which the last part of a path was not found."""
    prefix = ""
    for part in path[:-1]:
        section = _section(getattr(known.get(str(part)), "annotation", None))
        if section is None:
            break
        known, prefix = section.model_fields, f"{prefix}{part}."
    return [f"{prefix}{name}" for name in known]


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the config that a field holds, alone or as one of several choices."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
