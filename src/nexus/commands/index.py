"""``nexus index``: a folder of pictures becomes a collection that can be searched, and stays up to date."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from nexus.commands._collection import existing, identity_for
from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips, find, open_predictor, vectors
from nexus.commands._verb import verb
from nexus.errors import InputError
from nexus.results import IndexResult, Progress, Skipped

if TYPE_CHECKING:
    from nexus.engines.predictor import Predictor
    from nexus.retrieval.store import Identity
    from nexus.retrieval.writer import FileStat, Writer

__all__ = ["index", "update"]

Ann = Literal["auto", "flat", "hnsw", "ivfpq"]


@verb
def index(
    source: Any,
    *,
    out: str,
    pooling: Literal["cls", "mean"] = "cls",
    layer: int | None = None,
    ann: Ann | None = None,
    dims: int | None = None,
    root: str | None = None,
    **options: Unpack[RunOptions],
) -> IndexResult:
    """Index a folder of pictures, or bring its index up to date.

    Running it again adds what is new, embeds again what changed and drops what is gone. It may be killed at any
    moment: run it again, and it goes on from its last commit.

    Args:
        source: a folder, or several folders, files and globs; ``-`` reads a list from standard input.
        out: the collection to make or update, e.g. ``photos.nexus``.
        pooling: one vector per picture: the class token, or the mean of the patches.
        layer: block whose features are taken; negative counts from the end; by default the final features.
        ann: kind of search index: exact, or approximate for large collections; by default chosen by size.
        dims: keep only that many principal components of each vector.
        root: folder that the stored paths are relative to; say it when the pictures were moved.

    Returns:
        What was added, updated and removed, and how fast.

    Raises:
        CollectionError: the collection is being written, is of a newer format or was made with other settings.
        InputError: no picture was found.
    """
    predictor, skips = open_predictor(options), Skips(options["strict"])
    files = dict(_with_stats(find(source, skips), skips))
    if not files and not existing(out):
        raise skips.nothing("no picture", source)
    identity = identity_for(out, predictor, pooling, layer, options["model"])
    return update(
        out,
        predictor,
        identity,
        files,
        skips,
        scope=_scope(source),
        root=root,
        ann=ann,
        dims=dims,
        progress=options["progress"],
    )


def update(
    out: str | Path,
    predictor: Predictor,
    identity: Identity,
    files: Mapping[str, FileStat],
    skips: Skips,
    *,
    scope: Iterable[str],
    root: str | None = None,
    ann: Ann | None = None,
    dims: int | None = None,
    progress: Progress | None = None,
) -> IndexResult:
    """Make a collection hold exactly the given files, as far as `scope` reaches.

    Args:
        out: the collection's folder.
        predictor: what embeds.
        identity: what the vectors are.
        files: absolute path -> size and time.
        skips: collects what cannot be read.
        scope: folders and files that were searched; what is stored below them and was not found is dropped.
        root, ann, dims: see `index`.
        progress: called after every batch.
    """
    from nexus.retrieval.collection import Collection, relative_name
    from nexus.retrieval.writer import Writer

    started = time.monotonic()
    with Writer(out, identity, root or (None if existing(out) else _common_root(scope)), ann=ann) as writer:
        base = os.fsdecode(writer.state.root)
        relative = {relative_name(path, base): path for path in files}
        plan = writer.plan((name, *files[path]) for name, path in relative.items())
        unseen = [skipped.source for skipped in skips]
        gone = [name for name in plan.gone if _is_gone(os.path.join(base, os.fsdecode(name)), scope, unseen)]
        todo = [(name, relative[name]) for name in (*plan.new, *plan.changed)]
        unread = _embed(writer, predictor, todo, files, skips, progress)
        for name in (*gone, *unread):
            writer.remove(name)
        writer.commit()
        if dims:
            writer.reduce(dims)
    collection = Collection.open(out)
    kind = collection.build_ann()
    seconds = time.monotonic() - started
    lost = set(unread)
    return IndexResult(
        path=str(out),
        added=len([name for name in plan.new if name not in lost]),
        updated=len([name for name in plan.changed if name not in lost]),
        removed=len(gone) + len([name for name in plan.changed if name in lost]),
        unchanged=len(plan.unchanged),
        total=collection.count,
        dims=collection.dims,
        explained=collection.explained if collection.dims < identity.dims else None,
        ann=kind,
        engine=predictor.engine_name,
        seconds=seconds,
        images_per_second=len(todo) / seconds,
        skipped=tuple(skips),
    )


def _embed(
    writer: Writer,
    predictor: Predictor,
    todo: list[tuple[bytes, str]],
    files: Mapping[str, FileStat],
    skips: Skips,
    progress: Progress | None,
) -> list[bytes]:
    """Put the vector of every file that can be read; return the names of those that cannot."""
    unread = []
    pictures, made = (path for _, path in todo), writer.state.identity
    for batch, block in vectors(predictor, pictures, made.pooling, made.layer, total=len(todo), progress=progress):
        for index, decoded, vector in zip(batch.indices, batch.decoded, block, strict=True):
            assert decoded.sha256 is not None, "files have content hashes"
            name, path = todo[index]
            if writer.content(name) == decoded.sha256:
                writer.touch(name, files[path])
            else:
                writer.put(name, decoded.sha256, decoded.phash, files[path], vector)
        skips.decoded(batch.skipped)
        unread += [todo[bad.index][0] for bad in batch.skipped]
    return unread


def _with_stats(found: Iterable[Any], skips: Skips) -> Iterator[tuple[str, FileStat]]:
    """Absolute path and stat of each file, taken before it is read."""
    from nexus.retrieval.writer import FileStat

    for one in found:
        if not isinstance(one, str | os.PathLike):
            raise InputError(
                f"an index keeps paths, so it takes files and folders, not a {type(one).__name__}; use nexus.embed"
            )
        path = os.path.abspath(os.fsdecode(one))
        try:
            stat = os.stat(path)
        except OSError as error:
            skips(Skipped(source=path, reason=error.strerror or str(error)))
        else:
            yield path, FileStat(stat.st_size, stat.st_mtime_ns)


def _scope(source: Any) -> list[str]:
    """Absolute paths of the folders and files that were searched; a pattern or a list does not name a whole folder."""
    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    return [os.path.abspath(os.fsdecode(one)) for one in sources if os.path.exists(one)]


def _common_root(scope: Iterable[str]) -> str:
    folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in scope]
    return os.path.commonpath(folders) if folders else os.getcwd()


def _is_gone(path: str, scope: Iterable[str], unseen: Iterable[str]) -> bool:
    """Whether a stored file that was not found is gone, not just behind a folder or disk that cannot be read now."""
    if any(_below(path, place) for place in unseen):
        return False
    vanished = not os.path.lexists(path) and os.path.isdir(os.path.dirname(path))
    return vanished or any(_below(path, place) for place in scope)


def _below(path: str, place: str) -> bool:
    place = os.path.abspath(place)
    return path == place or path.startswith(place.rstrip(os.sep) + os.sep)
