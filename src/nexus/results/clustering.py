"""Groups of like pictures, and the folders that they were brought into."""

from __future__ import annotations

from nexus.results.base import Name, Result, Shown, Skipped
from nexus.results.text import printable

__all__ = ["Cluster", "ClusterResult", "OrganizeResult", "Placement"]


class Placement(Result):
    """Where one file went.

    Attributes:
        source, target: the file and its new place.
        action: ``"copy"``, ``"link"``, or ``"kept"`` where it was there already.
    """

    source: Name
    target: Name
    action: str


class OrganizeResult(Result):
    """What was brought into folders, or in a dry run what would be."""

    destination: Name
    dry_run: bool
    placements: tuple[Placement, ...]
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """One line per file."""
        would = "would " if self.dry_run else ""
        said = [f"{would}{p.action} {printable(p.source)} -> {printable(p.target)}" for p in self.placements]
        return said + [f"skipped {printable(skip.source)}: {skip.reason}" for skip in self.skipped]


class Cluster(Result):
    """One group of like pictures.

    Attributes:
        representative: the picture nearest to the centroid.
        paths: its pictures, nearest to the centroid first.
        cosine: of each to the centroid.
    """

    representative: Name
    paths: tuple[Name, ...]
    cosine: tuple[float, ...]


class ClusterResult(Shown):
    """Groups of like pictures, largest first.

    Attributes:
        method: ``"kmeans"`` or ``"hdbscan"``.
        count: images looked at.
        silhouette: how well the groups are apart, -1..1; None for fewer than two groups.
        clusters: the groups.
        unassigned: pictures in no group (HDBSCAN only).
        organized: where the files went, or in a dry run would go, if that was asked for.
    """

    method: str
    count: int
    silhouette: float | None
    clusters: tuple[Cluster, ...]
    unassigned: tuple[Name, ...] = ()
    organized: OrganizeResult | None = None

    def lines(self) -> list[str]:
        """Each group with its size, its representative first."""
        quality = "" if self.silhouette is None else f", silhouette {self.silhouette:.2f}"
        said = [f"{len(self.clusters)} groups of {self.count} images by {self.method}{quality}"]
        for number, group in enumerate(self.clusters, 1):
            said += [f"group {number}: {len(group.paths)} images", *(f"  {printable(path)}" for path in group.paths)]
        if self.unassigned:
            said += [f"in no group: {len(self.unassigned)} images", *(f"  {printable(p)}" for p in self.unassigned)]
        return said + (self.organized.lines() if self.organized else []) + self.written()
