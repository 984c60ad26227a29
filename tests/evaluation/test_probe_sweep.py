"""Heads trained side by side: equal to torch's own SGD head by head, chosen by validation, for raw features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nexus._seeds import generator
from nexus.errors import ConfigError, InputError
from nexus.evaluation import LinearProbe, sweep_probes
from nexus.evaluation import probe_sweep as probe_sweep_module
from nexus.results import ProgressEvent

K, D = 4, 12
SHORT = {"min_steps": 20, "epochs": 2}


def examples(count: int, seed: int = 0, spread: float = 1.0) -> tuple[Any, Any]:
    """Overlapping classes in dimensions of different scales, one of them constant."""
    centres = np.random.default_rng(42).normal(size=(K, D))
    rng = np.random.default_rng(seed)
    labels = rng.integers(K, size=count)
    features = (centres[labels] + spread * rng.normal(size=(count, D))) * np.geomspace(0.1, 30, D) + 5
    features[:, 3] = 7
    return features.astype(np.float32), labels


def several(features: Any) -> Any:
    """Whether each of three unrelated things is there, of features."""
    standard = (features - features.mean(0)) / (features.std(0) + 1e-9)
    return standard @ np.random.default_rng(3).normal(size=(D, 3)) > 0.5


def trained_by_torch(
    features: Any, labels: Any, *, rate: float, decay: float = 0.0, epochs: int, batch: int, hidden: nn.Module | None
) -> nn.Sequential:
    """The same training, said with torch's modules, autograd, SGD and schedule."""
    mean, scale = features.astype(float).mean(0), features.astype(float).std(0)
    inputs = torch.from_numpy(((features - mean) / np.where(scale < 1e-6, 1, scale)).astype(np.float32))
    targets = torch.from_numpy(labels)
    last = nn.Linear(D if hidden is None else hidden.out_features, targets.shape[1] if targets.ndim == 2 else K)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    model = nn.Sequential(*([] if hidden is None else [hidden, nn.ReLU()]), last)
    weights = [p for p in model.parameters() if p.ndim == 2]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=rate * batch / 256, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * math.ceil(len(labels) / batch))
    for epoch in range(epochs):
        order = generator(0, epoch).permutation(len(labels))
        for start in range(0, len(order), batch):
            numbers = order[start : start + batch]
            logits, wanted = model(inputs[numbers]), targets[numbers]
            if targets.ndim == 2:
                loss = F.binary_cross_entropy_with_logits(logits, wanted.float(), reduction="sum") / len(numbers)
            else:
                loss = F.cross_entropy(logits, wanted)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model, inputs


def first_layer(width: int) -> nn.Linear:
    layer = nn.Linear(D, width)
    start = generator(0).normal(0, math.sqrt(2 / D), (D, width))
    layer.load_state_dict({"weight": torch.from_numpy(start.T.astype(np.float32)), "bias": torch.zeros(width)})
    return layer


@pytest.mark.parametrize("width", [None, 5])
@pytest.mark.parametrize("multi_label", [False, True])
def test_every_head_is_what_torchs_sgd_makes(width: int | None, multi_label: bool) -> None:
    (features, labels), (others, truth) = examples(70), examples(40, seed=1)
    if multi_label:
        labels, truth = several(features), several(others)
    config = {
        "epochs": 4,
        "min_steps": 1,
        "batch_size": 16,
        "evaluations": 1,
        "hidden": () if width is None else (width,),
    }
    grid = {"learning_rates": (0.1, 1.0), "weight_decays": (0.0, 0.3)}
    whole = sweep_probes(features, labels, validation=(others, truth), config={**config, **grid})
    assert [(row.learning_rate, row.weight_decay) for row in whole.rows] == [(0.1, 0), (0.1, 0.3), (1, 0), (1, 0.3)]
    for row in whole.rows:
        alone = {"learning_rates": (row.learning_rate,), "weight_decays": (row.weight_decay,)}
        sweep = sweep_probes(features, labels, validation=(others, truth), config={**config, **alone})
        assert sweep.best.loss == pytest.approx(row.loss, rel=1e-4)
        hidden = None if width is None else first_layer(width)
        theirs, inputs = trained_by_torch(
            features, labels, rate=row.learning_rate, decay=row.weight_decay, epochs=4, batch=16, hidden=hidden
        )
        with torch.no_grad():
            # `theirs` takes standardised features, `ours` raw ones.
            np.testing.assert_allclose(sweep.head(torch.from_numpy(features)), theirs(inputs), atol=2e-4, rtol=1e-3)


