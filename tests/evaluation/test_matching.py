"""Which logit is which class: by name, by number, or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from nexus.assets import load_labels
from nexus.datasets import LabelledImages
from nexus.errors import InputError
from nexus.evaluation import match_classes

IMAGENET, WNIDS = load_labels("imagenet_1k"), load_labels("imagenet_1k_wnids")


def data(*classes: str, absent: str | None = None) -> LabelledImages:
    targets = [number for number, name in enumerate(classes) if name != absent]
    return LabelledImages(["x.png"] * len(targets), np.array(targets), classes, "data/val")


@pytest.mark.parametrize(
    ("classes", "labels", "columns", "said"),
    [
        (("dog", "cat"), ("cat", "dog", "emu"), [1, 0], ""),
        (("Great_White shark",), ("tench", "great white shark"), [1], ""),
        (("tench",), ("goldfish, Carassius auratus", "tench, Tinca tinca"), [1], "first of their names"),
        (("crane",), ("crane, bird", "crane"), [1], ""),
        (("n01443537", "n01440764"), IMAGENET, [1, 0], "WordNet"),
        (("n03126707", "n02012849"), None, [517, 134], "WordNet"),
        (("0", "1", "10", "2"), None, [0, 1, 10, 2], "numbers"),
        (("1", "0"), ("zero", "one"), [1, 0], "numbers"),
    ],
)
def test_classes_are_found(
    classes: tuple[str, ...], labels: tuple[str, ...] | None, columns: list[int], said: str
) -> None:
    outputs = len(labels) if labels else 1000 if classes[0].startswith("n") else 11
    found = match_classes(data(*classes), labels, outputs)
    assert found.columns.tolist() == columns
    assert said in found.note
    assert bool(said) == bool(found.note)
    assert len(found.names) == outputs


def test_imagenets_folders_fit_models_with_synonyms_in_their_labels() -> None:
    """Two classes of ImageNet are cranes, so their first names do not tell all classes apart."""
    labels = tuple(f"{name.split(' (')[0]}, other name" for name in IMAGENET)
    found = match_classes(data(*WNIDS[100:600]), labels, 1000)
    assert found.columns.tolist() == list(range(100, 600))


def test_published_names_of_imagenet_fit_ours() -> None:
    """Of some classes, e.g. the cranes, the published names do not say which of ours they are; their places do."""
    classes = tuple(f"{name.split(' (')[0]}, other name" for name in IMAGENET)
    found = match_classes(data(*classes), IMAGENET, 1000)
    assert (found.columns.tolist(), found.names) == (list(range(1000)), IMAGENET)
    assert "order" in found.note
    with pytest.raises(InputError, match="Which is"):
        match_classes(data(*classes[::-1]), IMAGENET, 1000)


def test_without_names_equal_numbers_are_taken_in_order_with_a_note() -> None:
    found = match_classes(data("ant", "bee", "cow"), None, 3, "mine")
    assert (found.columns.tolist(), found.names) == ([0, 1, 2], ("ant", "bee", "cow"))
    assert "mine has no class names" in found.note


def test_a_class_without_pictures_needs_no_logit() -> None:
    several = data("cat", "dog", "emu", absent="dog")
    found = match_classes(several, ("emu", "cat"), 2)
    assert found.columns.tolist() == [1, -1, 0]
    selected, columns = found.select(several)
    assert (selected.classes, selected.targets.tolist(), columns.tolist()) == (("cat", "emu"), [0, 1], [1, 0])
    assert found.renumber(several).targets.tolist() == [1, 0]


def test_pictures_without_a_label_stay_so() -> None:
    some = LabelledImages(["x.png"] * 3, np.array([1, -1, 0]), ("cat", "dog"))
    found = match_classes(some, ("emu", "dog", "cat"), 3)
    assert found.renumber(some).targets.tolist() == [1, -1, 2]
    assert found.select(some)[0].targets.tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("classes", "labels", "outputs", "message"),
    [
        (
            ("cat", "dogs"),
            ("cat", "dog"),
            2,
            r"'cat', 'dogs'; the model tells apart 'cat', 'dog'. Which is 'dogs' \(did",
        ),
        (("cat", "dog"), None, 3, "the model has 3 logits without names. Which is 'cat'"),
        (("cat", "dog"), ("cat",), 3, "3 logits without names"),
        (("crane",), ("Crane, bird", "Crane, machine"), 2, "Which is 'crane'"),
        (("n01440764", "n99999999"), IMAGENET, 1000, "'n99999999'|'n01440764'"),
    ],
)
def test_what_cannot_be_told_is_refused_with_both_lists(
    classes: tuple[str, ...], labels: tuple[str, ...] | None, outputs: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        match_classes(data(*classes), labels, outputs)
