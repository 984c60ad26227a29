"""What is said about a classifier is what follows from its logits, however they were come by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from pictures import Halves, dataset, logits_of, predictor

from nexus.datasets import LabelledImages
from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError, InputError
from nexus.evaluation import evaluate_classifier
from nexus.metrics.classification import ClassificationMeter, negative_log_likelihood, softmax
from nexus.results import EvaluateResult, Skipped


def test_a_classifier_is_scored_by_its_logits() -> None:
    ours, data = predictor(), dataset()
    logits = logits_of(ours.model, data.sources)
    found = evaluate_classifier(ours, data)
    predicted = logits.argmax(1)
    assert (found.protocol, found.model, found.data, found.count) == ("head", "Halves", "colours", 23)
    assert found.top1 == sklearn.metrics.accuracy_score(data.targets, predicted)
    assert found.top1_interval is not None
    assert found.top1_interval[0] < found.top1 < found.top1_interval[1]
    assert found.top5 is None  # of four classes
    assert found.loss == pytest.approx(negative_log_likelihood(logits, data.targets), rel=1e-5)
    np.testing.assert_array_equal(found.confusion, sklearn.metrics.confusion_matrix(data.targets, predicted))
    report = sklearn.metrics.classification_report(data.targets, predicted, output_dict=True, zero_division=0)
    for number, one in enumerate(found.classes):
        wanted = report[str(number)]
        assert [one.precision, one.recall, one.f1, one.support] == pytest.approx(
            [wanted["precision"], wanted["recall"], wanted["f1-score"], wanted["support"]]
        )
    assert sum(one.count for one in found.bins) == 23
    assert "no class names" in found.notes[0]
    assert EvaluateResult.model_validate_json(found.to_json()).count == 23


def test_the_worst_mistakes_come_first() -> None:
    ours, data = predictor(), dataset()
    logits = logits_of(ours.model, data.sources)
    shares = softmax(logits)
    wrong = np.flatnonzero(logits.argmax(1) != data.targets)
    losses = -np.log(shares[np.arange(23), data.targets])
    worst = sorted(wrong, key=lambda number: -losses[number])[:3]
    found = evaluate_classifier(ours, data, mistakes=3).mistakes
    assert [one.index for one in found] == worst
    for one in found:
        assert (one.true, one.predicted) == ("abcd"[data.targets[one.index]], "abcd"[logits[one.index].argmax()])
        assert [one.confidence, one.loss] == pytest.approx([shares[one.index].max(), losses[one.index]], rel=1e-4)
    assert len(evaluate_classifier(ours, data).mistakes) == len(wrong)


@pytest.mark.parametrize("sizes", [(), (8,), (16, 32, 8)])
@pytest.mark.parametrize("flip", [False, True])
def test_views_are_averaged_as_probabilities(sizes: tuple[int, ...], flip: bool) -> None:
    ours, data = predictor(), dataset()
    views = [
        softmax(logits_of(ours.model, data.sources, size, mirrored))
        for size in (sizes or (16,))
        for mirrored in ((False, True) if flip else (False,))
    ]
    meter = ClassificationMeter(4)
    meter.update(np.log(np.mean(views, axis=0)), data.targets)
    found = evaluate_classifier(ours, data, sizes=sizes, flip=flip)
    assert found.loss == pytest.approx(meter.compute().loss, rel=1e-5)
    np.testing.assert_array_equal(found.confusion, meter.compute().confusion)


@pytest.mark.parametrize("sizes", [(), (16, 8)])
def test_several_classes_per_picture(sizes: tuple[int, ...]) -> None:
    ours, data = predictor(labels=("a", "b", "c", "d")), dataset()
    truth = np.random.default_rng(5).random((23, 3)) < 0.4
    data = replace(data, targets=truth, classes=("d", "a", "b"))
    logits = np.stack([logits_of(ours.model, data.sources, flip=flip) for flip in (False, True)])[..., [3, 0, 1]]
    shares = (1 / (1 + np.exp(-logits))).mean(0)
    found = evaluate_classifier(ours, data, flip=True, sizes=sizes)
    precision = sklearn.metrics.average_precision_score(truth, shares, average=None)
    assert found.mean_average_precision == pytest.approx(precision.mean())
    assert [one.average_precision for one in found.classes] == pytest.approx(precision)
    assert found.exact_match == sklearn.metrics.accuracy_score(truth, shares > 0.5)
    assert found.loss == pytest.approx(sklearn.metrics.log_loss(truth.ravel(), shares.ravel()), rel=1e-5)
    assert (found.top1, found.confusion, found.multi_label) == (None, None, True)
    worst = found.mistakes[0]
    names = np.array(data.classes)
    assert worst.true == ", ".join(names[truth[worst.index]])
    assert worst.predicted == ", ".join(names[shares[worst.index] > 0.5])
    wrong = (shares[worst.index] > 0.5) != truth[worst.index]
    assert worst.confidence == pytest.approx(np.abs(shares[worst.index] - 0.5)[wrong].max() + 0.5, rel=1e-4)
    assert "mAP" in "\n".join(found.lines())
    with pytest.raises(ConfigError, match="temperature"):
        evaluate_classifier(ours, data, temperature=True)


def test_a_model_that_knows_more_classes() -> None:
    ours = predictor(6, labels=("e", "c", "x", "d", "b", "a"))
    data = dataset()
    logits = logits_of(ours.model, data.sources)
    columns = np.array([5, 4, 1, 3])
    whole = evaluate_classifier(ours, data)
    assert whole.top1 == np.mean(logits.argmax(1) == columns[data.targets])
    assert whole.loss == pytest.approx(negative_log_likelihood(logits, columns[data.targets]), rel=1e-5)
    assert whole.top5 is not None
    assert "6 classes, the data has 4" in whole.notes[0]
    among = evaluate_classifier(ours, data, among_data=True)
    assert among.top1 == np.mean(logits[:, columns].argmax(1) == data.targets)
    assert among.loss == pytest.approx(negative_log_likelihood(logits[:, columns], data.targets), rel=1e-5)
    assert {one.name for one in among.classes} <= set("abcd")
    assert {one.name for one in whole.classes} & {"e", "x"}


def test_pictures_without_label_or_that_cannot_be_read_do_not_count(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    data = dataset(9)
    data = LabelledImages([*data.sources[:4], bad, *data.sources[4:]], np.insert(data.targets, 4, 0), data.classes)
    data.targets[[1, 7]] = -1
    told: list[Skipped] = []
    found = evaluate_classifier(predictor(), data, sizes=(16, 8), on_skip=told.append)
    assert found.count == 7
    assert [one.source for one in found.skipped] == [str(bad)] == [one.source for one in told]
    kept = np.array([0, 2, 3, 5, 6, 8, 9])
    logits = logits_of(Halves(4), [data.sources[number] for number in kept])
    assert found.top1 == np.mean(logits.argmax(1) == data.targets[kept])
    assert {one.index for one in found.mistakes} <= set(kept.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_every_engine_can_run_the_mirrored_model(engine: str) -> None:
    pytest.importorskip(engine)
    other = Predictor(Halves(4), engine=engine, device="cpu", batch_size=5, workers=1)
    found, wanted = (evaluate_classifier(one, dataset(), flip=True) for one in (other, predictor()))
    assert found.engine == engine
    assert found.loss == pytest.approx(wanted.loss, rel=1e-3)


def test_a_temperature_is_fitted_where_it_is_asked_for() -> None:
    found = evaluate_classifier(predictor(), dataset(60), temperature=True).temperature
    assert found is not None
    assert (found.fitted_on, found.measured_on) == (30, 30)
    assert found.temperature > 1  # the labels are random: nothing should be sure
    data = dataset(6)
    right = replace(data, targets=logits_of(Halves(4), data.sources).argmax(1))
    assert (
        "no temperature is the best for 3 pictures"
        in evaluate_classifier(predictor(), right, temperature=True).notes[1]
    )


def test_it_gives_the_same_twice() -> None:
    first, second = (evaluate_classifier(predictor(), dataset(), temperature=True, flip=True) for _ in range(2))
    fresh = {"seconds": 0.0}
    assert first.model_copy(update=fresh).to_json() == second.model_copy(update=fresh).to_json()


def test_what_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    headless = Halves(4)
    headless.head = torch.nn.Identity()
    with pytest.raises(InputError, match="no classifier head"):
        evaluate_classifier(Predictor(headless, engine="eager"), dataset())
    data = dataset(3)
    with pytest.raises(InputError, match="no pictures with labels"):
        evaluate_classifier(predictor(), replace(data, targets=np.full(3, -1)))
    with pytest.raises(InputError, match=r"no picture could be read from colours \(.*gone.png: "):
        evaluate_classifier(predictor(), replace(data, sources=[tmp_path / "gone.png"] * 3))
    with pytest.raises(ConfigError, match=r"sizes = \(8, 8\)"):
        evaluate_classifier(predictor(), data, sizes=(8, 8))
    broken = Halves(4)
    broken.head.weight.data[:] = float("nan")  # type: ignore[operator, union-attr]
    with pytest.raises(InputError, match="NaN"):
        evaluate_classifier(Predictor(broken, engine="eager"), data)
