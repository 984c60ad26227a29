"""``engine="auto"``: the fastest engine that gives the same answers as eager fp32, for a twentieth of the work.

The work starts at once, in eager fp32, which is also what is timed. As soon as a twentieth of the time that the whole
job would take that way pays for trying another engine, it is tried on the images at hand: built, held against eager
fp32, timed beside it. What was learnt is remembered, so that the next job starts with it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field, ValidationError

import nexus
from nexus import hub
from nexus._system import give_back_memory, usable_cores
from nexus.config import Config
from nexus.engines.agreement import MINIMUM, agreement, agreements
from nexus.engines.artefacts import artefact_path, keep
from nexus.engines.base import Engine, Job, Outputs
from nexus.engines.batching import batch_size_for
from nexus.engines.catalogue import CATALOGUE, build_job, missing, names, resolve_device
from nexus.engines.timing import compare, machine, versions
from nexus.errors import EngineError, MissingDependencyError
from nexus.models.base import NexusModule
from nexus.results import Result
from nexus.transforms.preprocess import PreprocessSpec

__all__ = ["BUDGET", "Choice", "Record", "Runner", "Selector", "Trial"]

BUDGET = 0.05
"""Share of the estimated work that may go into choosing."""

PAIRS = 3
TRIAL_IMAGES = 4
"""Enough on a CPU, where the time per image hardly depends on the batch; elsewhere the whole batch is tried."""

WORTHWHILE = 1.05
"""A gain below this is noise."""


class Trial(Result):
    """What came of trying one engine.

    Attributes:
        engine: its name.
        ratio: how many times as fast as eager fp32; None if it was not timed.
        agreement: lowest cosine with eager fp32, see `nexus.engines.agreement`; None if it did not run.
        start_seconds: time to build it; once it was started from what is kept on disk: that time.
        refused: why it must not be used, with the figure; None if it may.
    """

    engine: str
    ratio: float | None = None
    agreement: float | None = None
    start_seconds: float = 0.0
    refused: str | None = None


class Choice(Result):
    """Which engine runs, and why.

    Attributes:
        engine: its name.
        reason: one line for people.
        ratio: how many times as fast as eager fp32 it was.
        agreement: its lowest cosine with eager fp32.
        seconds: what choosing cost in this process.
        trials: all engines that were ever tried for this key.
        untried: engines that could run here but have not been tried.
    """

    engine: str
    reason: str
    ratio: float
    agreement: float
    seconds: float
    trials: tuple[Trial, ...]
    untried: tuple[str, ...]


class Record(Config):
    """What is remembered about one key: device, threads, library versions, weights, input size and outputs.

    Attributes:
        eager_seconds: time of eager fp32 per image.
        trials: by engine.
    """

    eager_seconds: float | None = None
    trials: dict[str, Trial] = Field(default_factory=dict)

    def best(self) -> Trial:
        """Return the fastest engine that passed, if it is worthwhile, else eager."""
        passed = [t for t in self.trials.values() if t.refused is None and (t.ratio or 0) >= WORTHWHILE]
        return max(passed, key=lambda trial: trial.ratio or 0, default=Trial(engine="eager", ratio=1.0, agreement=1.0))


class Selector:
    """The engine for one job, chosen while the work goes on. Call it with batches.

    Args:
        job: what is run; `Job.artefact` is also where the record is kept (with the suffix ``.json``), if given.
        engine: ``"auto"``, or the one engine to use: it is checked on the first batch, once per record.
        candidates: what ``"auto"`` may try, in this order; None: all that can run here.
        build: makes an engine of a name and a job.
        clock: returns seconds.

    Attributes:
        record: what is known so far.
    """

    def __init__(
        self,
        job: Job,
        engine: str = "auto",
        *,
        candidates: Sequence[str] | None = None,
        build: Callable[[str, Job], Engine] = build_job,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._job, self._asked, self._build, self._clock = job, engine, build, clock
        self._candidates = tuple(names(job.device)) if candidates is None else candidates
        self._reference = build("eager", job)
        self._engine = self._reference
        self._path = artefact_path(job.artefact, "json")
        self.record = read_record(self._path)
        self._seen = self._expected = 0
        self._spent = 0.0
        self._warm = self.record.eager_seconds is not None
        self._batch_size: int | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> str:
        """Name of the engine in use."""
        return self._engine.name

    def expect(self, images: int | None) -> None:
        """Announce a job of so many images; None: unknown, then only those already seen count as work."""
        self._expected = self._seen + (images or 0)

    def __call__(self, images: np.ndarray) -> Outputs:
        """Run a batch, see `Engine.__call__`; another engine may be tried before or after. Calls may come from threads.

        Raises:
            EngineError: the engine that was asked for cannot run the model, or gives other answers.
        """
        with self._lock:  # an engine runs one batch at a time, and so does the choice
            return self._run(images)

    def _run(self, images: np.ndarray) -> Outputs:
        self._seen += len(images)
        if self._asked not in ("auto", "eager"):
            self._insist(images)
        elif self._asked == "auto" and self._engine is self._reference:
            self._start_remembered()
        outputs = self._timed(images)
        if self._asked == "auto":
            self._try_affordable(images)
        return outputs

    def batch_size(self) -> int:
        """Return the batch size that suits the job; worked out once."""
        if self._batch_size is None:
            self._batch_size = batch_size_for(self._job)
        return self._batch_size

    def choice(self) -> Choice:
        """Say which engine is in use, and why."""
        trial = self.record.trials.get(self.engine, Trial(engine=self.engine, ratio=1.0, agreement=1.0))
        return Choice(
            engine=self.engine,
            reason=self._reason(trial),
            ratio=trial.ratio or 1.0,
            agreement=1.0 if trial.agreement is None else trial.agreement,
            seconds=self._spent,
            trials=tuple(self.record.trials.values()),
            untried=tuple(self._untried()),
        )

    # -- steps --------------------------------------------------------------------------------------------------------

    def _timed(self, images: np.ndarray) -> Outputs:
        start = self._clock()
        outputs = self._engine(images)
        if self._engine is self._reference:
            seconds = (self._clock() - start) / len(images)
            if self.record.eager_seconds is None or seconds < self.record.eager_seconds:
                self._learn(eager_seconds=seconds)
        return outputs

    def _insist(self, images: np.ndarray) -> None:
        """Take the engine that was asked for, after one check on the user's own images."""
        if self._engine is not self._reference:
            return
        known = self.record.trials.get(self._asked)
        if known is None or known.refused:
            self._try(self._asked, images, pairs=1)
        else:
            self._start(known)
        known = self.record.trials[self._asked]
        if known.refused:
            raise EngineError(f"{known.refused}. Use engine='auto' or 'eager'")
        assert self._engine.name == self._asked

    def _start_remembered(self) -> None:
        """Start the remembered engine if what it saves on this job is more than starting it costs."""
        best, eager_seconds = self.record.best(), self.record.eager_seconds
        if best.engine == "eager" or eager_seconds is None or best.engine not in self._candidates:
            return
        saving = self._work() * (1 - 1 / (best.ratio or 1))
        if saving > best.start_seconds:
            self._start(best)

    def _start(self, trial: Trial) -> None:
        start = self._clock()
        try:
            self._engine = self._build(trial.engine, self._job)
        except (EngineError, MissingDependencyError) as error:
            self._learn(trial=trial.model_copy(update={"refused": str(error)}))
        else:
            seconds = self._clock() - start
            self._learn(trial=trial.model_copy(update={"start_seconds": seconds}))

    def _try_affordable(self, images: np.ndarray) -> None:
        sample = self._sample(images)
        for name in self._candidates:
            # Asked for again each time, since an engine that passes strikes its slower twin off the list.
            if name not in self._untried() or not self._affords(name, sample):
                continue
            if not self._warm:
                self._calibrate(sample)
            if self._affords(name, sample):
                self._try(name, images, pairs=PAIRS)
                give_back_memory()  # what building took, and an engine that was not taken

    def _affords(self, name: str, sample: np.ndarray) -> bool:
        """Say whether the budget pays for building an engine, warming up, and one pair."""
        cost = CATALOGUE[name].seconds + 4 * len(sample) * (self.record.eager_seconds or 0)
        return cost <= BUDGET * self._work() - self._spent

    def _calibrate(self, sample: np.ndarray) -> None:
        """Time eager once more: its first call warms up, reads too slow, and would make the budget too large."""
        start = self._clock()
        self._reference(sample)
        seconds = self._clock() - start
        self._spent += seconds
        self._learn(eager_seconds=min(seconds / len(sample), self.record.eager_seconds or seconds))
        self._warm = True

    def _try(self, name: str, images: np.ndarray, *, pairs: int) -> None:
        """Build an engine, check it, time it, and take it if it is the best so far."""
        start = self._clock()
        try:
            engine = self._build(name, self._job)
        except (EngineError, MissingDependencyError) as error:
            trial = Trial(engine=name, refused=str(error))
        else:
            trial = self._judge(engine, self._clock() - start, self._sample(images), pairs)
            current = self.record.trials.get(self.engine)
            if trial.refused is None and (
                self._asked == name or (trial.ratio or 0) > max(WORTHWHILE, (current and current.ratio) or 0)
            ):
                self._engine = engine
        self._spent += self._clock() - start
        self._learn(trial=trial)

    def _judge(self, engine: Engine, start_seconds: float, sample: np.ndarray, pairs: int) -> Trial:
        try:
            table = compare(
                {"eager": lambda: self._reference(sample), engine.name: lambda: engine(sample)},
                "eager",
                pairs=pairs,
                seconds=max(0.0, BUDGET * self._work() - self._spent - start_seconds),
                units=len(sample),
                agreement=agreement,
                clock=self._clock,
            )
        except Exception as error:  # noqa: BLE001 - whatever an engine raises, it is refused and the job goes on
            return Trial(engine=engine.name, refused=f"{engine.name} fails on this model: {error}")
        row = table[engine.name]
        assert row.agreement is not None
        refused = None
        if row.agreement < MINIMUM:
            figures = agreements(self._reference(sample), engine(sample))
            worst = min(figures, key=figures.__getitem__)
            refused = (
                f"{engine.name} gives other answers than eager fp32: cosine {figures[worst]:.4f} in {worst!r}, "
                f"{MINIMUM} is the least"
            )
        return Trial(
            engine=engine.name,
            ratio=row.ratio,
            agreement=row.agreement,
            start_seconds=start_seconds,
            refused=refused,
        )

    # -- figures ------------------------------------------------------------------------------------------------------

    def _work(self) -> float:
        """Estimate how long the whole job takes in eager fp32, in seconds."""
        return max(self._expected, self._seen) * (self.record.eager_seconds or 0)

    def _sample(self, images: np.ndarray) -> np.ndarray:
        return images[:TRIAL_IMAGES] if self._job.device.type == "cpu" else images

    def _untried(self) -> list[str]:
        passed = {name for name, trial in self.record.trials.items() if trial.refused is None}
        beaten = {CATALOGUE[name].twin for name in passed if name in CATALOGUE}
        return [n for n in self._candidates if n != "eager" and n not in self.record.trials and n not in beaten]

    def _reason(self, trial: Trial) -> str:
        if self._asked != "auto":
            return f"{self.engine}: asked for"
        refused = [_short(t.refused) for t in self.record.trials.values() if t.refused]
        also = f"; refused: {'; '.join(refused)}" if refused else ""
        if self.engine != "eager":
            figures = f"{trial.ratio:.1f} times as fast as eager fp32, cosine {trial.agreement:.5f}"
            return f"{self.engine}: {figures}{also}"
        if self.record.best().engine != "eager":
            return f"eager: the job is too small to gain from starting {self.record.best().engine}{also}"
        if self._untried():
            return f"eager: the job is too small to pay for trying another engine{also}"
        return f"eager: nothing else that is installed is faster{also}"

    def _learn(self, *, eager_seconds: float | None = None, trial: Trial | None = None) -> None:
        if eager_seconds is not None:
            self.record = self.record.model_copy(update={"eager_seconds": eager_seconds})
        if trial is not None:
            self.record = self.record.model_copy(update={"trials": {**self.record.trials, trial.engine: trial}})
            keep(self._path, self.record.model_dump_json(indent=1).encode())


