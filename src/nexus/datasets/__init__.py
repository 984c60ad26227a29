"""Where pictures and samples come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.datasets.fetch import fetch_image as fetch_image
    from nexus.datasets.labelled import LabelledImages as LabelledImages
    from nexus.datasets.loader import Samples as Samples
    from nexus.datasets.loader import TrainLoader as TrainLoader
    from nexus.datasets.sources import find_images as find_images

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "LabelledImages": ".labelled",
        "Samples": ".loader",
        "TrainLoader": ".loader",
        "fetch_image": ".fetch",
        "find_images": ".sources",
    },
)
