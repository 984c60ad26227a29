"""Labels and texts of pictures."""

from __future__ import annotations

from nexus.results.base import Name, Result, Shown
from nexus.results.text import printable, probability

__all__ = ["Caption", "CaptionedPicture", "CaptionsResult", "Classification", "ClassifyResult", "Prediction"]


class Prediction(Result):
    """One class with its softmax probability, 0..1."""

    label: str
    index: int
    score: float


class Classification(Result):
    """The most likely classes of one image, best first; none, and the reason, where it could not be read."""

    source: Name
    predictions: tuple[Prediction, ...]
    reason: str | None = None


class ClassifyResult(Shown):
    """Labels of pictures.

    Attributes:
        method: ``"classifier"`` (the model's own head), ``"knn"``, ``"probe"`` or ``"zero-shot"`` (labels in words).
        model: what gave the logits or the features.
        classes: the labels there are.
        accuracy: of the examples, each labelled by the others (``knn``) or by folds (``probe``); None without examples.
        pictures: in order.
    """

    method: str
    model: str
    classes: tuple[str, ...]
    accuracy: float | None
    pictures: tuple[Classification, ...]

    def lines(self) -> list[str]:
        """One line per picture, and how far the labels can be trusted."""
        said = [
            f"{printable(picture.source)}: "
            + ", ".join(f"{p.label} {probability(p.score)}" for p in picture.predictions)
            for picture in self.pictures
            if picture.predictions
        ]
        if self.accuracy is not None:
            said.append(f"{self.accuracy:.1%} of the examples are labelled right by the other examples ({self.method})")
        return said + self.written()


class Caption(Result):
    """One text, and how well it describes a picture.

    Attributes:
        text: as it was given.
        index: its place among all texts, from 0.
        cosine: of its vector and the picture's, -1..1.
        score: its probability, 0..1: among all texts (CLIP), or for itself (SigLIP).
    """

    text: str
    index: int
    cosine: float
    score: float


class CaptionedPicture(Result):
    """A picture and the texts that describe it best, best first."""

    source: Name
    captions: tuple[Caption, ...]


class CaptionsResult(Shown):
    """Which texts describe which pictures.

    Attributes:
        model: what compared them.
        count: texts that were compared.
        pictures: in order.
    """

    model: str
    count: int
    pictures: tuple[CaptionedPicture, ...]

    def lines(self) -> list[str]:
        """For each picture one numbered line per text."""
        said = []
        for picture in self.pictures:
            said.append(f"{printable(picture.source)}, best of {self.count} texts:")
            said += [
                f"{rank}. {one.text} (similarity: {one.cosine:.4f}, probability: {probability(one.score)})"
                for rank, one in enumerate(picture.captions, 1)
            ]
        return said + self.written()
