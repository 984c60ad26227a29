"""Pictures and words: classify by labels, search by text, captions; on a small CLIP that transformers reads too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nexus
from nexus.errors import ConfigError, InputError
from nexus.evaluation import ZeroShotClassifier

Command = Callable[..., tuple[int, str, str]]

LABELS = ["a bird", "a castle", "an old goat"]


@torch.no_grad()
def of_transformers(text_model: str, files: Sequence[Path], texts: Sequence[str]) -> torch.Tensor:
    """`logits_per_image` of CLIPModel, from the same files and texts."""
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    model, tokenizer = CLIPModel.from_pretrained(text_model).eval(), AutoTokenizer.from_pretrained(text_model)
    opened = [np.asarray(Image.open(BytesIO(file.read_bytes()))) for file in files]
    pixels = CLIPImageProcessorPil.from_pretrained(text_model)(opened, return_tensors="pt")
    words = tokenizer(list(texts), padding="max_length", max_length=24, truncation=True, return_tensors="pt")
    return model(**pixels, **words).logits_per_image


def is_drawn(path: Path) -> bool:
    with Image.open(path) as image:
        return min(image.size) > 100


def pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))


# -- classify --labels -------------------------------------------------------------------------------------------------


def test_labels_get_the_probabilities_of_transformers(folder: Path, text_model: str) -> None:
    result = nexus.classify(str(folder), labels=LABELS, model=text_model, decode="exact", engine="eager")
    assert (result.method, result.classes, result.accuracy) == ("zero-shot", tuple(LABELS), None)
    asked = [f"a photo of a {label.split(maxsplit=1)[1]}." for label in LABELS]
    expected = of_transformers(text_model, pictures(folder), asked).softmax(-1)
    assert [Path(picture.source) for picture in result.pictures] == pictures(folder)
    for picture, row in zip(result.pictures, expected, strict=True):
        found = {prediction.index: prediction.score for prediction in picture.predictions}
        assert [found[index] for index in range(3)] == pytest.approx(row.tolist(), abs=2e-4)
        assert [p.score for p in picture.predictions] == sorted(found.values(), reverse=True)


@pytest.mark.parametrize(
    ("templates", "asked"),
    [
        ("none", ["a bird", "a castle", "an old goat"]),
        ("a sketch of {}", ["a sketch of a bird", "a sketch of a castle", "a sketch of an old goat"]),
    ],
)
def test_templates(folder: Path, text_model: str, templates: str, asked: list[str]) -> None:
    result = nexus.classify(
        str(folder), labels=LABELS, templates=templates, model=text_model, decode="exact", engine="eager", top_k=1
    )
    best = of_transformers(text_model, pictures(folder), asked).softmax(-1).max(-1)
    assert [picture.predictions[0].index for picture in result.pictures] == best.indices.tolist()
    assert [p.predictions[0].score for p in result.pictures] == pytest.approx(best.values.tolist(), abs=2e-4)


def test_labels_on_the_command_line(folder: Path, text_model: str, tmp_path: Path, command: Command) -> None:
    (tmp_path / "labels.txt").write_text("a bird\n\n  a castle\nan old goat \n")
    for said in ("a bird,a castle, an old goat", str(tmp_path / "labels.txt")):
        code, out, _ = command("classify", folder, "--labels", said, "--model", text_model, "--json")
        assert code == 0
        assert json.loads(out)["classes"] == LABELS
    sheet = tmp_path / "sheet.png"
    code, out, _ = command("classify", folder, "--labels", "a bird,a castle", "--model", text_model, "--sheet", sheet)
    assert out.splitlines()[0].split(": ")[0] == str(folder / "DSC_1187.jpg")
    assert out.splitlines()[-1] == f"wrote {sheet}"
    assert is_drawn(sheet)


def test_labels_that_cannot_be(folder: Path, model: str, text_model: str, command: Command) -> None:
    for labels, said in {
        "": "labels is empty",
        "a cat,,a dog": "number 2 is empty",
        "a cat,the Cat": "labels has 'a cat' and 'the Cat', which both ask for 'a photo of a Cat.'",
    }.items():
        with pytest.raises(ConfigError, match=said):
            nexus.classify(str(folder), labels=labels, model=text_model)
    with pytest.raises(ConfigError, match=r"'a photo': a template has \{\} where the label goes"):
        nexus.classify(str(folder), labels="a cat,a dog", templates="a photo", model=text_model)
    with pytest.raises(ConfigError, match="labels= or examples=, not both"):
        nexus.classify(str(folder), labels="a cat,a dog", examples=str(folder))
    with pytest.raises(ConfigError, match="templates stand around labels"):
        nexus.classify(str(folder), templates="simple", model=text_model)
    with pytest.raises(
        InputError, match=r"tiny reads no text. Take a model that does: clip_.*, siglip_.*--task zero-shot"
    ):
        nexus.classify(str(folder), labels="a cat,a dog", model=model)
    with pytest.raises(InputError, match="has no classifier head, but it reads text"):
        nexus.classify(str(folder), model=text_model)
    assert command("classify", folder, "--labels", "a cat,a cat", "--model", text_model)[0] == 1


def test_a_model_without_tokenizer_says_what_it_lacks(folder: Path, text_model: str) -> None:
    predictor = nexus.load(text_model)
    predictor.model.tokenizer = None
    with pytest.raises(InputError, match=r"has no tokenizer: put its tokenizer\.json"):
        nexus.classify(str(folder), labels="a cat,a dog", model=predictor)


# -- search --text -----------------------------------------------------------------------------------------------------


@pytest.fixture
def described(folder: Path, text_model: str, tmp_path: Path) -> str:
    """The folder, indexed with a model that reads text."""
    out = str(tmp_path / "described.nexus")
    nexus.index(str(folder), out=out, model=text_model, decode="exact")
    return out


def test_a_text_finds_pictures_in_the_order_of_transformers(folder: Path, described: str, text_model: str) -> None:
    logits = of_transformers(text_model, pictures(folder), ["a red bus", "an old goat"])
    report = nexus.search(described, text=["a red bus", "an old goat"], k=7)
    scale = nexus.load(text_model).model.logit_scale.exp().item()  # type: ignore[operator, union-attr]
    for column, result in zip(logits.T, report.results, strict=True):
        assert result.is_text
        expected = sorted((column / scale).tolist(), reverse=True)
        assert [hit.cosine for hit in result.hits] == pytest.approx(expected, abs=1e-4)
    first = pictures(folder)[int(logits[:, 0].argmax())]
    assert Path(report.results[0].hits[0].path).read_bytes() == first.read_bytes()


def test_reduced_vectors_are_searched_by_text(folder: Path, text_model: str, tmp_path: Path) -> None:
    """The text's vector goes through the same projection: the order is that of inner products with what is kept."""
    from nexus.retrieval.collection import Collection

    out = str(tmp_path / "reduced.nexus")
    nexus.index(str(folder), out=out, model=text_model, dims=3)
    report = nexus.search(out, text="a red bus", k=7)
    collection = Collection.open(out)
    assert collection.dims == 3
    query = collection.project(nexus.load(text_model).embed_text("a red bus"))[0]
    stored = collection.vectors
    cosines = stored @ query / np.linalg.norm(stored, axis=1) / np.linalg.norm(query)
    assert [hit.cosine for hit in report.results[0].hits] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)


