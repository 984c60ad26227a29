"""From the shared options of a verb to a predictor, and from pictures to vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nexus.commands._options import DEFAULT_MODEL
from nexus.errors import ConfigError, ImageError, InputError
from nexus.results import Progress, Skipped, printable

if TYPE_CHECKING:
    import numpy as np

    from nexus.engines.predictor import Batch, Predictor
    from nexus.models import NexusModule
    from nexus.transforms.decode import Decoded
    from nexus.transforms.preprocess import PreprocessSpec

__all__ = [
    "Skips",
    "embed_all",
    "find",
    "load_source",
    "model_name",
    "name_of",
    "open_predictor",
    "refuse_changes",
    "settings",
    "vector_dims",
    "vectors",
]


class Skips(list[Skipped]):
    """Collects what was skipped; raises at the first one where the user asked for that."""

    def __init__(self, strict: bool) -> None:
        super().__init__()
        self.strict = strict

    def __call__(self, skipped: Skipped) -> None:
        """Note one input.

        Raises:
            ImageError: with ``strict``.
        """
        if self.strict:
            raise ImageError(skipped.source, skipped.reason)
        self.append(skipped)

    def nothing(self, what: str, source: Any) -> InputError:
        """Return the error for when not one input could be used, with the first reason.

        Args:
            what: e.g. ``"no picture"``.
            source: what the user named.
        """
        named = source if isinstance(source, list | tuple) else [source]
        places = ", ".join(printable(name_of(one, n)) for n, one in enumerate(named))
        reason = f" ({printable(self[0].source)}: {self[0].reason})" if self else ""
        return InputError(f"{what} could be read from {places}{reason}")

    def decoded(self, bad: Iterable[Decoded], name: Callable[[Decoded], str] | None = None) -> None:
        """Note the pictures of a batch that could not be read.

        Args:
            bad: `Batch.skipped`.
            name: what to call each; by default what the decoder calls it.
        """
        for one in bad:
            assert one.error is not None
            self(Skipped(source=name(one) if name else one.source, reason=one.error.reason))


def open_predictor(options: Mapping[str, Any], preprocess: PreprocessSpec | None = None) -> Predictor:
    """Load the model that a verb's options name.

    Args:
        options: the values of `RunOptions`.
        preprocess: the spec to use (a collection's own); None: the model's, changed as the options say.

    Raises:
        ConfigError: the options name a ready predictor and something that it does otherwise.
        NexusError: whatever `Predictor` raises.
    """
    from nexus.engines.predictor import Predictor

    source = options["model"]
    if isinstance(source, Predictor):
        ready = {name: getattr(source, name) for name in ("engine", "device", "batch_size", "workers")}
        refuse_changes(
            options,
            {**ready, **settings(source.preprocess)},
            "the predictor given as model",
            "give the model's name in its place",
        )
        return source
    model = load_source(options)
    return Predictor(
        model,
        engine=options["engine"],
        device=options["device"],
        batch_size=options["batch_size"],
        workers=options["workers"],
        preprocess=preprocess or _changed(model.preprocess, options),
        name=model_name(source),
    )


def load_source(options: Mapping[str, Any]) -> NexusModule:
    """Return the model that a verb's options name, a module as it is.

    Raises:
        NexusError: whatever `load_model` raises.
    """
    from nexus.engines.predictor import Predictor
    from nexus.models import NexusModule
    from nexus.models.loading import load_model

    source = DEFAULT_MODEL if options["model"] is None else options["model"]
    if isinstance(source, Predictor):
        return source.model
    if isinstance(source, NexusModule):
        return source
    return load_model(source, **{name: options[name] for name in ("mirror", "accept_license", "progress")})


def model_name(model: Any) -> str:
    """Return what to call a `model` argument that is not loaded yet, or one that needs no loading."""
    from nexus.engines.predictor import Predictor, source_name

    if isinstance(model, Predictor):
        return model.name
    return source_name(DEFAULT_MODEL if model is None else model)


def settings(spec: PreprocessSpec) -> dict[str, Any]:
    """Return the values of those options of a verb that a preprocess spec settles."""
    height, width = spec.size
    return {"size": height if height == width else f"{height}x{width}", "decode": spec.decode}


def refuse_changes(options: Mapping[str, Any], in_force: Mapping[str, Any], owner: str, remedy: str) -> None:
    """Refuse options that cannot be had, because something ready is used that does them otherwise.

    Args:
        options: the values of `RunOptions`.
        in_force: by the option's name, what the ready thing does.
        owner: what to call it.
        remedy: what to do instead, after "leave it out, or".

    Raises:
        ConfigError: an option was said, and is not what is in force.
    """
    for name, there in in_force.items():
        asked = options[name]
        if asked not in (None, "auto") and str(asked) != str(there):
            here = "the default" if there is None else there
            raise ConfigError(f"{name} = {asked}: {owner} was made with {here}; leave {name} out, or {remedy}")


def _changed(spec: PreprocessSpec, options: Mapping[str, Any]) -> PreprocessSpec:
    if options["size"]:
        spec = spec.at(options["size"])
    return spec.replace(decode=options["decode"]) if options["decode"] else spec


def find(source: Any, skips: Skips) -> Iterator[Any]:
    """Give the pictures that a verb's source argument names: paths are searched, anything in memory passes through."""
    from nexus.datasets.sources import find_images

    sources = [source] if isinstance(source, str | os.PathLike | bytes) or not isinstance(source, Iterable) else source
    for one in sources:
        if isinstance(one, str | os.PathLike):
            yield from find_images(one, on_skip=skips)
        else:
            yield one


def name_of(picture: Any, index: int) -> str:
    """What to call a picture in a result: its path or address, or its number where it has neither."""
    if isinstance(picture, str | os.PathLike):
        return os.fsdecode(picture)
    return getattr(picture, "name", None) or getattr(picture, "filename", None) or f"picture {index + 1}"


def vectors(
    predictor: Predictor,
    pictures: Iterable[Any],
    pooling: str,
    layer: int | None,
    *,
    total: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Embed any number of pictures.

    Args:
        predictor: what embeds.
        pictures: in any form that it takes.
        pooling, layer: which features, see `Predictor.embed`.
        total: how many there are.
        progress: called after every batch.

    Yields:
        Each batch and its vectors, (B, D) or with pooling ``"patch"`` (B, N, D), one per entry of `Batch.indices`.
    """
    import numpy as np

    from nexus.engines.predictor import output_path, pool

    path = output_path(pooling, layer)
    for batch in predictor.stream(pictures, (path,), total=total, progress=progress):
        yield batch, pool(batch.outputs[path], path, pooling) if batch.indices else np.zeros((0, 0), np.float32)


def vector_dims(predictor: Predictor, pooling: str, layer: int | None) -> int:
    """Return the number of floats per vector, by embedding a black picture."""
    import numpy as np

    black = np.zeros((*predictor.preprocess.size, 3), np.uint8)
    return int(predictor.embed(black, pooling, layer).vectors.shape[-1])  # type: ignore[arg-type]


def embed_all(
    predictor: Predictor,
    named: Sequence[tuple[str, Any]],
    pooling: str,
    layer: int | None,
    skips: Skips,
    progress: Progress | None = None,
) -> tuple[list[str], np.ndarray]:
    """Embed a few pictures at once.

    Args:
        predictor: what embeds.
        named: what to call each picture, and the picture.
        pooling, layer: which features, one vector per picture.
        skips: collects what cannot be read.
        progress: called after every batch.

    Returns:
        The names of those that could be read, and their vectors (N, D).
    """
    import numpy as np

    names: list[str] = []
    blocks: list[np.ndarray] = []
    pictures = (picture for _, picture in named)
    for batch, block in vectors(predictor, pictures, pooling, layer, total=len(named), progress=progress):
        names += [named[index][0] for index in batch.indices]
        blocks += [block] if batch.indices else []
        skips.decoded(batch.skipped, lambda bad: named[bad.index][0])
    return names, np.concatenate(blocks) if blocks else np.zeros((0, 0), np.float32)
