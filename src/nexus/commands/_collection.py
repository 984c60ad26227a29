"""From what a user calls a collection (a ``.nexus`` folder, or just a folder of pictures) to an open one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus.commands._options import DEFAULT_MODEL
from nexus.commands._predictor import Skips, find, open_predictor, refuse_changes, settings, vector_dims
from nexus.errors import CollectionError, InputError

if TYPE_CHECKING:
    from nexus.engines.predictor import Predictor
    from nexus.retrieval.collection import Collection
    from nexus.retrieval.store import Identity

__all__ = ["existing", "identity_for", "identity_of", "open_collection", "predictor_for", "reloadable"]


def identity_of(predictor: Predictor, pooling: str, layer: int | None, dims: int, source: Any = None) -> Identity:
    """Return what must be equal for two vectors to be comparable.

    Args:
        predictor: what makes the vectors.
        pooling, layer: which features.
        dims: floats per vector; they follow from the weights, so an existing collection knows them.
        source: what the user named the model by, so that it can be loaded again.
    """
    from nexus.retrieval.store import Identity

    return Identity(
        model=reloadable(source) or predictor.name,
        weights_digest=predictor.digest(),
        preprocess=predictor.preprocess.to_dict(),
        preprocess_digest=predictor.preprocess.digest(),
        pooling=pooling,
        layer=layer,
        dims=dims,
    )


def identity_for(
    out: str | Path, predictor: Predictor, pooling: str, layer: int | None, source: Any = None
) -> Identity:
    """Return the identity with which vectors go into a collection that may not be there yet."""
    there = existing(out)
    dims = there.identity.dims if there else vector_dims(predictor, pooling, layer)
    return identity_of(predictor, pooling, layer, dims, source)


def existing(out: str | Path) -> Collection | None:
    """Open a collection if there is one; if there is one that is damaged, its writer will say so."""
    from nexus.retrieval.collection import Collection

    try:
        return Collection.open(out)
    except CollectionError:
        return None


def open_collection(
    path: str, options: Mapping[str, Any], skips: Skips, root: str | None = None, default: str = DEFAULT_MODEL
) -> Collection:
    """Open a collection; a folder of pictures is indexed into the cache first, or brought up to date there.

    Args:
        path: a ``.nexus`` folder, or a folder of pictures.
        options: the values of `RunOptions`.
        skips: collects pictures that cannot be read.
        root: where the pictures are now, if they were moved.
        default: the model with which a folder of pictures is indexed where the options name none.

    Raises:
        InputError: it is neither.
        CollectionError: it cannot be opened.
        ConfigError: the options ask for a preprocessing that it was not made with.
    """
    from nexus.retrieval.collection import Collection
    from nexus.transforms.preprocess import PreprocessSpec

    folder = Path(path)
    if (folder / "meta.sqlite").is_file():
        opened = Collection.open(folder, root=root)
        own = settings(PreprocessSpec.parse(opened.identity.preprocess))
        refuse_changes(options, own, path, "index into a new collection with it")
        return opened
    if not folder.is_dir():
        remedy = f"Make one: nexus index FOLDER --out {path}"
        raise InputError(f"{path} is neither a collection nor a folder of pictures. {remedy}")
    model = default if options["model"] is None else options["model"]
    return Collection.open(_index_into_cache(folder, {**options, "model": model}, skips))


def predictor_for(collection: Collection, options: Mapping[str, Any]) -> Predictor:
    """Load the model that made a collection, with its preprocessing, so that queries are treated like what was indexed.

    Raises:
        CollectionError: the weights are not those that made it.
    """
    from nexus.transforms.preprocess import PreprocessSpec

    identity = collection.identity
    model = identity.model if options["model"] is None else options["model"]
    predictor = open_predictor({**options, "model": model}, preprocess=PreprocessSpec.parse(identity.preprocess))
    collection.require(identity_of(predictor, identity.pooling, identity.layer, identity.dims))
    return predictor


def reloadable(source: Any) -> str | None:
    """Return what loads the same model again, from any working folder; None for a module or predictor."""
    if not isinstance(source, str | os.PathLike):
        return None
    return os.path.abspath(os.fspath(source)) if os.path.isdir(source) else str(source)


def _index_into_cache(folder: Path, options: Mapping[str, Any], skips: Skips) -> Path:
    from nexus import hub
    from nexus.commands.index import _scope, _with_stats, update

    predictor = open_predictor(options)
    key = "\0".join([os.path.realpath(folder), predictor.digest(), predictor.preprocess.digest()])
    out = hub.cache_dir() / "collections" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}.nexus"
    files = dict(_with_stats(find(str(folder), skips), skips))
    if not files:
        raise skips.nothing("no picture", str(folder))
    identity = identity_for(out, predictor, "cls", None, options["model"])
    update(out, predictor, identity, files, skips, scope=_scope(str(folder)), progress=options["progress"])
    return out
