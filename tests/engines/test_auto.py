"""Choosing an engine. The engines are real; only the time that they take is stated by the test."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_vit import TinyViT
from torch import nn

from nexus.engines.auto import BUDGET, Selector, job_key
from nexus.engines.base import Engine, Job, Outputs
from nexus.engines.catalogue import CATALOGUE, build_job
from nexus.engines.predictor import Predictor
from nexus.errors import EngineError, UnknownNameError

EAGER, OPENVINO = 0.1, 0.025  # seconds per image
START = CATALOGUE["openvino"].seconds


class Clock:
    """Time passes only where a `Priced` engine works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Priced:
    """A real engine whose calls take a stated time."""

    def __init__(self, engine: Engine, clock: Clock, seconds: float) -> None:
        self.name = engine.name
        self._engine, self._clock, self._seconds = engine, clock, seconds

    def __call__(self, images: np.ndarray) -> Outputs:
        self._clock.now += len(images) * self._seconds
        return self._engine(images)


def priced(
    clock: Clock, prices: dict[str, float], built: list[str], make: Callable[[str, Job], Engine] = build_job
) -> Callable[[str, Job], Engine]:
    def build(name: str, job: Job) -> Engine:
        built.append(name)
        clock.now += CATALOGUE[name].seconds
        return Priced(make(name, job), clock, prices[name])

    return build


@pytest.fixture
def job(model: TinyViT, pixels: np.ndarray, tmp_path: Path) -> Job:
    device = torch.device("cpu")
    return Job(model, ("embeddings", "tokens"), device, pixels[:2], model.preprocess, 1, tmp_path / "kept")


class Bench:
    """A selector with its clock."""

    def __init__(self, job: Job, engine: str = "auto", make: Callable[[str, Job], Engine] = build_job) -> None:
        self.clock, self.built = Clock(), list[str]()
        prices = {"eager": EAGER, "openvino": OPENVINO, "eager-bf16": 2 * EAGER, "onnxruntime": 0.99 * EAGER}
        build = priced(self.clock, prices, self.built, make)
        self.selector = Selector(job, engine, candidates=("eager", "openvino"), build=build, clock=self.clock)

    def run(self, pixels: np.ndarray, batches: int, total: int | None) -> None:
        self.selector.expect(total)
        for _ in range(batches):
            self.selector(pixels)


def test_a_small_job_is_left_to_eager(job: Job, pixels: np.ndarray) -> None:
    bench = Bench(job)
    bench.run(pixels, 2, total=12)
    choice = bench.selector.choice()
    assert (choice.engine, choice.seconds, bench.built) == ("eager", 0, ["eager"])
    assert choice.untried == ("openvino",)
    assert "too small to pay for trying another engine" in choice.reason


def test_a_large_job_gets_the_fastest_engine(job: Job, pixels: np.ndarray) -> None:
    bench = Bench(job)
    bench.run(pixels, 2, total=10_000)
    choice = bench.selector.choice()
    assert choice.engine == "openvino"
    assert choice.ratio == pytest.approx(EAGER / OPENVINO)
    assert choice.agreement > 0.99999
    assert choice.reason == "openvino: 4.0 times as fast as eager fp32, cosine 1.00000"
    before = bench.clock.now
    bench.selector(pixels)
    assert bench.clock.now - before == pytest.approx(6 * OPENVINO)


@pytest.mark.parametrize("total", [6, 100, 500, 600, 1000, 5000, 100_000])
def test_choosing_never_costs_more_than_a_twentieth(job: Job, pixels: np.ndarray, total: int) -> None:
    bench = Bench(job)
    bench.run(pixels, 3, total=total)
    assert bench.selector.choice().seconds <= BUDGET * total * EAGER
    assert (bench.selector.engine == "openvino") == (total >= 1000)


def test_without_a_total_only_the_work_that_was_seen_counts(job: Job, pixels: np.ndarray) -> None:
    bench = Bench(job)
    seen = 0
    while bench.selector.engine == "eager":
        bench.run(pixels, 1, total=None)
        seen += len(pixels)
        assert bench.selector.choice().seconds <= BUDGET * seen * EAGER
        assert seen < 2000
    assert seen > START / EAGER / BUDGET