def test_the_table_is_what_the_heads_do_and_the_best_is_taken() -> None:
    (features, labels), (others, truth) = examples(300), examples(200, seed=1)
    sweep = sweep_probes(features, labels, validation=(others, truth), config={"min_steps": 50, "batch_size": 64})
    assert isinstance(sweep.head, nn.Linear)
    assert len(sweep.rows) == 5
    assert sweep.best == max(sweep.rows, key=lambda row: (row.accuracy, -row.loss))
    assert (sweep.examples, sweep.held_out) == (300, 200)
    with torch.no_grad():
        logits = sweep.head(torch.from_numpy(others))
    truth = torch.from_numpy(truth)
    assert (logits.argmax(1) == truth).double().mean().item() == pytest.approx(sweep.best.accuracy)
    assert F.cross_entropy(logits, truth).item() == pytest.approx(sweep.best.loss, rel=1e-4)
    assert sweep.lines()[sweep.rows.index(sweep.best)].startswith("*")
    assert "head" not in sweep.to_dict()


def test_it_finds_about_as_much_as_the_exact_optimum() -> None:
    (features, labels), (others, truth) = examples(600), examples(600, seed=1)
    head = sweep_probes(features, labels).head
    with torch.no_grad():
        found = (head(torch.from_numpy(others)).argmax(1).numpy() == truth).mean()
    exact = LinearProbe().fit(features, labels.astype(str)).accuracy(others, truth.astype(str))
    assert exact > 0.8
    assert found == pytest.approx(exact, abs=0.015)


def test_the_best_features_are_chosen() -> None:
    features, labels = examples(300)
    noise = np.random.default_rng(5).normal(size=(300, 6)).astype(np.float32)
    sweep = sweep_probes({"noise": noise, "features": features}, labels, config={"min_steps": 40})
    assert [row.features for row in sweep.rows] == ["noise"] * 5 + ["features"] * 5
    assert sweep.best.features == "features"
    assert sweep.head.in_features == D


def test_a_head_is_kept_as_it_was_when_it_was_best() -> None:
    """Classes that were drawn by lot: the longer the heads learn these, the surer they are where nobody can be."""
    features, _ = examples(60)
    others, _ = examples(200, seed=1)
    labels, truth = np.random.default_rng(1).integers(K, size=60), np.random.default_rng(2).integers(K, size=200)
    config = {"learning_rates": (1.0,), "epochs": 40, "min_steps": 1, "evaluations": 8, "batch_size": 16}
    sweep = sweep_probes(features, np.eye(K)[labels] > 0, validation=(others, np.eye(K)[truth] > 0), config=config)
    assert sweep.best.step == 20
    with torch.no_grad():
        logits = sweep.head(torch.from_numpy(others))
    loss = F.binary_cross_entropy_with_logits(logits, torch.eye(K)[truth], reduction="sum").item() / 200
    assert loss == pytest.approx(sweep.best.loss, rel=1e-4)


def test_held_out_examples_come_back_in_the_refit() -> None:
    features, labels = examples(100)
    sweep = sweep_probes(features, labels, config=SHORT)
    assert sweep.examples == 100
    assert 8 <= sweep.held_out <= 12
    kept = sweep_probes(features, labels, config={**SHORT, "refit": False})
    assert kept.examples == 100 - kept.held_out
    assert not torch.equal(kept.head.weight, sweep.head.weight)


