"""Names of models: name -> variant -> class, found by folder convention.

A family is a package that holds `model.py`, `variants.py` and `convert.py`. Families are found in `nexus.models.*`,
behind the entry point group ``nexus.families`` (value: a dotted package), and by `register(folder)`. Looking a name
up imports only `variants.py`, which is data: no torch.
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import pkgutil
import sys
import textwrap
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nexus.config import Config
from nexus.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = [
    "Citation",
    "Family",
    "Variant",
    "converter",
    "families",
    "family_of",
    "list_models",
    "model_class",
    "register",
    "variant",
    "variant_of_timm",
]

NAMESPACES = ("cv", "text", "generative", "video", "multimodal")
"""Sub-packages of `nexus.models` that hold families."""

_registered: dict[str, str] = {}  # family -> package, added by register()


Task = Literal["embed", "classify", "zero-shot"]
"""What a model can be used for. Every model embeds."""


class Variant(Config):
    """One named set of tensors of a family, as its `variants.py` states it.

    Attributes:
        name: what a user types, e.g. ``"dinov2_vits14"``.
        family: the family folder's name.
        class_name: the class in the family's `model.py`.
        config: values of that class's config.
        weights: where the tensors come from, in order of preference; parsed by `nexus.hub`.
        preprocess: values of a `nexus.transforms.PreprocessSpec`.
        labels: name of a label list in `nexus.assets`, for classifiers.
        tokenizer: where the tokenizer of a model that reads text comes from; see `nexus.models.tokenizer`.
        tasks: what can be done with it beyond features; by default ``("classify",)`` where it has labels.
        license: SPDX name of the weights' licence; None where the source states none, or only on its page on the hub.
        score: reported results, each with its source; never typed from memory.
    """

    name: str
    family: str
    class_name: str
    config: dict[str, Any]
    weights: tuple[dict[str, Any], ...] = ()
    preprocess: dict[str, Any] = Field(default_factory=dict)
    labels: str | None = None
    tokenizer: dict[str, Any] | None = None
    tasks: tuple[Task, ...] = ()
    license: str | None = None
    score: dict[str, Any] | None = None


class Citation(Config):
    """A paper, as `CITATION` in a family's `variants.py` states it.

    Attributes:
        title: of the paper.
        authors: all of them, each as ``"Given Family"``; ``"others"`` may end a list that is long.
        year: in which it appeared first.
        arxiv: its number there, e.g. ``"2304.07193"``.
        url: where to read it, for a paper that is not on arXiv.
        venue: the conference or journal.
    """

    title: str
    authors: Annotated[tuple[str, ...], Field(min_length=1)]
    year: Annotated[int, Field(ge=1900)]
    arxiv: Annotated[str, Field(pattern=r"^(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})$")] | None = None
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    venue: str | None = None

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if self.arxiv is None and self.url is None:
            raise ValueError(f"{self.title!r} has neither arxiv nor url: say where it can be read")
        return self

    @property
    def key(self) -> str:
        """Key of its BibTeX entry: first author, year, first telling word, e.g. ``"dosovitskiy2020image"``."""
        telling = next(word for word in self.title.split() if word.lower() not in ("a", "an", "the", "on"))
        words = (self.authors[0].split()[-1], str(self.year), telling)
        plain = unicodedata.normalize("NFKD", "".join(words)).encode("ascii", "ignore").decode()
        return "".join(filter(str.isalnum, plain)).lower()

    def bibtex(self) -> str:
        """Return its BibTeX entry."""
        fields = {
            "title": f"{{{self.title}}}",  # in braces twice: styles keep the capitals
            "author": " and ".join(self.authors),
            "year": str(self.year),
            "booktitle": self.venue,
            "eprint": self.arxiv,
            "archivePrefix": "arXiv" if self.arxiv else None,
            "url": self.url,
        }
        kind = "inproceedings" if self.venue else "misc"
        said = (f"  {name} = {{{value}}}," for name, value in fields.items() if value)
        lines = (textwrap.fill(field, 98, subsequent_indent="    ", break_on_hyphens=False) for field in said)
        return "\n".join([f"@{kind}{{{self.key},", *lines, "}"])


class Family(Config):
    """A family folder.

    Attributes:
        name: the folder's name.
        package: its dotted name.
        classes: public model classes in its `model.py`.
        huggingface: ``model_type`` in a Hugging Face ``config.json`` -> class.
        variants: its named variants.
        citations: the papers to cite, the one that the family is named after first.
    """

    name: str
    package: str
    classes: tuple[str, ...]
    huggingface: dict[str, str] = Field(default_factory=dict)
    variants: dict[str, Variant]
    citations: tuple[Citation, ...] = ()


def families() -> Mapping[str, Family]:
    """Return every family, by name, in alphabetical order.

    Raises:
        ConfigError: two families use the same family, class or variant name.
    """
    return _families(tuple(sorted(_registered.items())))


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of all variants that match a shell pattern, e.g. ``"dino*"``, sorted."""
    names = (name for family in families().values() for name in family.variants)
    return sorted(fnmatch.filter(names, pattern))


def variant(name: str) -> Variant:
    """Return the variant of that name.

    Raises:
        UnknownNameError: there is none; the message has the nearest name.
    """
    for family in families().values():
        if name in family.variants:
            return family.variants[name]
    raise UnknownNameError(
        f"no model is called {name!r}{did_you_mean(name, list_models())}; `nexus models` lists them all"
    )