def test_pictures_and_texts_in_one_search(folder: Path, described: str, tmp_path: Path, command: Command) -> None:
    sheet, page = tmp_path / "found.png", tmp_path / "found.html"
    words = ["search", described, folder / "gibbon.jpg", "--text", "a red bus", "--text", "goats", "-k", "2"]
    code, out, _ = command(*words, "--sheet", sheet, "--page", page)
    assert code == 0
    heads = [line for line in out.splitlines() if line.startswith("Top")]
    gibbon, *texts = heads
    assert gibbon == f"Top 2 similar images to {folder / 'gibbon.jpg'}:"
    assert texts == ["Top 2 images for the text a red bus:", "Top 2 images for the text goats:"]
    assert "a red bus" in page.read_text()
    assert is_drawn(sheet)


def test_a_folder_of_pictures_is_searched_by_text(folder: Path, text_model: str) -> None:
    report = nexus.search(str(folder), text="a red bus", model=text_model, k=2)
    assert len(report.results[0].hits) == 2


def test_what_cannot_be_searched_by_text(folder: Path, collection: str, text_model: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="say what to look for"):
        nexus.search(collection)
    with pytest.raises(ConfigError, match="region is a part of a picture"):
        nexus.search(collection, text="a red bus", region=(0, 0, 1, 1))
    with pytest.raises(
        InputError, match=r"was made with .*, which reads no text\. Index the pictures again: nexus index"
    ):
        nexus.search(collection, text="a red bus")
    out = str(tmp_path / "mean.nexus")
    nexus.index(str(folder), out=out, model=text_model, pooling="mean")
    with pytest.raises(InputError, match="holds 'mean' features, with which texts cannot be compared"):
        nexus.search(out, text="a red bus")


