"""``nexus cluster``: groups of pictures that look alike."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import Unpack

from nexus.commands._collection import open_collection
from nexus.commands._options import RunOptions
from nexus.commands._predictor import Skips
from nexus.commands._verb import verb
from nexus.results import ClusterResult, OrganizeResult, Progress, ProgressEvent

__all__ = ["cluster"]


@verb
def cluster(
    collection: str,
    *,
    k: Annotated[int | None, Field(ge=1)] = None,
    method: Literal["kmeans", "hdbscan"] = "kmeans",
    min_size: int = 5,
    seed: int = 0,
    organize: str | None = None,
    link: bool = False,
    dry_run: bool = False,
    sheet: str | None = None,
    page: str | None = None,
    root: str | None = None,
    **options: Unpack[RunOptions],
) -> ClusterResult:
    """Group pictures that look alike, and put each group in a folder.

    Args:
        collection: a ``.nexus`` folder, or a folder of pictures (indexed into the cache on the fly).
        k: number of groups; by default the one that separates best.
        method: ``kmeans`` puts every picture in a group; ``hdbscan`` finds dense groups and leaves the rest out.
        min_size: smallest group, for ``hdbscan``.
        seed: of the start of ``kmeans``.
        organize: copy the pictures into one folder per group below this one. Nothing is moved or deleted.
        link: hard-link them instead, where that is possible.
        dry_run: only say what would be copied.
        sheet: write a contact sheet of the groups here, as PNG.
        page: write the groups here as an HTML page.
        root: where the collection's pictures are now, if they were moved.

    Returns:
        The groups, largest first, in each the most typical picture first.

    Raises:
        CollectionError: the collection cannot be opened.
        MissingDependencyError: ``hdbscan`` without the extra ``cluster``.
    """
    from nexus.retrieval.cluster import cluster as group

    skips = Skips(options["strict"])
    opened = open_collection(collection, options, skips, root)
    result = group(opened, k=k, method=method, min_size=min_size, seed=seed)
    moved = _organize(result, organize, link, dry_run, options["progress"]) if organize else None
    drawn = {"sheet": sheet, "page": page, "skipped": tuple(skips), "organized": moved}
    result = result.model_copy(update=drawn)
    if sheet or page:
        _draw(result, collection)
    return result


def _organize(
    result: ClusterResult, destination: str, link: bool, dry_run: bool, progress: Progress | None
) -> OrganizeResult:
    from nexus.retrieval.organize import organize, plan_folders

    wanted = plan_folders([group.paths for group in result.clusters])

    def report(done: int) -> None:
        if progress is not None:
            progress(ProgressEvent(stage="organize", done=done, total=len(wanted), unit="files"))

    return organize(wanted, destination, link=link, dry_run=dry_run, progress=report)


def _draw(result: ClusterResult, collection: str) -> None:
    from nexus.commands._sheet import counted, draw, row, tile

    rows = [
        row(f"group {number}", [tile(path) for path in group.paths], counted(len(group.paths)))
        for number, group in enumerate(result.clusters, 1)
    ]
    if result.unassigned:
        rows.append(row("in no group", [tile(path) for path in result.unassigned]))
    draw(rows, result.sheet, result.page, title=f"groups of {collection}")