def test_slower_engines_are_not_taken(job: Job, pixels: np.ndarray) -> None:
    clock, built = Clock(), list[str]()
    prices = {"eager": EAGER, "onnxruntime": 0.99 * EAGER, "eager-bf16": 2 * EAGER}
    candidates = ("eager", "eager-bf16", "onnxruntime")
    selector = Selector(job, candidates=candidates, build=priced(clock, prices, built), clock=clock)
    selector.expect(100_000)
    selector(pixels)
    choice = selector.choice()
    assert built == list(candidates)
    assert (choice.engine, choice.untried) == ("eager", ())
    assert "nothing else that is installed is faster" in choice.reason
    assert [round(trial.ratio or 0, 2) for trial in choice.trials] == [0.5, 1.01]


def test_the_slower_twin_of_an_engine_that_passed_is_not_tried(job: Job, pixels: np.ndarray) -> None:
    clock, built = Clock(), list[str]()
    prices = {"eager": EAGER, "openvino-bf16": OPENVINO, "openvino": OPENVINO}

    def in_f32(name: str, job: Job) -> Engine:  # so that the test runs on processors without bf16 as well
        engine = build_job(name.removesuffix("-bf16"), job)
        engine.name = name
        return engine

    candidates = ("eager", "openvino-bf16", "openvino")
    selector = Selector(job, candidates=candidates, build=priced(clock, prices, built, in_f32), clock=clock)
    selector.expect(100_000)
    selector(pixels)
    assert built == ["eager", "openvino-bf16"]


# -- memory ----------------------------------------------------------------------------------------------------------


def test_the_choice_is_remembered(job: Job, pixels: np.ndarray) -> None:
    Bench(job).run(pixels, 1, total=10_000)
    bench = Bench(job)
    bench.run(pixels, 1, total=200)  # far too small to try anything
    choice = bench.selector.choice()
    assert (choice.engine, choice.seconds, bench.built) == ("openvino", 0, ["eager", "openvino"])
    assert bench.clock.now == pytest.approx(START + 6 * OPENVINO)  # eager fp32 did not run at all


def test_a_remembered_engine_is_not_started_for_less_than_it_saves(job: Job, pixels: np.ndarray) -> None:
    Bench(job).run(pixels, 1, total=10_000)
    bench = Bench(job)
    bench.run(pixels[:1], 1, total=1)
    assert bench.built == ["eager"]
    assert "too small to gain from starting openvino" in bench.selector.choice().reason
    bench.run(pixels, 10, total=None)  # but once enough single images have come, it is
    assert bench.selector.engine == "openvino"


def test_a_start_from_disk_is_remembered_as_such(job: Job, pixels: np.ndarray) -> None:
    assert job.artefact is not None
    Bench(job).run(pixels, 1, total=10_000)
    record = job.artefact.with_name("kept.json")
    assert json.loads(record.read_text())["trials"]["openvino"]["start_seconds"] == START
    real = Selector(job, candidates=("eager", "openvino"))
    real.expect(10_000)
    real(pixels)
    assert real.engine == "openvino"
    assert json.loads(record.read_text())["trials"]["openvino"]["start_seconds"] < START


def test_a_damaged_record_is_forgotten(job: Job, pixels: np.ndarray) -> None:
    assert job.artefact is not None
    record = job.artefact.with_name("kept.json")
    for content in ("", "{", '{"trials": 3}', '{"eager_seconds": 1, "unknown": 2}'):
        record.write_text(content)
        bench = Bench(job)
        bench.run(pixels, 1, total=10_000)
        assert bench.selector.engine == "openvino"


