from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_vit import SIZE, TinyViT

from nexus.engines import Predictor, load
from nexus.errors import ConfigError, InputError
from nexus.models.cv import DINOv2
from nexus.results import ProgressEvent
from nexus.transforms.preprocess import PreprocessSpec

BAD = {3, 11}


@pytest.fixture
def predictor(model: TinyViT) -> Iterator[Predictor]:
    with Predictor(model, engine="eager", batch_size=4, workers=1) as predictor:
        yield predictor


def test_stream_keeps_the_order_and_reports_what_it_skips(predictor: Predictor, files: list[Path]) -> None:
    batches = list(predictor.stream(files))
    assert [i for batch in batches for i in batch.indices] == [i for i in range(20) if i not in BAD]
    assert [d.index for batch in batches for d in batch.skipped] == sorted(BAD)
    assert all(d.error is not None and "not" in d.error.reason for batch in batches for d in batch.skipped)
    assert all(d.pixels is None and d.sha256 for batch in batches for d in batch.decoded)
    for batch in batches:
        assert batch.outputs["embeddings"].shape == (len(batch.indices), 32)


def test_a_row_is_what_the_model_says_about_that_image_alone(predictor: Predictor, files: list[Path]) -> None:
    spec = predictor.preprocess
    for batch in predictor.stream(files):
        for row, index in enumerate(batch.indices):
            picture = Image.open(files[index]).convert("RGB").resize((38, 32), Image.Resampling.BICUBIC)
            crop = np.asarray(picture.crop((3, 0, 35, 32)), np.float32) / 255
            tensor = ((crop - np.float32(spec.mean)) / np.float32(spec.std)).transpose(2, 0, 1)
            expected = predictor(torch.tensor(tensor))["embeddings"][0]
            np.testing.assert_allclose(batch.outputs["embeddings"][row], expected, atol=5e-3)


def test_an_early_end_leaves_the_predictor_usable(predictor: Predictor, files: list[Path]) -> None:
    stream = predictor.stream(files)
    next(stream)
    stream.close()
    assert len(predictor.embed(files)) == 18


def test_an_error_of_the_source_reaches_the_caller(predictor: Predictor, files: list[Path]) -> None:
    def source() -> Iterator[Path]:
        yield from files[:6]
        raise KeyError("the list ended badly")

    with pytest.raises(KeyError, match="ended badly"):
        list(predictor.stream(source()))


def test_only_a_bounded_number_of_images_is_ahead_of_the_caller(predictor: Predictor) -> None:
    taken = 0

    def source() -> Iterator[np.ndarray]:
        nonlocal taken
        for taken in range(1, 2001):
            yield np.full((SIZE, SIZE, 3), taken % 256, np.uint8)

    ahead = [taken - 4 * number for number, _ in enumerate(predictor.stream(source()), 1)]
    assert taken == 2000
    assert max(ahead) < 200


def test_bad_images_only(predictor: Predictor, files: list[Path]) -> None:
    (batch,) = predictor.stream([files[3], files[11]])
    assert (batch.indices, batch.outputs, batch.decoded) == ([], {}, [])
    assert [d.index for d in batch.skipped] == [0, 1]
    assert predictor.embed([files[3]]).vectors.shape == (0, 0)


def test_every_form_of_an_image(predictor: Predictor, files: list[Path]) -> None:
    array = np.asarray(Image.open(files[0]))
    forms = [files[0], str(files[0]), files[0].read_bytes(), Image.open(files[0]), array]
    forms.append(torch.from_numpy(array.copy()).permute(2, 0, 1))
    expected = predictor.embed(files[0]).vectors
    np.testing.assert_allclose(predictor.embed(forms).vectors, np.repeat(expected, len(forms), 0), atol=1e-5)
    for form in forms:
        np.testing.assert_allclose(predictor.embed(form).vectors, expected, atol=1e-5)
    np.testing.assert_allclose(predictor.embed(np.stack([array, array])).vectors, np.repeat(expected, 2, 0), atol=1e-5)


def test_what_is_no_image_is_named(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="images is a int"):
        predictor.embed(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pooling", "layer", "shape"),
    [
        ("cls", None, (32,)),
        ("mean", None, (32,)),
        ("patch", None, (16, 32)),
        ("cls", 0, (32,)),
        ("mean", -1, (32,)),
        ("patch", -2, (16, 32)),
    ],
)
def test_poolings_and_layers(
    predictor: Predictor, pixels: np.ndarray, pooling: str, layer: int | None, shape: tuple[int, ...]
) -> None:
    result = predictor.embed(pixels, pooling, layer)  # type: ignore[arg-type]
    assert result.vectors.shape == (6, *shape)
    assert (result.pooling, result.layer, result.engine, result.model) == (pooling, layer, "eager", "TinyViT")
    spec = predictor.preprocess
    images = (pixels / 255 - spec.mean) / spec.std
    outputs = predictor(torch.tensor(images, dtype=torch.float32).permute(0, 3, 1, 2))
    if layer is None:
        expected = {"cls": outputs["embeddings"], "mean": outputs["tokens"].mean(1), "patch": outputs["tokens"]}
    else:
        patches = outputs["features"][layer].flatten(2).transpose(1, 2)
        cls = outputs["aux"]["prefix_tokens"][layer][:, 0]
        expected = {"cls": cls, "mean": patches.mean(1), "patch": patches}
    np.testing.assert_allclose(result.vectors, expected[pooling], atol=1e-4)


