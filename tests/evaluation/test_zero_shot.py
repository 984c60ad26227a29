"""Classes by what they are called: prompts, class vectors, CLIP's and SigLIP's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import nexus
from nexus.assets import load_templates
from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError, InputError, UnknownNameError
from nexus.evaluation import ZeroShotClassifier
from nexus.evaluation.zero_shot import bare, prompts
from nexus.models.cv import CLIP, SigLIP
from nexus.models.tokenizer import Tokenizer, byte_pairs

START, END = "<|startoftext|>", "<|endoftext|>"
LETTERS = [letter + end for letter in "abcdefghijklmnopqrstuvwxyz." for end in ("", "</w>")]

IMAGE: dict[str, Any] = {"image_size": 32, "patch_size": 16, "embed_dim": 16, "num_layers": 1, "num_heads": 2}
TEXT: dict[str, Any] = {"vocab_size": len(LETTERS) + 2, "context_length": 24, "embed_dim": 16, "num_heads": 2}


def predictor(family: str) -> Predictor:
    """A small pair, and a tokenizer that takes each letter for a token."""
    torch.manual_seed(0)
    text = {**TEXT, "num_layers": 1, "projection_dim": 16}
    if family == "clip":
        model: Any = CLIP({"image": {**IMAGE, "projection_dim": 16}, "text": text})
    else:
        model = SigLIP({"image": {**IMAGE, "mlp_dim": 32}, "text": {**text, "mlp_dim": 32}})
    vocabulary = {token: number for number, token in enumerate([*LETTERS, START, END])}
    model.tokenizer = Tokenizer(lambda: byte_pairs(vocabulary, []), length=24, pad_token=END)
    return nexus.load(model, engine="eager")


def test_a_label_in_its_templates() -> None:
    assert prompts(["a cat", "dogs"], None) == (("a photo of a cat.",), ("a photo of a dogs.",))
    assert prompts(["a cat"], "none") == (("a cat",),)
    assert prompts(["a cat"], "the {}: {}") == (("the a cat: a cat",),)
    assert prompts(["a {b}"], ["{}", "no {} here"]) == (("a {b}", "no a {b} here"),)
    (best,) = prompts(["the cat"], "simple")
    assert best[:2] == ("itap of a cat.", "a bad photo of the cat.")
    assert len(prompts(["cat"], "imagenet")[0]) == 80
    assert set(load_templates("simple")) <= set(load_templates("imagenet"))
    with pytest.raises(UnknownNameError, match="no list of templates is called 'imagnet'"):
        load_templates("imagnet")


@pytest.mark.parametrize(
    ("label", "noun"),
    [("a cat", "cat"), ("An owl", "owl"), ("the Eiffel tower", "Eiffel tower"), ("antelope", "antelope"), ("a ", "a ")],
)
def test_articles(label: str, noun: str) -> None:
    assert bare(label) == noun


@pytest.mark.parametrize("templates", ["a photo", [], ["{}", "photo"], ""])
def test_a_template_has_a_place_for_the_label(templates: Any) -> None:
    with pytest.raises(ConfigError, match=r"a template has \{\} where the label goes, as in 'a photo of a \{\}\.'"):
        prompts(["a cat"], templates)


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_probabilities_are_derived_from_vectors(family: str) -> None:
    """Derived: the mean of unit vectors over templates, cosines, scale and bias, softmax or sigmoid, in float64."""
    pair, labels = predictor(family), ["a cat", "a dog", "a bird"]
    classifier = ZeroShotClassifier(pair, labels, "simple")
    features = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)

    def unit(array: np.ndarray) -> np.ndarray:
        return array / np.linalg.norm(array, axis=-1, keepdims=True)

    classes = []
    for label in ("cat", "dog", "bird"):
        texts = [template.replace("{}", label) for template in load_templates("simple")]
        classes.append(unit(unit(pair.embed_text(texts).astype(np.float64)).mean(0)))
    cosines = unit(features.astype(np.float64)) @ np.stack(classes).T
    logits = cosines * np.exp(pair.model.logit_scale.item())  # type: ignore[operator, union-attr]
    if family == "siglip":
        logits += pair.model.logit_bias.item()  # type: ignore[operator, union-attr]
        expected = 1 / (1 + np.exp(-logits))
    else:
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(classifier.cosines(features), cosines, atol=1e-6)
    np.testing.assert_allclose(classifier.logits(features), logits, atol=1e-4)
    np.testing.assert_allclose(classifier.probabilities(features), expected, atol=1e-5)
    assert classifier.predict(features) == [labels[best] for best in logits.argmax(1)]
    with pytest.raises(InputError, match=r"features of shape \(5, 15\): \(N, 16\) is needed"):
        classifier.probabilities(features[:, 1:])


def test_labels_that_cannot_be() -> None:
    pair = predictor("clip")
    for labels, said in {
        (): "labels is empty",
        (" ",): "labels is empty",
        ("a cat", ""): "number 2 is empty",
        ("a cat", "A CAT"): "which both ask for",
    }.items():
        with pytest.raises(ConfigError, match=said):
            ZeroShotClassifier(pair, labels)
    assert ZeroShotClassifier(pair, ["a cat", "the cat"], "none").classes == ("a cat", "the cat")


def test_texts_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    pair, events = predictor("clip"), []
    texts = [f"{chr(97 + number)} cat" for number in range(7)]
    whole = pair.embed_text(texts)
    monkeypatch.setattr("nexus.engines.predictor.TEXTS_AT_ONCE", 3)
    np.testing.assert_allclose(pair.embed_text(texts, progress=events.append), whole, atol=1e-6)
    assert [(event.done, event.total, event.unit) for event in events] == [(n, 7, "texts") for n in (3, 6, 7)]
    assert whole.dtype == np.float32
    assert pair.embed_text("a cat").shape == (1, 16)
    assert pair.embed_text([]).shape[0] == 0
    with pytest.raises(InputError, match="holds 3, a int"):
        pair.embed_text([3])  # type: ignore[list-item]
