"""`Trainer`: the loop from a model and labelled pictures to a better model.

Every number that is drawn follows from the run's seed and what the number is for, and a checkpoint holds the rest: a
run that was interrupted continues bit for bit, and a run on several processes gives the losses of a run on one.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nexus._seeds import sample_seeds
from nexus._system import keep_freed_memory
from nexus.datasets.labelled import LabelledImages
from nexus.datasets.loader import Samples, TrainLoader
from nexus.distributed import launch, shard
from nexus.distributed.shard import Parallel
from nexus.errors import ImageError
from nexus.layers import lay_out, prefers_channels_last, seed_drop_path
from nexus.metrics.classification import mean_average_precision, negative_log_likelihood, top_k_accuracy
from nexus.models.base import NexusModule
from nexus.models.loading import save_model
from nexus.results import Progress, ProgressEvent
from nexus.training import checkpoint
from nexus.training.config import TrainConfig
from nexus.training.ema import EMA
from nexus.training.failures import memory_in_use, not_finite, out_of_memory_explained
from nexus.training.optim import build_optimizer
from nexus.training.precision import Precision
from nexus.training.run_folder import RunFolder
from nexus.training.schedule import build_schedule
from nexus.transforms.mix import mix, random_erasing
from nexus.transforms.preprocess import normalise_batch

__all__ = ["Trainer"]

VALIDATION_BATCH = 64
"""Pictures a forward pass, over all processes; more gain nothing measurable on a CPU and fit on every accelerator."""


AVERAGE = "average."
"""How a checkpoint calls the averaged weights."""


@dataclass
class State:
    """Where a run is; kept in every checkpoint.

    Attributes:
        step: optimiser steps done.
        epoch, step_of_epoch: the epoch under way, and its steps done.
        best: the best validation value so far.
        best_epoch: after how many epochs that was.
        waited: evaluations since then.
        finished: whether nothing is left to do.
        loss, images: sums over the epoch under way.
    """

    step: int = 0
    epoch: int = 0
    step_of_epoch: int = 0
    best: float = -math.inf
    best_epoch: int = 0
    waited: int = 0
    finished: bool = False
    loss: float = 0.0
    images: int = 0


class Trainer:
    """Trains a model on labelled pictures.

    Args:
        model: with a head of as many logits as there are classes; it is on its device afterwards.
        objective: what is minimised, see `nexus.objectives`.
        config: how.
        train: what is learnt from.
        val: what is measured on; None: nothing is, and the last model counts as the best.
        folder: where the run is kept.
        device: where the model runs.
        parallel: ``"none"``, ``"ddp"`` or ``"fsdp"``, of the processes that torchrun has started.
        workers: decoding processes; None: one per usable core.
        strict: stop at the first picture that cannot be read.
        progress: called after every step.
        loggers: told of every record, too; see `nexus.training.loggers`.

    Attributes:
        config: as given, with what it leaves to the model and the device decided.
        state: where the run is.
        average: the averaged weights, where the config wants them.
    """

    def __init__(
        self,
        model: NexusModule,
        objective: nn.Module,
        config: TrainConfig,
        train: LabelledImages,
        val: LabelledImages | None,
        folder: RunFolder,
        *,
        device: torch.device,
        parallel: Parallel = "none",
        workers: int | None = None,
        strict: bool = False,
        progress: Progress | None = None,
        loggers: Sequence[Any] = (),
    ) -> None:
        self.precision = Precision(config.precision, device)
        channels_last = prefers_channels_last(model) if config.channels_last is None else config.channels_last
        config = config.replace(precision=self.precision.name, channels_last=channels_last)
        self.model, self.objective, self.config, self.folder = model, objective, config, folder
        self.device, self.strict, self.progress, self.loggers = device, strict, progress, loggers
        self.loader = self._loader(train, workers)
        self.validation = self._validation(val, workers) if val is not None else None
        model.gradient_checkpointing = config.gradient_checkpointing
        if device.type == "cpu":
            keep_freed_memory()
        model.to(device)
        lay_out(model, channels_last)
        objective.to(device)
        self.average = EMA(model, config.ema) if config.ema else None
        self.network = self._network(parallel)
        if self.average is not None:
            self.average.module = shard.parallelise(
                self.average.module, parallel, device, precision=self.precision.name
            )
        self.optimizer = build_optimizer(model, config.optimizer, config.peak_lr)
        self.steps = config.epochs * self.loader.steps
        self.schedule = build_schedule(
            self.optimizer, config.schedule, steps=self.steps, steps_per_epoch=self.loader.steps
        )
        self.state = State()

    def fit(self) -> State:
        """Train to the end, from where the folder's last checkpoint is.

        Returns:
            Where the run ended.

        Raises:
            TrainingError: the loss is no longer a number (the batch is saved), memory ran out, or the disk is full.
            ImageError: a picture cannot be read, with `strict`.
        """
        self._resume()
        saved = time.monotonic()
        with self.loader, self.validation or nullcontext():
            while not self.state.finished:
                for batch in self.loader.epoch(self.state.epoch, self.state.step_of_epoch):
                    self._log(self.step(batch))
                    if self._is_due(saved):
                        self._save()
                        saved = time.monotonic()
                self._end_epoch()
                saved = time.monotonic()
        checkpoint.finish(self.folder.checkpoints)
        seed_drop_path(self.model, None)  # what comes next is not this run's
        return self.state

    def measure(self, steps: int) -> tuple[float, int]:
        """Do a few steps and forget them.

        Returns:
            Median seconds per step (waiting for pictures included), and the highest number of bytes in use.
        """
        seconds = []
        with self.loader:
            began = time.perf_counter()
            for batch in islice(self.loader.epoch(0), steps):
                self.step(batch)
                seconds.append(time.perf_counter() - began)
                began = time.perf_counter()
        return statistics.median(seconds[1:] or seconds), memory_in_use(self.device)

    # -- one step ----------------------------------------------------------------------------------------------------

    def step(self, batch: Sequence[Samples]) -> dict[str, Any]:
        """Do one optimiser step.

        Args:
            batch: this process's share of it, as micro-batches.

        Returns:
            The step's record, the same on all processes.
        """
        began, state = time.perf_counter(), self.state
        self._skip(batch)
        # What layers draw by themselves (dropout) depends on the step, and on nothing that was drawn before.
        torch.manual_seed(int(sample_seeds(self.config.seed, state.step, [launch.rank()])[0]))
        count = int(launch.all_reduce_sum(torch.tensor(sum(len(samples.images) for samples in batch))))
        self.network.train()
        total = torch.zeros((), device=self.device)
        with out_of_memory_explained(self.config, batch):
            for number, samples in enumerate(batch):
                with shard.micro_batch(self.network, last=number + 1 == len(batch)):
                    total += self._backward(samples, max(count, 1))
        loss = float(launch.all_reduce_sum(total)) / max(count, 1)
        if not math.isfinite(loss):
            raise not_finite(self.folder, self.model, state.step, f"loss is {loss}", batch, launch.rank())
        norm = self.precision.step(self.optimizer, self.network, self.config.clip_grad)
        if not (math.isfinite(norm) or self.precision.name == "fp16"):
            raise not_finite(self.folder, self.model, state.step, f"gradient is {norm}", batch, launch.rank())
        lr = max(group["lr"] for group in self.optimizer.param_groups)
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        if self.average is not None:
            self.average.update(self.model)
        state.step, state.step_of_epoch = state.step + 1, state.step_of_epoch + 1
        state.loss, state.images = state.loss + loss * count, state.images + count
        return {
            "kind": "step",
            "step": state.step,
            "epoch": state.epoch,
            "loss": loss,
            "lr": lr,
            "grad_norm": norm,
            "images_per_second": count / (time.perf_counter() - began),
            "memory": memory_in_use(self.device),
        }

    def _backward(self, samples: Samples, count: int) -> Tensor:
        """Add the gradients of one micro-batch; return the sum of its losses."""
        # Every process takes part in every micro-batch, one without a picture left too.
        present = bool(len(samples.images))
        samples = samples if present else blank(samples)
        images, targets = self._prepared(samples)
        seed_drop_path(self.model, samples.seeds.to(self.device))
        with self.precision.autocast():
            loss: Tensor = self.objective(self.network, images, targets)["loss"] * present
        # Gradients are averaged over the processes; the loss is the mean over the pictures of all of them.
        self.precision.scaled(loss * (launch.world() / count)).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _prepared(self, samples: Samples) -> tuple[Tensor, Tensor]:
        images, targets = self._normalised(samples), samples.targets.to(self.device)
        if self.config.erase is not None:
            images = random_erasing(images, samples.seeds, self.config.erase)
        if self.config.mix is None:
            return images, targets
        if targets.ndim == 1:
            targets = F.one_hot(targets, len(self.loader.data.classes)).float()
        return mix(images, targets, samples.seeds, samples.partners, self.config.mix)

    def _normalised(self, samples: Samples) -> Tensor:
        channels_last = bool(self.config.channels_last)
        return normalise_batch(samples.images, self.model.preprocess, self.device, channels_last=channels_last)

    # -- one epoch ---------------------------------------------------------------------------------------------------

    def _end_epoch(self) -> None:
        state, config = self.state, self.config
        record: dict[str, Any] = {
            "kind": "epoch",
            "epoch": state.epoch,
            "step": state.step,
            "train_loss": state.loss / max(state.images, 1),
        }
        state.epoch, state.step_of_epoch, state.loss, state.images = state.epoch + 1, 0, 0.0, 0
        last = state.epoch == config.epochs
        if self.validation is not None and (last or state.epoch % config.evaluate_every == 0):
            record |= self.evaluate()
        value = record.get("val_map", record.get("val_top1", float(state.epoch)))
        better = value > state.best and (self.validation is None or "val_loss" in record)
        if better:
            state.best, state.best_epoch, state.waited = value, state.epoch, 0
            self._save_best()
        elif "val_loss" in record:
            state.waited += 1
        patient = config.early_stopping is None or state.waited < config.early_stopping
        state.finished = last or not patient
        self._log(record)
        self._save()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Measure on the validation pictures: loss, top-1 and top-5 accuracy, or mean average precision.

        Returns:
            Values by name, the same on all processes; accuracies 0..1.
        """
        assert self.validation is not None
        data = self.validation.data
        logits = torch.zeros(len(data), len(data.classes), device=self.device)
        seen = torch.zeros(len(data), device=self.device)
        for batch in self.validation.epoch(0):
            self._skip(batch)
            for samples in batch:
                rows = samples.indices.to(self.device)
                logits[rows], seen[rows] = self._logits(samples)[: len(rows)], 1.0
        # Every process fills in the rows of its own pictures.
        logits, seen = launch.all_reduce_sum(logits), launch.all_reduce_sum(seen) > 0
        return validation_metrics(logits[seen].cpu(), torch.from_numpy(data.targets)[seen.cpu()])

    def _logits(self, samples: Samples) -> Tensor:
        """Ask the model, or the average of its weights, for (b, K) logits; (1, K) of a black picture for none."""
        network = self.average.module if self.average else self.network
        images = self._normalised(samples if len(samples.images) else blank(samples))
        with self.precision.autocast():
            return network.eval()(images, outputs=("logits",))["logits"].float()  # type: ignore[no-any-return]

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _save_best(self) -> None:
        save_best(self.average.module if self.average else self.network, self.folder.path)

    def _save(self) -> None:
        state = {**asdict(self.state), "schedule": self.schedule.state_dict(), "precision": self.precision.state()}
        checkpoint.save(self.folder.checkpoints, self.state.step, self.model, self.optimizer, self._others(), state)

    def _others(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint that neither the model nor the optimiser has."""
        return {f"{AVERAGE}{key}": value for key, value in self.average.state_dict().items()} if self.average else {}

    def _resume(self) -> None:
        found = checkpoint.latest(self.folder.checkpoints)
        if found is None:
            if launch.is_main():
                self.folder.rewind()
            return
        others = checkpoint.load(found, self.model, self.optimizer, self._others())
        if self.average is not None:
            average = {key.removeprefix(AVERAGE): value for key, value in others.items() if key.startswith(AVERAGE)}
            self.average.load_state_dict(average)
        self.state = State(**{key: found.state[key] for key in asdict(State())})
        self.schedule.load_state_dict(found.state["schedule"])
        self.precision.load(found.state["precision"])
        if launch.is_main():
            self.folder.rewind(self.state.step, self.state.epoch)
        self._log({"kind": "resume", "step": self.state.step})

    def _log(self, record: dict[str, Any]) -> None:
        if not launch.is_main():
            return
        self.folder.log(record)
        for logger in self.loggers:
            logger.log(record["step"], {key: value for key, value in record.items() if isinstance(value, float)})
        if self.progress is not None and record["kind"] == "step":
            self.progress(self._event(record))

    def _event(self, record: dict[str, Any]) -> ProgressEvent:
        watched = {"epoch": f"{self.state.epoch + 1}/{self.config.epochs}", "loss": record["loss"], "lr": record["lr"]}
        watched |= {"memory": float(record["memory"])}
        if self.state.best_epoch:
            watched["best"] = f"{self.state.best:.3f} after epoch {self.state.best_epoch}"
        count = len(self.loader.data)
        done = self.state.epoch * count + min(self.state.step_of_epoch * self.config.batch_size, count)
        return ProgressEvent(stage="train", done=done, total=self.config.epochs * count, values=watched)

    def _skip(self, batch: Sequence[Samples]) -> None:
        skipped = [one for samples in batch for one in samples.skipped]
        if skipped and self.strict:
            raise ImageError(skipped[0].source, skipped[0].reason)
        self.folder.skip(skipped)

    def _is_due(self, saved: float) -> bool:
        """Whether to save now; the first process decides for all."""
        due = time.monotonic() - saved >= 60 * self.config.checkpoint_minutes
        return bool(launch.all_reduce_max(torch.tensor(int(due and launch.is_main()))))

    # -- building ----------------------------------------------------------------------------------------------------

    def _loader(self, data: LabelledImages, workers: int | None) -> TrainLoader:
        c = self.config
        return TrainLoader(
            data, self.model.preprocess, batch_size=c.batch_size, micro_batch=c.micro_batch, augment=c.augment,
            seed=c.seed, balanced=c.balanced, sizes=c.sizes, rank=launch.rank(), world=launch.world(), workers=workers,
        )  # fmt: skip

    def _validation(self, data: LabelledImages, workers: int | None) -> TrainLoader:
        return TrainLoader(
            data, self.model.preprocess, batch_size=VALIDATION_BATCH, shuffle=False, rank=launch.rank(),
            world=launch.world(), workers=workers,
        )  # fmt: skip

    def _network(self, parallel: Parallel) -> nn.Module:
        network = shard.parallelise(self.model, parallel, self.device, precision=self.precision.name)
        if self.config.compile:
            network.compile()
        return network


def blank(samples: Samples) -> Samples:
    """Return one black picture of class 0 in place of none."""
    height, width = samples.images.shape[1:3]
    zeros = torch.zeros(1, dtype=torch.int64)
    return samples._replace(
        images=torch.zeros(1, height, width, 3, dtype=torch.uint8),
        targets=torch.zeros(1, *samples.targets.shape[1:], dtype=samples.targets.dtype),
        indices=zeros,
        seeds=zeros,
        partners=zeros,
    )


def validation_metrics(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Return what is logged of a validation.

    Args:
        logits: (N, K) float.
        targets: (N,) int64, or (N, K) bool where a picture may show several classes.

    Returns:
        `val_loss`, and `val_top1` or `val_map`, and `val_top5` of more than five classes; 0..1.
    """
    if targets.ndim == 2:
        loss = F.binary_cross_entropy_with_logits(logits, targets.float())
        return {"val_loss": float(loss), "val_map": mean_average_precision(logits, targets)}
    scores = {"val_loss": negative_log_likelihood(logits, targets), "val_top1": top_k_accuracy(logits, targets)}
    return scores | ({"val_top5": top_k_accuracy(logits, targets, k=5)} if logits.shape[1] > 5 else {})


def save_best(network: nn.Module, folder: Path) -> None:
    """Write the model as `nexus.load` reads it: whole also where it is sharded, its adapters merged."""
    model = shard.unwrap(network)
    assert isinstance(model, NexusModule)
    weights = model.state_dict() if launch.world() == 1 else shard.full_weights(model)
    if launch.is_main():
        save_model(model, folder, weights)
