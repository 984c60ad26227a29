"""Index a folder of photographs, then find what is like each of a few of them.

    python examples/search_my_photos.py FOLDER [QUERY ...]

Without queries, the first photograph is looked for. Writes `found.png` and `found.html`.
"""

from __future__ import annotations

import sys

import nexus


def main(folder: str, *queries: str) -> None:
    """Search `folder` for pictures like `queries`."""
    with nexus.load("dinov2_vits14") as predictor:
        print(nexus.index(folder, out="my-photos.nexus", model=predictor).lines()[0])
        wanted = queries or nexus.embed(folder, model=predictor).sources[:1]
        found = nexus.search(
            "my-photos.nexus", list(wanted), k=5, model=predictor, sheet="found.png", page="found.html"
        )
    for result in found.results:
        print(f"like {result.query}:")
        for hit in result.hits:
            print(f"  {hit.cosine:.3f}  {hit.path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
