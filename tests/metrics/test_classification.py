"""Every value is scikit-learn's or torchmetrics', on ordinary and on degenerate input; meters add up to the whole."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as theirs
import torch
from torchmetrics.functional import classification as torchmetrics

from nexus.errors import InputError
from nexus.metrics import classification as ours

RNG = np.random.default_rng(0)


def some(count: int, classes: int, *, absent: int | None = None, levels: int | None = None) -> tuple[Any, Any]:
    """Logits that are right more often than not, perhaps without pictures of one class, or with many ties."""
    targets = RNG.integers(classes, size=count)
    if absent is not None:
        targets[targets == absent] = (absent + 1) % classes
    logits = RNG.normal(size=(count, classes)) + 1.5 * np.eye(classes)[targets]
    return (logits if levels is None else np.round(logits * levels) / levels), targets


CASES = {
    "ordinary": some(300, 7),
    "one class absent": some(200, 5, absent=2),
    "two classes": some(100, 2),
    "one picture": some(1, 4),
    "two hundred ties": some(200, 6, levels=1),
    "all equal": (np.zeros((20, 3)), RNG.integers(3, size=20)),
}


def metered(logits: Any, targets: Any, classes: int) -> ours.ClassificationScores:
    meter = ours.ClassificationMeter(classes)
    meter.update(logits, targets)
    return meter.compute()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_accuracy(case: str, k: int) -> None:
    logits, targets = CASES[case]
    classes = logits.shape[1]
    found = ours.top_k_accuracy(logits, targets, k)
    if k >= classes:
        assert found == 1
    elif classes > 2:  # of ties scikit-learn puts the last class first, and we, like argmax, the first
        turned = theirs.top_k_accuracy_score(classes - 1 - targets, logits[:, ::-1], k=k, labels=range(classes))
        assert found == turned
    if k == 1:
        assert found == theirs.accuracy_score(targets, logits.argmax(1))
        assert metered(logits, targets, classes).top_k[1] == found
    assert ours.ClassificationMeter(classes, ks=(k,)).ks == (k,)


@pytest.mark.parametrize("case", CASES)
def test_confusion_and_what_follows_from_it(case: str) -> None:
    logits, targets = CASES[case]
    classes, predicted = logits.shape[1], logits.argmax(1)
    confusion = ours.confusion_matrix(targets, predicted, classes)
    np.testing.assert_array_equal(confusion, theirs.confusion_matrix(targets, predicted, labels=range(classes)))
    found = ours.per_class(confusion)
    wanted = theirs.precision_recall_fscore_support(targets, predicted, labels=range(classes), zero_division=0)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other)
    scores = metered(logits, targets, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true"
        assert scores.balanced_accuracy == pytest.approx(theirs.balanced_accuracy_score(targets, predicted))
    assert scores.macro_f1 == pytest.approx(theirs.f1_score(targets, predicted, average="macro"))


@pytest.mark.parametrize("case", CASES)
def test_likelihood_brier_and_calibration(case: str) -> None:
    logits, targets = CASES[case]
    classes = logits.shape[1]
    probabilities = torch.from_numpy(logits).softmax(1).numpy()
    np.testing.assert_allclose(ours.softmax(logits), probabilities)
    loss = theirs.log_loss(targets, probabilities, labels=range(classes))
    brier = theirs.brier_score_loss(targets, probabilities, labels=range(classes), scale_by_half=False)
    given, numbers = torch.from_numpy(probabilities), torch.from_numpy(targets)
    error = torchmetrics.multiclass_calibration_error(given, numbers, classes, n_bins=15).item()
    assert ours.negative_log_likelihood(logits, targets) == pytest.approx(loss)
    assert ours.brier_score(probabilities, targets) == pytest.approx(brier)
    assert ours.expected_calibration_error(probabilities, targets).error == pytest.approx(error, abs=1e-6)
    scores = metered(logits, targets, classes)
    assert (scores.loss, scores.brier) == pytest.approx((loss, brier))
    assert scores.calibration.error == pytest.approx(error, abs=1e-6)


def test_the_bins_of_the_calibration_error() -> None:
    """Three pictures by hand: bins include their upper edge, and a certainty of 1 is in the last one."""
    probabilities = [[0.8, 0.2], [1.0, 0.0], [0.45, 0.55]]
    found = ours.expected_calibration_error(probabilities, [0, 1, 1], bins=5)
    np.testing.assert_array_equal(found.count, [0, 0, 1, 1, 1])
    np.testing.assert_allclose(found.confidence, [np.nan, np.nan, 0.55, 0.8, 1.0])
    np.testing.assert_allclose(found.accuracy, [np.nan, np.nan, 1, 1, 0])
    assert found.error == pytest.approx((0.45 + 0.2 + 1) / 3)


MULTI = {
    "ordinary": (RNG.normal(size=(150, 6)), RNG.random((150, 6)) < 0.3),
    "one class absent": (RNG.normal(size=(60, 4)), (RNG.random((60, 4)) < 0.3) & [True, False, True, True]),
    "one class everywhere": (RNG.normal(size=(60, 3)), (RNG.random((60, 3)) < 0.3) | [True, False, False]),
    "many ties": (np.round(RNG.normal(size=(150, 5))), RNG.random((150, 5)) < 0.5),
    "one picture": (RNG.normal(size=(1, 4)), np.array([[True, False, True, False]])),
}


@pytest.mark.parametrize("case", MULTI)
def test_multi_label_scores(case: str) -> None:
    logits, truth = MULTI[case]
    classes = logits.shape[1]
    probabilities, decided = 1 / (1 + np.exp(-logits)), logits > 0
    meter = ours.MultiLabelMeter(classes)
    for half in (slice(None, 70), slice(70, None)):
        meter.update(logits[half], truth[half])
    found = meter.compute()
    there = truth.any(0)
    scored = np.flatnonzero(there)
    precision = [theirs.average_precision_score(truth[:, n], logits[:, n]) for n in scored]
    np.testing.assert_allclose(found.average_precision[scored], precision)
    assert np.isnan(found.average_precision[~there]).all()
    assert found.mean_average_precision == pytest.approx(np.mean(precision))
    for n in range(classes):
        if 0 < truth[:, n].sum() < len(truth):
            assert found.auroc[n] == pytest.approx(theirs.roc_auc_score(truth[:, n], logits[:, n]))
        else:
            assert np.isnan(found.auroc[n])
    f1 = [theirs.f1_score(truth, decided, average=average, zero_division=0) for average in ("micro", "macro")]
    assert ours.multi_label_f1(probabilities, truth) == pytest.approx(f1)
    assert (found.micro_f1, found.macro_f1) == pytest.approx(f1)
    assert found.exact_match == ours.exact_match(probabilities, truth) == theirs.accuracy_score(truth, decided)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(logits), torch.tensor(truth).double())
    assert found.loss == pytest.approx(loss.item())
    wanted = theirs.precision_recall_fscore_support(truth, decided, zero_division=0)
    for one, other in zip(found.classes, wanted, strict=True):
        np.testing.assert_allclose(one, other)
    assert found.scalars() == {"loss": found.loss, "map": found.mean_average_precision}


def test_mean_average_precision_is_torchmetrics() -> None:
    logits, truth = MULTI["ordinary"]
    given = torch.from_numpy(logits).sigmoid(), torch.from_numpy(truth).long()
    wanted = torchmetrics.multilabel_average_precision(*given, num_labels=6).item()
    assert ours.mean_average_precision(logits, truth) == pytest.approx(wanted, abs=1e-6)
    assert np.isnan(ours.mean_average_precision(logits, np.zeros_like(truth)))
    area = torchmetrics.multilabel_auroc(*given, num_labels=6).item()
    assert ours.auroc(logits, truth).mean() == pytest.approx(area, abs=1e-6)


def test_meters_of_several_processes_add_up_to_one() -> None:
    logits, targets = CASES["ordinary"]
    whole, parts = ours.ClassificationMeter(7), [ours.ClassificationMeter(7) for _ in range(3)]
    whole.update(logits, targets)
    for start in range(0, 300, 25):
        batch = slice(start, start + 25)
        parts[start % 3].update(torch.from_numpy(logits[batch]), torch.from_numpy(targets[batch]))
    first, *others = (pickle.loads(pickle.dumps(part)) for part in parts)
    for other in others:
        first.merge(other)
    one, many = whole.compute(), first.compute()
    np.testing.assert_array_equal(one.confusion, many.confusion)
    assert (one.count, one.top_k) == (many.count, many.top_k)
    assert (one.loss, one.brier) == pytest.approx((many.loss, many.brier), rel=1e-12)
    assert one.calibration.error == pytest.approx(many.calibration.error, rel=1e-12)
    assert one.scalars() == {"loss": one.loss, "top1": one.top_k[1], "top5": one.top_k[5]}

    logits, truth = MULTI["many ties"]
    a, b = ours.MultiLabelMeter(5), ours.MultiLabelMeter(5)
    a.update(torch.from_numpy(logits[90:]), torch.from_numpy(truth[90:]).float())
    b.update(logits[:90], truth[:90])
    a.merge(b)
    assert a.compute().mean_average_precision == pytest.approx(ours.mean_average_precision(logits, truth))


def test_pictures_without_a_label_do_not_count() -> None:
    logits, targets = CASES["ordinary"]
    meter = ours.ClassificationMeter(7)
    meter.update(logits, np.where(np.arange(300) < 100, -1, targets))
    assert meter.compute().loss == pytest.approx(ours.negative_log_likelihood(logits[100:], targets[100:]))
    nothing = ours.ClassificationMeter(7)
    nothing.update(logits, np.full(300, -1))
    nothing.update(np.zeros((0, 7)), [])
    with pytest.raises(InputError, match="no picture with a label"):
        nothing.compute()
    empty = ours.MultiLabelMeter(3)
    empty.update(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(InputError, match="no picture"):
        empty.compute()


def test_the_interval_of_a_share_is_scipys() -> None:
    from scipy.stats import binomtest

    for hits, count in ((0, 1000), (7, 7), (13, 40), (1, 1)):  # none of a thousand does not mean never
        wanted = binomtest(hits, count).proportion_ci(method="wilson")
        assert ours.wilson_interval(hits, count) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_half_precision_and_large_logits_are_taken_as_they_are() -> None:
    logits = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]], dtype=torch.bfloat16)
    assert ours.negative_log_likelihood(logits, torch.tensor([0, 0])) == pytest.approx(500)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.top_k_accuracy([[np.nan, 0.0]], [0]), "NaN"),
        (lambda: ours.top_k_accuracy([[1.0, 0.0]], [2]), "numbers 2 to 2"),
        (lambda: ours.top_k_accuracy([[1.0, 0.0]], [0, 1]), "1 rows of scores and 2 targets"),
        (lambda: ours.top_k_accuracy(np.zeros((0, 2)), []), "N at least 1"),
        (lambda: ours.confusion_matrix([0, 1], [0], 2), "2 targets and 1 predictions"),
        (lambda: ours.ClassificationMeter(3).update(np.zeros((2, 4)), [0, 1]), r"\(N, 3\)"),
        (lambda: ours.ClassificationMeter(3).update(np.zeros((2, 3)), [0]), "2 rows of scores and 1 targets"),
        (lambda: ours.MultiLabelMeter(3).update(np.zeros((2, 4)), np.zeros((2, 4))), r"\(B, 3\)"),
        (lambda: ours.average_precision(np.zeros((2, 2)), [[0, 2], [1, 0]]), "0 or 1"),
        (lambda: ours.exact_match(np.zeros((2, 2)), np.zeros((2, 3))), r"both \(N, K\)"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
