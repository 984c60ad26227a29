"""Classes by what they are called; no example is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from nexus.assets import load_templates
from nexus.errors import ConfigError, InputError, did_you_mean
from nexus.results import Progress
from nexus.retrieval import ann

if TYPE_CHECKING:
    from nexus.engines.predictor import Predictor

__all__ = ["DEFAULT_TEMPLATE", "ZeroShotClassifier"]

DEFAULT_TEMPLATE = "a photo of a {}."
"""What stands around a label (Radford et al. 2021, section 3.1.4)."""

SETS = ("imagenet", "simple", "none")

ARTICLES = ("a ", "an ", "the ")


class ZeroShotClassifier:
    """Compares pictures with classes that are described in words (Radford et al. 2021, section 3.1).

    A class is the mean direction of its label in all templates. Probabilities are those of the model: CLIP's say which
    of the classes it is and sum to 1; SigLIP judges each class for itself, so that all, or none, may be likely.

    Args:
        predictor: of a model that reads text.
        labels: what the classes are called, e.g. ``["a cat", "a dog"]``.
        templates: sentences in which ``{}`` stands for the label, or the name of a set of them: ``"imagenet"``, the 80
            of the CLIP paper; ``"simple"``, the best 7 of these; ``"none"``, the label alone. None: `DEFAULT_TEMPLATE`.
            In the default and in the two sets a label stands without its article.
        progress: called as texts are read.

    Attributes:
        classes: the labels.
        prompts: for each class its label in every template.
        vectors: (K, D) float32, one of length 1 per class.

    Raises:
        ConfigError: no label, an empty one, two that ask the same, or a template without ``{}``.
        InputError: the model reads no text.
    """

    def __init__(
        self,
        predictor: Predictor,
        labels: Sequence[str],
        templates: str | Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        self.classes = checked_labels(labels)
        self.prompts = prompts(self.classes, templates)
        refuse_equals(self.classes, self.prompts)
        texts = [text for texts in self.prompts for text in texts]
        vectors = ann.normalised(predictor.embed_text(texts, progress=progress))  # (K * templates, D)
        self.vectors: NDArray[np.float32] = ann.normalised(
            vectors.reshape(len(self.classes), -1, vectors.shape[1]).mean(1)
        )
        self._predictor = predictor

    def logits(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return (Q, K): how well each class fits each of (Q, D) vectors of pictures, as the model scales it.

        Raises:
            InputError: vectors of another length.
        """
        array = self._checked(features)
        model, device = self._predictor.model, self._predictor.device
        with torch.inference_mode():
            pictures, classes = torch.from_numpy(array).to(device), torch.from_numpy(self.vectors).to(device)
            return model.similarity(pictures, classes).float().cpu().numpy()  # type: ignore[no-any-return, operator]

    def probabilities(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return (Q, K) probabilities of the classes for (Q, D) vectors of pictures.

        Raises:
            InputError: vectors of another length.
        """
        logits = torch.from_numpy(self.logits(features))
        return self._predictor.model.probabilities(logits).numpy()  # type: ignore[no-any-return, operator]

    def cosines(self, features: ArrayLike) -> NDArray[np.float32]:
        """Return (Q, K) cosines, -1..1, of (Q, D) vectors of pictures with the classes.

        Raises:
            InputError: vectors of another length.
        """
        return np.asarray(ann.normalised(self._checked(features)) @ self.vectors.T, dtype=np.float32)

    def predict(self, features: ArrayLike) -> list[str]:
        """Return the most probable class of each of (Q, D) vectors of pictures."""
        return [self.classes[best] for best in self.logits(features).argmax(1)]

    def _checked(self, features: ArrayLike) -> NDArray[np.float32]:
        array = np.ascontiguousarray(features, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.vectors.shape[1]:
            raise InputError(f"features of shape {array.shape}: (N, {self.vectors.shape[1]}) is needed")
        return array


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels without the space around them.

    Raises:
        ConfigError: there is none, or one is empty.
    """
    stripped = tuple(label.strip() for label in labels)
    if not any(stripped):
        raise ConfigError("labels is empty: say what the classes are called, e.g. 'a cat,a dog'")
    if "" in stripped:
        raise ConfigError(f"labels = {', '.join(map(repr, stripped))}: number {stripped.index('') + 1} is empty")
    return stripped


def prompts(labels: Sequence[str], templates: str | Sequence[str] | None) -> tuple[tuple[str, ...], ...]:
    """Return the texts of each class; see `ZeroShotClassifier`.

    Raises:
        ConfigError: a template without ``{}``.
    """
    if templates == "none":
        return tuple((label,) for label in labels)
    if templates is None or (isinstance(templates, str) and templates in SETS):
        shipped = (DEFAULT_TEMPLATE,) if templates is None else load_templates(str(templates))
        return tuple(tuple(template.replace("{}", bare(label)) for template in shipped) for label in labels)
    own = (templates,) if isinstance(templates, str) else tuple(templates)
    for template in own or ("",):
        if "{}" not in template:
            raise ConfigError(
                f"templates = {template!r}: a template has {{}} where the label goes, as in {DEFAULT_TEMPLATE!r}; the "
                f"sets are {', '.join(SETS)}{did_you_mean(template, SETS)}"
            )
    return tuple(tuple(template.replace("{}", label) for template in own) for label in labels)


def refuse_equals(labels: Sequence[str], prompts: Sequence[Sequence[str]]) -> None:
    """Refuse labels that are the same to the model, capitals aside.

    Raises:
        ConfigError: with the first two of them.
    """
    first: dict[str, str] = {}
    for label, (text, *_) in zip(labels, prompts, strict=True):
        asked = text.casefold()
        if asked in first:
            raise ConfigError(
                f"labels has {first[asked]!r} and {label!r}, which both ask for {text!r}; name each class once"
            )
        first[asked] = label


def bare(label: str) -> str:
    """Return a label without its article: ``"a cat"`` is ``"cat"``, as "a photo of a {}." has one itself."""
    article = next((article for article in ARTICLES if label.lower().startswith(article)), "")
    return label[len(article) :].strip() or label
