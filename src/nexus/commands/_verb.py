"""What makes a function a verb: its arguments are checked once, through a config built from its own signature.

The signature is the single place where a verb's arguments are written: from it come the Python call, the command line
and the service's schema. Options that all verbs share are written once, in `RunOptions`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, ValidationInfo, create_model, field_validator
from pydantic.fields import FieldInfo
from typing_extensions import Unpack

from nexus.config import Config

__all__ = ["Verb", "parameters", "verb"]

P = ParamSpec("P")
R = TypeVar("R")
Verb = Callable[..., Any]


def verb(function: Callable[P, R]) -> Callable[P, R]:
    """Check a function's arguments before it runs.

    The wrapper has an attribute `Config`: the frozen config class of its arguments. Shared options (``**options:
    Unpack[RunOptions]``) reach the function complete, with their defaults.

    Raises:
        ConfigError: at the call, for an unknown, missing or wrong argument.
    """
    signature, config_class = inspect.signature(function), _config_class(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        config = config_class.parse({**dict(zip(signature.parameters, args, strict=False)), **kwargs})
        values = {name: getattr(config, name) for name in config_class.model_fields}
        return function(**values)  # type: ignore[call-arg]

    call.Config = config_class  # type: ignore[attr-defined]
    return call


def parameters(function: Verb) -> dict[str, tuple[inspect.Parameter, FieldInfo]]:
    """Return each argument of a verb, shared options spelled out, with its type, default and description."""
    signature = inspect.signature(inspect.unwrap(function))
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    described = _described(function)
    found: dict[str, tuple[inspect.Parameter, FieldInfo]] = {}
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(_shared(hints[parameter.name]))
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        field = FieldInfo.from_annotated_attribute(hints[parameter.name], default)
        field.description = described.get(parameter.name)
        found[parameter.name] = (parameter, field)
    return found


def _shared(hint: Any) -> dict[str, tuple[inspect.Parameter, FieldInfo]]:
    (options,) = get_args(hint) if get_origin(hint) is Unpack else (hint,)
    shared = {}
    for name, annotation in get_type_hints(options, include_extras=True).items():
        field = FieldInfo.from_annotation(annotation)
        shared[name] = (inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default), field)
    return shared


def _config_class(function: Verb) -> type[Config]:
    fields: Any = {name: (field.rebuild_annotation(), field) for name, (_, field) in parameters(function).items()}
    name = "".join(part.title() for part in function.__name__.split("_"))
    return create_model(f"{name}Config", __base__=_VerbConfig, __module__=function.__module__, **fields)


class _VerbConfig(Config):
    """Arguments may be arrays, pictures, modules and callables; those are passed through.

    A path may be a `pathlib.Path` wherever it may be text, and reaches the verb as text.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @field_validator("*", mode="before")
    @classmethod
    def _path_as_text(cls, value: Any, info: ValidationInfo) -> Any:
        hint = cls.model_fields[info.field_name or ""].annotation
        return str(value) if isinstance(value, PurePath) and str in (hint, *get_args(hint)) else value


def _described(function: Verb) -> dict[str, str]:
    """Descriptions from the `Args:` section of a Google-style docstring."""
    from docstring_parser import parse

    return {
        arg.arg_name: " ".join((arg.description or "").split()) for arg in parse(inspect.getdoc(function) or "").params
    }