def test_it_stops_when_nothing_gets_better() -> None:
    features, _ = examples(100)
    several_of = np.eye(K)[np.random.default_rng(1).integers(K, size=100)] > 0  # by lot: nothing can be learnt
    told: list[int] = []
    for patience in (2, None):
        config = {"learning_rates": (1.0, 3.0), "epochs": 40, "batch_size": 16, "patience": patience, "refit": False}
        events: list[ProgressEvent] = []
        sweep = sweep_probes(features, several_of, config=config, progress=events.append)
        told.append(events[-1].done)
        best = max(row.step for row in sweep.rows)
        assert sum(event.done > best for event in events) == 2 or patience is None
    assert told[0] < told[1] == events[-1].total


def test_batches_are_the_same_however_many_are_fetched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = examples(100)
    wanted = sweep_probes(features, labels, config={**SHORT, "batch_size": 16})
    monkeypatch.setattr(probe_sweep_module, "BLOCK", 40)
    found = sweep_probes(features, labels, config={**SHORT, "batch_size": 16})
    torch.testing.assert_close(found.head.weight, wanted.head.weight)


def test_two_sweeps_are_equal_and_another_seed_is_not() -> None:
    features, labels = examples(100)
    first, second, other = (sweep_probes(features, labels, config={**SHORT, "seed": seed}) for seed in (0, 0, 1))
    assert first.rows == second.rows
    torch.testing.assert_close(first.head.weight, second.head.weight, rtol=0, atol=0)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_examples_without_a_label_are_left_out() -> None:
    features, labels = examples(100)
    unknown = np.where(np.arange(100) % 2, -1, labels)
    others = examples(60, seed=1)
    with_gaps = sweep_probes(features, unknown, validation=others, config=SHORT)
    without = sweep_probes(features[::2], labels[::2], validation=others, config=SHORT)
    assert with_gaps.examples == 50
    assert with_gaps.best == without.best
    assert sweep_probes(features, unknown, config=SHORT).examples == 50


def test_brain_floats_come_to_the_same() -> None:
    (features, labels), (others, truth) = examples(300), examples(200, seed=1)
    exact, narrow = (
        sweep_probes(features, labels, validation=(others, truth), config={**SHORT, "precision": precision})
        for precision in ("fp32", "bf16")
    )
    assert exact.best.accuracy == pytest.approx(narrow.best.accuracy, abs=0.02)


def test_features_may_lie_in_a_read_only_file(tmp_path: Path) -> None:
    features, labels = examples(100)
    features.tofile(tmp_path / "features.f32")
    mapped = np.memmap(tmp_path / "features.f32", np.float32, "r", shape=features.shape)
    assert sweep_probes(mapped, labels, config=SHORT).rows == sweep_probes(features, labels, config=SHORT).rows


def test_progress_is_told() -> None:
    features, labels = examples(100)
    events: list[ProgressEvent] = []
    sweep_probes(features, labels, config={"min_steps": 20, "epochs": 1, "evaluations": 4}, progress=events.append)
    assert [(event.done, event.total) for event in events] == [(5, 20), (10, 20), (15, 20), (20, 20)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"config": {"learning_rates": ()}}, ConfigError, "learning_rates"),
        ({"config": {"learning_rate": (1,)}}, ConfigError, "did you mean 'learning_rates'"),
        ({"config": {"momentum": 1.0}}, ConfigError, "momentum = 1.0"),
        ({"labels": np.zeros(9, int)}, InputError, r"features of shape \(10, 12\): \(9, D\)"),
        ({"labels": np.full(10, -1)}, InputError, "0 examples"),
        ({"labels": np.arange(10)}, InputError, "only one picture"),
        ({"num_classes": 2}, InputError, "num_classes = 2"),
        ({"features": np.full((10, 12), np.nan)}, InputError, "NaN"),
        ({"validation": ({"other": np.zeros((2, 12))}, np.zeros(2, int))}, InputError, "of the same features"),
    ],
)
def test_what_cannot_be_is_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    features, _ = examples(10)
    given = {"features": features, "labels": np.arange(10) % 4, **arguments}
    with pytest.raises(error, match=message):
        sweep_probes(given.pop("features"), given.pop("labels"), **given)
