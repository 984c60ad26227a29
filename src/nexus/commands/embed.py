"""``nexus embed``: pictures become feature vectors, in memory or in a file."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, find, name_of, open_predictor, vectors
from nexus.commands._spool import Spool
from nexus.commands._verb import verb
from nexus.results import Embeddings, EmbedResult

if TYPE_CHECKING:
    from nexus.engines.predictor import Predictor

__all__ = ["embed"]


@verb
def embed(
    source: Any,
    *,
    out: str | None = None,
    pooling: Literal["cls", "mean", "patch"] = "cls",
    layer: int | None = None,
    **options: Unpack[RunOptions],
) -> Embeddings | EmbedResult:
    """Turn pictures into feature vectors.

    With `out`, memory does not grow with the number of pictures, and a run that was killed goes on where it was.

    Args:
        source: pictures, folders and globs; ``-`` reads a list from standard input; in Python also arrays and images.
        out: a file to write: .npz (``vectors``, ``sources``) or .parquet (``vector``, ``path``).
        pooling: ``cls``, the model's own vector of a picture; ``mean`` of the patches; or every ``patch``, row by row.
        layer: block whose raw features are taken; negative counts from the end; by default the final ones, normalised.

    Returns:
        The vectors themselves, or with `out` what was written.

    Raises:
        InputError: no picture was found, or the model has no such layer.
        ConfigError: `out` has another suffix.
    """
    skips = Skips(options["strict"])
    predictor = open_predictor(options)
    pictures = list(find(source, skips))
    if not pictures:
        raise skips.nothing("no picture", source)
    if out is None:
        found = predictor.embed(pictures, pooling, layer, progress=options["progress"])
        for skipped in found.skipped:
            skips(skipped)
        return found.model_copy(update={"skipped": tuple(skips)})
    return _to_file(out, predictor, pictures, pooling, layer, skips, options)


def _to_file(
    out: str,
    predictor: Predictor,
    pictures: list[Any],
    pooling: str,
    layer: int | None,
    skips: Skips,
    options: Mapping[str, Any],
) -> EmbedResult:
    started = time.monotonic()
    header = {
        "model": predictor.name,
        "weights": predictor.digest(),
        "preprocess": predictor.preprocess.to_dict(),
        "pooling": pooling,
        "layer": layer,
    }
    named = {name_of(picture, n): picture for n, picture in enumerate(pictures)}
    marks = {name: _mark(picture) for name, picture in named.items()}
    spool = Spool(out, header)
    if any(marks.get(name) != mark or mark is None for name, mark in spool.done.items()):
        spool.forget()
        spool = Spool(out, header)
    resumed = len(spool.done)
    todo = [name for name in named if name not in spool.done]
    try:
        stream = (named[name] for name in todo)
        for batch, block in vectors(predictor, stream, pooling, layer, total=len(todo), progress=options["progress"]):
            if batch.indices:
                names = [todo[index] for index in batch.indices]
                spool.add(names, [marks[name] for name in names], block)
            skips.decoded(batch.skipped, lambda bad: todo[bad.index])
    finally:
        spool.close()
    count, shape = spool.finish(list(named))
    seconds = time.monotonic() - started
    return EmbedResult(
        path=out,
        count=count,
        shape=shape,
        resumed=resumed,
        engine=predictor.engine_name,
        seconds=seconds,
        images_per_second=(count - resumed) / seconds,
        skipped=tuple(skips),
    )


def _mark(picture: Any) -> list[int] | None:
    """What tells that a file is still the one that was embedded; None for what is no file."""
    try:
        stat = os.stat(picture)
    except (OSError, TypeError, ValueError):
        return None
    return [stat.st_size, stat.st_mtime_ns]