def test_a_layer_or_pooling_that_is_not_there(predictor: Predictor, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"'features\.7'.*2 items"):
        predictor.embed(pixels, "mean", 7)
    with pytest.raises(ConfigError, match="pooling = 'max'"):
        predictor.embed(pixels, "max")  # type: ignore[arg-type]


def test_classify(classifier: TinyViT, files: list[Path]) -> None:
    with Predictor(classifier, engine="eager", workers=1) as predictor:
        results = predictor.classify(files, top_k=3)
        everything = predictor.classify(files[0], top_k=100)[0].predictions
    assert [result.source for result in results] == [str(path) for path in files]
    assert [i for i, result in enumerate(results) if result.reason] == sorted(BAD)
    for result in results:
        scores = [prediction.score for prediction in result.predictions]
        assert len(scores) == (0 if result.reason else 3)
        assert scores == sorted(scores, reverse=True)
    assert len(everything) == 7
    assert sum(prediction.score for prediction in everything) == pytest.approx(1)
    assert {(p.label, p.index) for p in everything} == {(f"class {i}", i) for i in range(7)}


def test_classify_without_a_head_says_what_to_do(predictor: Predictor, files: list[Path]) -> None:
    with pytest.raises(InputError, match=r"no classifier head.*--examples"):
        predictor.classify(files)


def test_calling_it_gives_the_models_dict(predictor: Predictor) -> None:
    outputs = predictor(np.zeros((2, 3, SIZE, SIZE), np.float32))
    assert set(outputs) == {"embeddings", "tokens", "features", "pyramid", "aux"}
    assert not outputs["embeddings"].requires_grad
    with pytest.raises(InputError, match=r"uint8.*\(2, 32, 32, 3\)"):
        predictor(np.zeros((2, SIZE, SIZE, 3), np.uint8))


def test_progress(predictor: Predictor, files: list[Path]) -> None:
    events: list[ProgressEvent] = []
    predictor.embed(files, progress=events.append)
    assert [event.done for event in events][-1] == 20
    assert all(event.total == 20 and event.stage == "embed" for event in events)
    assert not any(event.note for event in events)  # eager is what everybody expects; only another engine is said


def test_the_spec_can_be_replaced(model: TinyViT) -> None:
    assert load(model, engine="eager", preprocess={"decode": "exact"}).preprocess.decode == "exact"
    spec = PreprocessSpec(resize=64, crop=(32, 32))
    assert load(model, engine="eager", preprocess=spec).preprocess == spec
    assert load(model, engine="eager").preprocess == model.preprocess
    with pytest.raises(ConfigError, match="did you mean 'decode'"):
        load(model, preprocess={"decod": "exact"})


def test_values_out_of_range_are_named(model: TinyViT) -> None:
    with pytest.raises(ConfigError, match="batch_size = 0"):
        Predictor(model, batch_size=0)
    with pytest.raises(ConfigError, match="device = 'tpu5'"):
        Predictor(model, device="tpu5")
    with pytest.raises(ConfigError, match="a module has its own"):
        Predictor(model, weights="mine.pt")


def test_one_output_is_written_as_several(predictor: Predictor, pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"write \('logits',\)"):
        next(predictor.stream(pixels, "logits"))
    with pytest.raises(InputError, match=r"write \('embeddings',\)"):
        predictor.choice("embeddings")


def test_decoding_processes_fit_the_job_and_stay_for_the_next(model: TinyViT, files: list[Path]) -> None:
    with Predictor(model, engine="eager", workers=2) as predictor:
        for count, workers in ((1, 1), (20, 2), (1, 2)):
            predictor.embed(files[:count])
            (idle,) = predictor._idle
            assert idle.workers == workers
    assert not predictor._idle


def test_a_predictor_is_called_as_its_model_is(model: TinyViT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variant, or else as the user names the weights; a module by its class."""
    own = DINOv2({"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 1, "num_heads": 2})
    run = own.save_pretrained(tmp_path / "runs" / "mine")
    assert load(run).name == load(f"{run}/").name == "mine"
    monkeypatch.chdir(run)
    assert load(".").name == "mine"
    own.variant = "dinov2_vits14"
    assert load(own).name == load(own.save_pretrained(tmp_path / "copy")).name == "dinov2_vits14"
    assert load(model).name == "TinyViT"
    named = Predictor(model, name="small")
    assert named.name == named.like(preprocess=named.preprocess.at(64)).name == "small"
