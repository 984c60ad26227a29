"""Where pictures and samples come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.datasets.fetch import fetch_image as fetch_image
    from nexus.datasets.labelled import LabelledImages as LabelledImages
    from nexus.datasets.loader import Samples as Samples
    from nexus.datasets.loader import TrainLoader as TrainLoader
    from nexus.datasets.reading import read_labelled as read_labelled
    from nexus.datasets.reading import read_unlabelled as read_unlabelled
    from nexus.datasets.sources import find_images as find_images
    from nexus.datasets.splits import Splits as Splits
    from nexus.datasets.splits import align_classes as align_classes
    from nexus.datasets.splits import check_classes as check_classes
    from nexus.datasets.splits import hold_out as hold_out
    from nexus.datasets.splits import keep_classes as keep_classes
    from nexus.datasets.splits import read_splits as read_splits

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "LabelledImages": ".labelled",
        "Samples": ".loader",
        "Splits": ".splits",
        "TrainLoader": ".loader",
        "align_classes": ".splits",
        "check_classes": ".splits",
        "fetch_image": ".fetch",
        "find_images": ".sources",
        "hold_out": ".splits",
        "keep_classes": ".splits",
        "read_labelled": ".reading",
        "read_splits": ".splits",
        "read_unlabelled": ".reading",
    },
)
