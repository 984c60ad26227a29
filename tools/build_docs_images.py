"""Draw the pictures of the documentation with nexus itself, from the shipped photographs.

    NEXUS_MIRROR=1 python tools/build_docs_images.py

Each is reduced to 256 colours, which keeps it below 300 kB.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from PIL import Image

import nexus
from nexus.assets import PHOTOS

IMAGES = Path(__file__).parents[1] / "docs" / "images"
QUERIES = ("giraffe.jpg", "mountain-gorilla.jpg", "chenonceau.jpg")
ANIMALS = ("giraffe.jpg", "alpaca.jpg", "calf.jpg")


def main() -> None:
    """Write them."""
    predictor = nexus.load("dinov2_vits14")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        nexus.index(PHOTOS, out="photos.nexus", model=predictor)
        queries = [PHOTOS / name for name in QUERIES]
        nexus.search("photos.nexus", queries, k=5, model=predictor, sheet="search.png")
        nexus.visualize_pca([PHOTOS / name for name in ANIMALS], out="pca.png", model=predictor)
        for drawn in ("search.png", "pca.png"):
            picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
            picture.save(IMAGES / drawn, optimize=True)


if __name__ == "__main__":
    main()
