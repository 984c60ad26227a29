"""Collections of image vectors on disk: search, duplicates, near-copies, clusters, recommendations.

Knows no model and decodes no image: vectors, hashes and paths come from the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.retrieval.collection import Collection as Collection
    from nexus.retrieval.collection import Neighbours as Neighbours
    from nexus.retrieval.store import Identity as Identity
    from nexus.retrieval.writer import FileStat as FileStat
    from nexus.retrieval.writer import Plan as Plan
    from nexus.retrieval.writer import Writer as Writer

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Collection": ".collection",
        "FileStat": ".writer",
        "Identity": ".store",
        "Neighbours": ".collection",
        "Plan": ".writer",
        "Writer": ".writer",
    },
)
