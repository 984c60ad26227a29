"""Label the photographs of a folder from two or three examples per class.

    python examples/few_shot_labels.py FOLDER

The examples are named below; change them to yours.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nexus
from nexus.evaluation import KNNClassifier

EXAMPLES = {
    "castle": ("chambord.jpg", "chenonceau.jpg"),
    "hoofed": ("calf.jpg", "giraffe.jpg"),
}


def main(folder: str) -> None:
    """Print a label for every photograph of `folder`, and how sure it is."""
    labels = [label for label, names in EXAMPLES.items() for _ in names]
    paths = [Path(folder, name) for names in EXAMPLES.values() for name in names]
    with nexus.load("dinov2_vits14") as predictor:
        classifier = KNNClassifier().fit(predictor.embed(paths).vectors, labels)
        photos = predictor.embed(sorted(Path(folder).glob("*.jpg")))
    for source, row in zip(photos.sources, classifier.probabilities(photos.vectors), strict=True):
        print(f"{classifier.classes[row.argmax()]:8} {row.max():.2f}  {Path(source).name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