def _short(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[:limit]}…"


class Runner:
    """One model with a selector for each set of outputs that is asked for.

    Args:
        model: in evaluation mode.
        spec: how pictures become its input.
        engine: a name, or ``"auto"``.
        device: see `nexus.engines.resolve_device`.
    """

    def __init__(self, model: NexusModule, spec: PreprocessSpec, *, engine: str, device: str | torch.device) -> None:
        self.device = resolve_device(device)
        self.model = model.to(self.device)
        if engine != "auto" and (lacks := missing(engine, self.device)):
            raise EngineError(f"{lacks}. Engines that can run here: {', '.join(names(self.device))}")
        self._spec, self._asked = spec, engine
        self._selectors: dict[tuple[str, ...], Selector] = {}
        self._last: Selector | None = None
        self._digest: str | None = None

    @property
    def engine_name(self) -> str:
        """The engine in use; before the first batch, the one asked for."""
        return self._last.engine if self._last else self._asked

    def digest(self) -> str:
        """Return the weights digest, computed once."""
        if self._digest is None:
            self._digest = self.model.digest()
        return self._digest

    def selector(self, outputs: tuple[str, ...]) -> Selector:
        """Return the selector for these outputs, made at the first call."""
        if outputs not in self._selectors:
            self._selectors[outputs] = Selector(self.job(outputs), self._asked)
        self._last = self._selectors[outputs]
        return self._last

    def job(self, outputs: tuple[str, ...]) -> Job:
        """Describe the work: this model on pixels of the spec's size."""
        example = np.zeros((2, *self._spec.size, 3), np.uint8)
        job = Job(self.model, outputs, self.device, example, self._spec, usable_cores())
        if self._asked == "eager":
            return job  # nothing to remember, so the weights need no digest
        return replace(job, artefact=hub.cache_dir() / "engines" / job_key(job, self.digest()))


def job_key(job: Job, weights: str) -> str:
    """Return 32 hex digits that change with anything on which speed, answers or a kept artefact depend.

    Args:
        job: what is run.
        weights: digest of the model's weights.
    """
    here, spec = machine(), job.spec
    facts: dict[str, Any] = {
        "nexus": nexus.__version__,
        "weights": weights,
        "structure": repr(job.model),  # the same weights under another activation or head count are another model
        "config": repr(job.model.config),
        "outputs": job.outputs,
        "device": str(job.device),
        "accelerators": here.accelerators,
        "cpu": [here.cpu, here.flags],
        "threads": job.threads,
        "versions": versions(("numpy", "torch", "onnx", "onnxruntime", "openvino")),
        "input": [job.example.dtype.name, *job.example.shape[1:]],
        "normalise": spec and [spec.mean, spec.std, spec.channels],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def read_record(path: Path | None) -> Record:
    """Return what is remembered; a record that is absent or unreadable is empty."""
    try:
        return Record.model_validate_json(path.read_bytes()) if path else Record()
    except (OSError, ValidationError):
        return Record()