def test_anything_that_changes_speed_or_answers_changes_the_key(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    assert job.spec is not None
    other_activation = copy.deepcopy(job.model)
    other_activation.layers[0].mlp[1] = nn.ReLU()
    jobs = {
        "same": job,
        "outputs": replace(job, outputs=("embeddings",)),
        "threads": replace(job, threads=2),
        "device": replace(job, device=torch.device("mps")),
        "size": replace(job, example=np.zeros((2, 48, 48, 3), np.uint8)),
        "type": replace(job, example=np.zeros((2, 3, 32, 32), np.float32), spec=None),
        "mean": replace(job, spec=job.spec.replace(mean=(0.1, 0.2, 0.3))),
        "activation": replace(job, model=other_activation),
    }
    keys = {name: job_key(changed, job.model.digest()) for name, changed in jobs.items()}
    keys["weights"] = job_key(job, TinyViT().digest())
    monkeypatch.setattr("nexus.engines.auto.versions", lambda _: {"torch": "99.0"})
    keys["version"] = job_key(job, job.model.digest())
    assert len(set(keys.values())) == len(keys)
    monkeypatch.undo()
    assert job_key(replace(job, example=job.example[:1]), job.model.digest()) == keys["same"]


def test_a_predictor_forgets_when_the_weights_change(model: TinyViT, files: list[Path]) -> None:
    def trials(model: TinyViT) -> int:
        with Predictor(model, engine="openvino", workers=1) as predictor:
            before = len(predictor.choice().trials)
            predictor.embed(files[:2])
            assert predictor.engine_name == "openvino"
            return before

    assert [trials(model), trials(model)] == [0, 1]
    model.norm.bias.data += 0.1
    assert trials(model) == 0


# -- refusal ---------------------------------------------------------------------------------------------------------


def rounded(name: str, job: Job) -> Engine:
    """The real engine on a copy of the model whose weights were rounded to four bits."""
    if name == "eager":
        return build_job(name, job)
    model = copy.deepcopy(job.model)
    for parameter in model.parameters():
        step = parameter.data.abs().max().clamp(min=1e-6) / 7
        parameter.data = (parameter.data / step).round() * step
    return build_job(name, replace(job, model=model, artefact=None))


def test_an_engine_that_gives_other_answers_is_refused_with_the_figure(job: Job, pixels: np.ndarray) -> None:
    bench = Bench(job, make=rounded)
    bench.run(pixels, 2, total=10_000)
    choice = bench.selector.choice()
    assert choice.engine == "eager"
    (trial,) = choice.trials
    assert trial.agreement is not None
    assert trial.agreement < 0.999
    assert f"cosine {trial.agreement:.4f} in" in str(trial.refused)
    assert str(trial.refused) in choice.reason
    again = Bench(job)
    again.run(pixels, 1, total=10_000)
    assert again.built == ["eager"]  # a refusal is remembered as well


def test_an_engine_that_was_asked_for_is_refused_with_an_error(job: Job, pixels: np.ndarray) -> None:
    bench = Bench(job, engine="openvino", make=rounded)
    with pytest.raises(EngineError, match=r"openvino gives other answers than eager fp32: cosine 0\.\d+ in"):
        bench.run(pixels, 1, total=1)
    good = Bench(job, engine="openvino")  # the refusal is looked into again, since it was asked for again
    good.run(pixels, 2, total=1)
    assert good.selector.engine == "openvino"
    assert good.selector.choice().reason == "openvino: asked for"
    assert Bench(job, engine="openvino").selector.record.trials["openvino"].refused is None


def test_an_engine_that_cannot_run_the_model_is_refused_and_the_job_goes_on(pixels: np.ndarray, job: Job) -> None:
    class FixedBatch(TinyViT):
        def forward(self, images, **options):  # type: ignore[no-untyped-def]
            return super().forward(images[: len(images)], **options)

    bench = Bench(replace(job, model=FixedBatch().eval()))
    bench.run(pixels, 2, total=10_000)
    assert bench.selector.engine == "eager"
    assert "OpenVINO cannot run FixedBatch" in bench.selector.choice().reason


def test_an_engine_that_is_not_here_is_named_at_once(
    model: TinyViT, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'openvino'"):
        Predictor(model, engine="openvin")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=r"'compiled' needs a C\+\+ compiler.*Engines that can run here: eager"):
        Predictor(model, engine="compiled")


def test_batches_may_come_from_several_threads(job: Job, pixels: np.ndarray) -> None:
    selector = Selector(job, "openvino")
    expected = build_job("eager", job)(pixels)["embeddings"]
    with ThreadPoolExecutor(4) as threads:
        for outputs in threads.map(selector, [pixels] * 20):
            np.testing.assert_allclose(outputs["embeddings"], expected, atol=1e-4)