def family_of(*, class_name: str | None = None, huggingface: str | None = None) -> tuple[Family, str]:
    """Return the family, and the class in it, that a class name or a Hugging Face ``model_type`` belongs to.

    Raises:
        UnknownNameError: no family has it.
    """
    wanted, known = class_name or huggingface or "", set[str]()
    for family in families().values():
        table = {name: name for name in family.classes} if class_name else family.huggingface
        if wanted in table:
            return family, table[wanted]
        known |= set(table)
    kind = "model class" if class_name else "Hugging Face model_type"
    raise UnknownNameError(f"no family has the {kind} {wanted!r}{did_you_mean(wanted, known)}")


def variant_of_timm(architecture: str, tag: str) -> Variant:
    """Return the variant that has the architecture of a timm model, of these weights if there is one.

    Args:
        architecture: timm's name of the model, e.g. ``"convnext_tiny"``.
        tag: its name of the weights, e.g. ``"fb_in1k"``.

    Raises:
        UnknownNameError: none of the variants names such a repository of timm's among its sources.
    """
    found: dict[str, Variant] = {}
    for family in families().values():
        for candidate in family.variants.values():
            for source in candidate.weights:
                owner, _, name = source.get("repository", "").partition("/")
                # beside timm's image tower, some of its repositories hold OpenCLIP's pair of towers
                if owner == "timm" and not source.get("file", "").startswith("open_clip"):
                    found.setdefault(name, candidate)
                    found.setdefault(name.partition(".")[0], candidate)
    for name in (f"{architecture}.{tag}", architecture):
        if name in found:
            return found[name]
    raise UnknownNameError(
        f"no family has timm's architecture {architecture!r}{did_you_mean(architecture, found)}; "
        "give the file to the variant that it is: from_pretrained(name, weights=PATH)"
    )


def model_class(class_name: str) -> type[Any]:
    """Import and return a model class by its name, e.g. ``"DINOv2"``.

    Raises:
        UnknownNameError: no family has it.
    """
    family, _ = family_of(class_name=class_name)
    package = importlib.import_module(family.package)  # exports its classes, whichever file they are in
    owner = package if hasattr(package, class_name) else importlib.import_module(f"{family.package}.model")
    return getattr(owner, class_name)  # type: ignore[no-any-return]


def converter(family: str) -> ModuleType:
    """Import and return the `convert.py` of a family."""
    return importlib.import_module(f"{families()[family].package}.convert")


def register(folder: str | Path) -> str:
    """Add a family that lives outside the package tree, for this process.

    Args:
        folder: the family folder; its name is the family's name.

    Returns:
        The dotted name under which it can be imported.

    Raises:
        ConfigError: the folder is not a family folder.
    """
    folder = Path(folder).resolve()
    for needed in ("__init__.py", "model.py", "variants.py", "convert.py"):
        if not (folder / needed).is_file():
            raise ConfigError(f"{folder} is not a family folder: it has no {needed}")
    package = f"nexus_family_{folder.name}"
    spec = importlib.util.spec_from_file_location(
        package, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)
    _registered[folder.name] = package
    return package


@cache
def _families(registered: tuple[tuple[str, str], ...]) -> Mapping[str, Family]:
    packages = [
        *_packages_in_tree(),
        *(e.value for e in entry_points(group="nexus.families")),
        *(p for _, p in registered),
    ]
    names = {package: package.rpartition(".")[2].removeprefix("nexus_family_") for package in packages}
    found = {names[package]: _read(names[package], package) for package in sorted(packages, key=names.__getitem__)}
    if len(found) < len(packages):
        raise ConfigError(f"two families have the same name among {sorted(names.values())}")
    for kind in ("classes", "variants"):
        _refuse_duplicates(kind, found)
    return MappingProxyType(found)


def _packages_in_tree() -> list[str]:
    """Dotted names of the family folders below `nexus.models`, without importing any of them."""
    root, found = Path(__file__).parent / "models", []
    for namespace in NAMESPACES:
        for entry in pkgutil.iter_modules([str(root / namespace)]):
            if entry.ispkg and importlib.util.find_spec(f"nexus.models.{namespace}.{entry.name}.variants"):
                found.append(f"nexus.models.{namespace}.{entry.name}")
    return found


def _read(name: str, package: str) -> Family:
    data = importlib.import_module(f"{package}.variants")
    variants = {key: Variant.parse({"name": key, "family": name, **values}) for key, values in data.VARIANTS.items()}
    return Family.parse(
        {
            "name": name,
            "package": package,
            "classes": data.CLASSES,
            "huggingface": getattr(data, "HUGGINGFACE", {}),
            "variants": variants,
            "citations": _citations(getattr(data, "CITATION", ())),
        }
    )


def _citations(stated: Any) -> tuple[Citation, ...]:
    """`CITATION` is the literal dict of one paper, or a tuple of several."""
    return tuple(Citation.parse(paper) for paper in ([stated] if isinstance(stated, Mapping) else stated))


def _refuse_duplicates(kind: str, found: Mapping[str, Family]) -> None:
    owner: dict[str, str] = {}
    for family in found.values():
        for name in getattr(family, kind):
            if name in owner:
                raise ConfigError(f"the families {owner[name]!r} and {family.name!r} both define {name!r}")
            owner[name] = family.name
