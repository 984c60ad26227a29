"""The command line: generated from the verbs' signatures and docstrings.

Exit codes: 0 done (pictures that could not be read are named on standard error and in ``--json``); 1 it failed, and the
last line says why; 2 the command was not understood; 130 interrupted by Ctrl-C, with everything finished so far kept.
Standard output holds only the result; everything else goes to standard error.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter

import nexus
from nexus.commands import VERBS
from nexus.errors import NexusError

__all__ = ["main"]

SHORT = {"k": ("-k",), "out": ("--out", "-o"), "settings": ("--set", "--settings")}
GROUPS = {"visualize": "Draw what a model sees."}
"""What a first word says that is no verb by itself."""

SHARED = Group("Running the model", sort_key=1)

HELP = """Large vision models: search, group and label your pictures, train on them, and look into them.

`nexus VERB --help` explains a verb. Exit codes: 0 done, 1 failed, 2 not understood, 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: what follows the program's name; None: the process's own.
    """
    words = _stdin_last(list(sys.argv[1:] if arguments is None else arguments))
    try:
        return _app(words)(words, exit_on_error=False, print_error=False, result_action="return_value") or 0
    except CycloptsError as error:
        return _fail(str(error), f"`nexus {_named(words) or ''}".rstrip() + " --help` shows the arguments.", code=2)
    except NexusError as error:
        if os.environ.get("NEXUS_DEBUG"):
            raise
        return _fail(_as_typed(str(error), _named(words)))
    except KeyboardInterrupt:
        return _fail("interrupted; what was finished is kept, and the same command goes on from there", code=130)
    except BrokenPipeError:  # `nexus ... | head` closed the pipe: nothing is left to say, and no traceback either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _stdin_last(words: list[str]) -> list[str]:
    """``-`` is standard input, but the parser takes it for an option unless it stands behind ``--``."""
    if "-" not in words or "--" in words:
        return words
    return [*(word for word in words if word != "-"), "--", "-"]


def _app(words: Sequence[str]) -> App:
    """An app that knows all verbs by name and summary, but imports only the one that was called."""
    app = App(name="nexus", help=HELP, version=nexus.__version__, suppress_keyboard_interrupt=False)
    called, groups = _named(words), dict[str, App]()
    for number, (name, (target, summary)) in enumerate(VERBS.items()):
        *group, leaf = name.split()
        child = App(name=leaf, help=summary, version_flags=[], sort_key=number)
        if name == called:
            child = App(name=leaf, version_flags=[], help_flags=["--help", "-h"])
            child.default(_command(_import(target)))
        if group and group[0] not in groups:
            groups[group[0]] = App(name=group[0], help=GROUPS[group[0]], version_flags=[], sort_key=number)
            app.command(groups[group[0]])
        (groups[group[0]] if group else app).command(child)
        groups.setdefault(name, child)
    return app


def _named(words: Sequence[str]) -> str | None:
    """The verb that a command line begins with: its longest name wins."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in VERBS:
            return name
    return None


def _import(target: str) -> Callable[..., Any]:
    module, function = target.split(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


def _command(verb: Callable[..., Any]) -> Callable[..., int]:
    """A function whose signature is the verb's, as the command line says it, plus ``--json``."""
    from nexus.commands._options import RunOptions
    from nexus.commands._verb import parameters

    found = {name: pair for name, pair in parameters(verb).items() if name != "progress"}
    takes_progress = "progress" in parameters(verb)

    def command(*args: Any, json: bool = False, **kwargs: Any) -> int:
        from nexus.cli.progress import shown
        from nexus.cli.render import show

        with shown() as progress:
            result = verb(*args, **kwargs, **({"progress": progress} if takes_progress else {}))
        if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun started, one speaks
            show(result, as_json=json)
        return 0

    shared = RunOptions.__annotations__
    typed = {name: _typed(parameter) for name, (parameter, _) in found.items()}
    said = [
        _as_said(parameter, field, name in shared and parameter.kind is parameter.KEYWORD_ONLY, typed)
        for name, (parameter, field) in found.items()
    ]
    as_json = Annotated[bool, Parameter(help="Print the result as JSON.", negative=(), show_default=False)]
    said.append(inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=as_json))
    said.sort(key=lambda parameter: parameter.kind)
    command.__signature__ = inspect.Signature(said, return_annotation=int)  # type: ignore[attr-defined]
    command.__doc__ = _renamed(_without_sections(inspect.getdoc(verb) or ""), typed)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in said}
    return command


def _typed(parameter: inspect.Parameter) -> str:
    """What is typed for an argument: its flag, or where it has none, its place in the usage line."""
    if parameter.kind is parameter.KEYWORD_ONLY:
        return SHORT.get(parameter.name, (f"--{parameter.name.replace('_', '-')}",))[0]
    return parameter.name.upper()


def _renamed(text: str, typed: Mapping[str, str]) -> str:
    """A text of the Python documentation with its arguments, `in_backticks`, as the command line calls them."""
    return re.sub(r"(?<!`)`(\w+)`(?!`)", lambda found: f"`{typed.get(found[1], found[1])}`", text)


def _as_said(parameter: inspect.Parameter, field: Any, is_shared: bool, typed: Mapping[str, str]) -> inspect.Parameter:
    """One argument as the command line says it: anything that is not a number, flag or choice is text."""
    annotation = _textual(field.annotation)
    if field.annotation is Any and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
        annotation = list[str]  # pictures, one or many
    if parameter.default is None:
        annotation = annotation | None
    panel: dict[str, Any] = {"group": SHARED} if is_shared else {}
    how = Parameter(
        **panel,
        name=SHORT.get(parameter.name),
        help=_renamed(field.description[:1].upper() + field.description[1:], typed),
        negative=None if bool in (annotation, *get_args(annotation)) and parameter.default is not False else (),
        show_default=parameter.default not in (None, False, (), parameter.empty),
    )
    return parameter.replace(annotation=Annotated[annotation, how])


def _textual(annotation: Any) -> Any:
    """`Any`, paths and objects become `str`; lists of them `list[str]`; numbers, flags and literals stay."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _textual(arguments[0])
    if origin in (Union, types.UnionType):
        kept = tuple(dict.fromkeys(_textual(a) for a in arguments))
        if {str, list[str]} <= set(kept):  # a text or several: as the verb states first
            other = max((str, list[str]), key=kept.index)
            kept = tuple(kind for kind in kept if kind != other)
        return Union[kept]  # noqa: UP007  (built at run time)
    if origin is tuple:
        return annotation
    if origin in (list, Sequence):
        return list[_textual(arguments[0])]  # type: ignore[misc]
    if annotation in (int, float, bool, str, type(None)) or "Literal" in str(origin):
        return annotation
    return str


def _without_sections(doc: str) -> str:
    """The docstring without `Args:`, which the command line shows in its own way, and `Returns:`."""
    return doc.split("\nArgs:")[0].split("\nReturns:")[0].split("\nRaises:")[0].strip()


def _as_typed(message: str, verb: str | None) -> str:
    """An error's advice as it is typed: ``say normal= (...)``, as Python has it, is ``say --normal (...)``."""
    from nexus.commands._verb import parameters

    if verb is None:
        return message
    typed = {name: _typed(parameter) for name, (parameter, _) in parameters(_import(VERBS[verb][0])).items()}
    return re.sub(r"(?<![\w.-])(\w+)=(?=[\s),;:]|$)", lambda found: typed.get(found[1], found[0]), message)


def _fail(message: str, hint: str = "", *, code: int = 1) -> int:
    print(f"nexus: {message}", *([hint] if hint else []), sep="\n", file=sys.stderr)
    return code