# -- captions ----------------------------------------------------------------------------------------------------------


def test_captions_are_ranked_as_transformers_does(folder: Path, text_model: str) -> None:
    texts = ["a red bus", "an old goat on a hill", "a castle by the river", "two people walk"]
    files = pictures(folder)
    result = nexus.captions([str(file) for file in files], text=texts, top_k=4, model=text_model, decode="exact")
    expected = of_transformers(text_model, files, texts)
    assert (result.count, len(result.pictures)) == (4, 7)
    for picture, row in zip(result.pictures, expected, strict=True):
        assert [one.index for one in picture.captions] == row.argsort(descending=True).tolist()
        assert [one.text for one in picture.captions] == [texts[one.index] for one in picture.captions]
        assert [one.score for one in picture.captions] == pytest.approx(
            row.softmax(-1).sort(descending=True).values.tolist(), abs=2e-4
        )
        cosines = [one.cosine for one in picture.captions]
        assert cosines == sorted(cosines, reverse=True)


def test_captions_of_a_file_and_of_the_command_line(
    folder: Path, text_model: str, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "texts.txt").write_text("a red bus\n\nan old goat\nA red bus\n", encoding="utf-8-sig")
    words = ["captions", folder / "gibbon.jpg", "--texts", tmp_path / "texts.txt", "--text", "a castle"]
    sheet = tmp_path / "captions.png"
    code, out, _ = command(*words, "--model", text_model, "--top-k", "2", "--sheet", sheet)
    assert code == 0
    head, first, second, written = out.splitlines()
    assert head == f"{folder / 'gibbon.jpg'}, best of 3 texts:"  # one text is there twice
    assert first.startswith("1. ")
    assert "probability: 0." in second
    assert written == f"wrote {sheet}"
    assert is_drawn(sheet)


def test_captions_need_texts(folder: Path, text_model: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="say text="):
        nexus.captions(str(folder), model=text_model)
    with pytest.raises(InputError, match=r"none\.txt cannot be read as a text file"):
        nexus.captions(str(folder), texts=str(tmp_path / "none.txt"), model=text_model)
    (tmp_path / "blank.txt").write_text(" \n\n")
    with pytest.raises(InputError, match="has no line with text"):
        nexus.captions(str(folder), texts=str(tmp_path / "blank.txt"), model=text_model)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as a text file"):
        nexus.captions(str(folder), texts=str(tmp_path / "binary.txt"), model=text_model)
    with pytest.raises(InputError, match="no picture could be read"):
        nexus.captions(str(tmp_path / "blank.txt"), text="a cat", model=text_model)


def test_each_picture_that_cannot_be_read_is_named(folder: Path, text_model: str) -> None:
    (folder / "bad.png").write_bytes(b"?")
    labelled = nexus.classify(str(folder), labels="a cat,a dog", model=text_model)
    captioned = nexus.captions(str(folder), text="a cat", model=text_model)
    for result in (labelled, captioned):
        assert [Path(skipped.source).name for skipped in result.skipped] == ["bad.png"]
        assert len(result.pictures) == 7


def test_probabilities_come_from_the_model(folder: Path, text_model: str) -> None:
    """The verb adds nothing to what the parts give."""
    predictor = nexus.load(text_model, engine="eager")
    classifier = ZeroShotClassifier(predictor, LABELS, "simple")
    features = predictor.embed([str(file) for file in pictures(folder)]).vectors
    result = nexus.classify(str(folder), labels=LABELS, templates="simple", model=predictor)
    found = [[p.score for p in picture.predictions] for picture in result.pictures]
    assert found == pytest.approx((-np.sort(-classifier.probabilities(features))), abs=1e-6)
