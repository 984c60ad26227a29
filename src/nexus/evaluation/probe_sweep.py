"""Many heads on the same frozen features, trained side by side in one pass and chosen by validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from nexus._seeds import generator
from nexus.config import Config
from nexus.datasets.labelled import LabelledImages
from nexus.datasets.splits import hold_out
from nexus.engines import resolve_device
from nexus.errors import InputError
from nexus.layers import HeadConfig, build_head
from nexus.results import Progress, ProgressEvent, Result

__all__ = ["DINOV2_RATES", "LEARNING_RATES", "ProbeRow", "ProbeSweep", "SweepConfig", "sweep_probes"]

LEARNING_RATES = (0.01, 0.018, 0.032, 0.056, 0.1)
"""1e-2 to 1e-1, evenly spaced on a logarithmic scale."""

DINOV2_RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1)
"""The grid of DINOv2's linear evaluation (``facebookresearch/dinov2``, dinov2/eval/linear.py)."""

FEW_CLASSES = 64
"""Up to so many a softmax in four passes over all rows is faster than PyTorch's one pass row by row."""

BLOCK = 8_192
"""Rows at a time where all of them are looked at."""

SUMMED = 1_024
"""Rows that are summed up at a time, in float64."""


class SweepConfig(Config):
    """How heads are trained on frozen features.

    The defaults follow DINOv2's linear evaluation (``facebookresearch/dinov2``, dinov2/eval/linear.py): SGD with
    momentum 0.9 and no weight decay, ten epochs, the rate of a batch of 256 scaled with the batch and brought to 0 by a
    cosine. Unlike there features are standardised, which lets one grid of rates fit all models.

    Attributes:
        learning_rates: one head each, for a batch of 256.
        weight_decays: all of them with every learning rate; biases do not decay.
        hidden: widths of hidden layers with ReLU before the last; none: a linear head.
        epochs: passes over the examples.
        min_steps: steps at least, where `epochs` would be fewer: few examples are seen more often.
        batch_size: examples per step.
        momentum: of SGD.
        standardize: bring each dimension to mean 0 and variance 1 while training; the result takes raw features.
        evaluations: how often the heads are validated, evenly spread over the steps.
        patience: stop when no head on the same features got better in so many evaluations; None: never.
        hold_out: share of the examples of each class kept for validation where none is given, two examples at least.
        refit: train the best setting once more, on the held-out examples too. A given validation set stays apart.
        precision: of the matrix products; sums, weights and losses are float32 in any case.
        device: see `nexus.engines.resolve_device`.
        seed: of the order of examples, the held-out ones and the hidden layers' first weights.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(default=LEARNING_RATES, min_length=1)
    weight_decays: tuple[NonNegativeFloat, ...] = Field(default=(0.0,), min_length=1)
    hidden: tuple[PositiveInt, ...] = ()
    epochs: PositiveInt = 10
    min_steps: PositiveInt = 200
    batch_size: PositiveInt = 256
    momentum: float = Field(default=0.9, ge=0, lt=1)
    standardize: bool = True
    evaluations: PositiveInt = 10
    patience: PositiveInt | None = 3
    hold_out: float = Field(default=0.1, gt=0, lt=1)
    refit: bool = True
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "auto"
    seed: int = Field(default=0, ge=0)


class ProbeRow(Result):
    """One head of a sweep, as good as it ever was.

    Attributes:
        features: the name of the features that it reads.
        learning_rate, weight_decay: how it was trained.
        step: after how many steps it was best.
        accuracy: share, 0..1, of the validation examples whose class it finds; where an example may have several
            classes, of all yes or no answers.
        loss: mean cross entropy on them, in nats; where an example may have several classes, summed over these.
    """

    features: str
    learning_rate: float
    weight_decay: float
    step: int
    accuracy: float
    loss: float


class ProbeSweep(Result):
    """What `sweep_probes` found.

    Attributes:
        rows: all heads, in the order in which they were asked for.
        best: the one chosen: the highest accuracy, among equals the lowest loss; with several classes per example the
            lowest loss.
        head: `nn.Linear` (with hidden layers `nexus.layers.ClassifierHead`) of the best, for raw features: what a model
            takes as its `head`.
        examples: how many `head` was trained on.
        held_out: how many chose among the heads.
    """

    rows: tuple[ProbeRow, ...]
    best: ProbeRow
    head: Annotated[Any, Field(exclude=True)]
    examples: int
    held_out: int

    def lines(self) -> list[str]:
        """One line per head, the best marked."""
        width = max(len(row.features) for row in self.rows)
        return [
            f"{'*' if row == self.best else ' '} {row.features:{width}}  lr {row.learning_rate:<8g} "
            f"decay {row.weight_decay:<8g} step {row.step:>6}  accuracy {row.accuracy:.2%}  loss {row.loss:.4f}"
            for row in self.rows
        ]


Layers = list[tuple[Tensor, Tensor]]
"""Weights and biases, from the input to the output."""


class Setting(NamedTuple):
    """What tells the heads on the same features apart."""

    learning_rate: float
    weight_decay: float


def sweep_probes(
    features: ArrayLike | Mapping[str, ArrayLike],
    labels: ArrayLike,
    *,
    validation: tuple[ArrayLike | Mapping[str, ArrayLike], ArrayLike] | None = None,
    num_classes: int | None = None,
    config: SweepConfig | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ProbeSweep:
    """Train a head for every learning rate, weight decay and choice of features, and keep the best.

    All heads on the same features are one matrix product (H heads of K classes are H * K columns), so many cost little
    more than one. Features may be memory-mapped: a batch at a time is read.

    Args:
        features: (N, D) vectors, or several choices of them by name, each of N rows.
        labels: (N,) class numbers, -1 for an example that has none and is left out; or (N, K) bool, where an example
            may have several classes: each is a yes-or-no question of its own (binary cross entropy).
        validation: features and labels, in the same form, that choose among the heads; None: some are held out.
        num_classes: K, where not all classes have an example.
        config: how to train.
        progress: called while training.

    Raises:
        ConfigError: a setting is out of range.
        InputError: shapes that do not fit each other, features that are not finite, or too few examples.
    """
    config = SweepConfig.parse(config or {})
    targets = checked_targets(labels, num_classes)
    choices = _checked_choices(features, len(targets))
    if validation is None:
        train, held = _hold_out(targets, config.hold_out, config.seed)
        held_choices, held_targets = choices, targets
    else:
        held_targets = checked_targets(validation[1], targets.shape[1] if targets.ndim == 2 else num_classes)
        held_choices = _checked_choices(validation[0], len(held_targets))
        train, held = np.flatnonzero(_labelled(targets)), np.flatnonzero(_labelled(held_targets))
    if not len(train) or not len(held) or set(choices) != set(held_choices):
        raise InputError(
            f"{len(train)} examples of {', '.join(choices)} to train on and {len(held)} of {', '.join(held_choices)} "
            "to choose by: some of both, of the same features, are needed"
        )
    classes = num_classes or _count_classes(targets, held_targets)
    settings = [Setting(*pair) for pair in product(config.learning_rates, config.weight_decays)]
    heads = [
        row
        for name, array in choices.items()
        for row in _Training(_Data(array, targets, train), classes, settings, config).validated(
            name, _Data(held_choices[name], held_targets, held), progress
        )
    ]
    best, head = max(heads, key=lambda found: _merit(found[0], targets.ndim == 2))
    if validation is None and config.refit:
        train = np.sort(np.concatenate([train, held]))
        setting = Setting(best.learning_rate, best.weight_decay)
        training = _Training(_Data(choices[best.features], targets, train), classes, [setting], config)
        share = best.step / steps_of(config, len(train) - len(held))
        training.run(0, round(share * training.steps))
        head = training.head(training.heads.layers(0))
    assert head is not None
    rows = tuple(row for row, _ in heads)
    return ProbeSweep(rows=rows, best=best, head=head, examples=len(train), held_out=len(held))


def steps_of(config: SweepConfig, examples: int) -> int:
    """Return how many steps a training takes."""
    return max(config.epochs * math.ceil(examples / config.batch_size), config.min_steps)


def _hold_out(targets: NDArray[Any], share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which examples are learnt from, and which choose; see `nexus.datasets.hold_out`."""
    names = tuple(f"number {number}" for number in range(_count_classes(targets)))
    numbered = LabelledImages(range(len(targets)), targets, names, origin="the training set")  # type: ignore[arg-type]
    train, held = (np.fromiter(part.sources, np.int64) for part in hold_out(numbered, share, seed))
    return train[_labelled(targets)[train]], held


class _Data:
    """Examples: rows of one choice of features, read a batch at a time, and their targets."""

    def __init__(self, features: NDArray[Any], targets: NDArray[Any], rows: NDArray[np.int64]) -> None:
        self.features, self.targets, self.rows = features, targets, rows

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, numbers: NDArray[np.int64] | slice, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return features (B, D) float32 and targets, (B,) int64 or (B, K) float32."""
        rows = self.rows[numbers]
        features = torch.from_numpy(np.asarray(self.features[rows], dtype=np.float32))
        targets = torch.from_numpy(self.targets[rows])
        return features.to(device), (targets.float() if targets.ndim == 2 else targets).to(device)

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation, (D,) each, in float64; 1 for a dimension that never changes."""
        first = self.features[self.rows[0]].astype(np.float64)
        total, squares = np.zeros_like(first), np.zeros_like(first)
        for start in range(0, len(self), SUMMED):
            part = self.features[self.rows[start : start + SUMMED]].astype(np.float64)
            part -= first
            total += part.sum(0)
            squares += np.einsum("nd,nd->d", part, part)
        if not np.isfinite(squares).all():
            raise InputError("the features hold NaN or infinity")
        mean = total / len(self)
        scale = np.sqrt(np.maximum(squares / len(self) - mean**2, 0))
        return first + mean, np.where(scale < 1e-6, 1.0, scale)


class _Training:
    """Heads on the same features: batches in a seeded order, a rate that falls to 0 by a cosine, and validation."""

    def __init__(self, data: _Data, classes: int, settings: Sequence[Setting], config: SweepConfig) -> None:
        self.data, self.config, self.settings = data, config, settings
        self.device, self.steps = resolve_device(config.device), steps_of(config, len(data))
        dims = data.features.shape[1]
        self.mean, self.scale = data.moments() if config.standardize else (np.zeros(dims), np.ones(dims))
        self._shift, self._shrink = _tensor(self.mean, self.device), _tensor(1 / self.scale, self.device)
        self.batch_size = min(config.batch_size, len(data))
        self.heads = _Heads((dims, *config.hidden, classes), settings, config, self.batch_size / 256, self.device)
        self._order = np.zeros(0, np.int64)
        self._ahead = max(1, BLOCK // self.batch_size)  # batches that are fetched and standardised in one go
        self._fetched: tuple[Tensor, ...] = ()

    @torch.inference_mode()
    def run(self, start: int, stop: int) -> None:
        """Take the steps from `start` to before `stop`; they must follow each other."""
        per_epoch = math.ceil(len(self.data) / self.batch_size)
        for step in range(start, stop):
            inputs, targets = self._fetch(*divmod(step, per_epoch))
            factor = 0.5 * (1 + math.cos(math.pi * step / self.steps))
            self.heads.learn(loss_gradient(self.heads.logits(inputs), targets) / len(targets), factor)

    def _fetch(self, epoch: int, place: int) -> tuple[Tensor, ...]:
        """Return a batch of the epoch."""
        if place == 0:
            self._order = generator(self.config.seed, epoch).permutation(len(self.data))
        start, place = self.batch_size * place, place % self._ahead
        if place == 0:
            self._fetched = self._batch(self.data, self._order[start : start + self.batch_size * self._ahead])
        return tuple(values[self.batch_size * place : self.batch_size * (place + 1)] for values in self._fetched)

    def validated(self, name: str, held: _Data, progress: Progress | None) -> list[tuple[ProbeRow, nn.Module]]:
        """Train to the end; return every head as it was when it was best."""
        several = held.targets.ndim == 2
        best: list[tuple[ProbeRow, Layers]] = []
        stops = np.linspace(0, self.steps, min(self.config.evaluations, self.steps) + 1).round().astype(int).tolist()
        for start, stop in pairwise(stops):
            self.run(start, stop)
            rows = [
                ProbeRow(features=name, **setting._asdict(), step=stop, accuracy=accuracy, loss=loss)
                for setting, accuracy, loss in zip(self.settings, *self._score(held))
            ]
            for number, row in enumerate(rows):
                if start == 0:
                    best.append((row, self.heads.layers(number)))
                elif _merit(row, several) > _merit(best[number][0], several):
                    best[number] = row, self.heads.layers(number)
            if progress is not None:
                progress(ProgressEvent(stage=f"probe {name}", done=stop, total=self.steps, unit="steps"))
            since = sum(max(row.step for row, _ in best) < earlier <= stop for earlier in stops)
            if since == self.config.patience:
                break
        return [(row, self.head(layers)) for row, layers in best]

    def head(self, layers: Layers) -> nn.Module:
        """Return one of the heads, with the standardisation folded into its first layer."""
        layers = [(weight.double().cpu(), bias.double().cpu()) for weight, bias in layers]
        first, offset = layers[0]
        first = first / torch.from_numpy(self.scale)[:, None]
        layers[0] = first, offset - torch.from_numpy(self.mean) @ first
        with torch.device("meta"):  # draws no first values: no random number is used up
            head = build_head(len(first), layers[-1][1].numel(), HeadConfig.parse({"hidden": self.config.hidden}))
        linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
        for module, (weight, bias) in zip(linear, layers):
            state = {"weight": weight.T.float().contiguous(), "bias": bias.float()}
            module.load_state_dict(state, assign=True)
        return head

    def _batch(self, data: _Data, numbers: NDArray[np.int64] | slice) -> tuple[Tensor, Tensor]:
        features, targets = data.batch(numbers, self.device)
        return features.sub_(self._shift).mul_(self._shrink), targets

    @torch.inference_mode()
    def _score(self, held: _Data) -> tuple[list[float], list[float]]:
        """Return accuracy and mean loss of each head."""
        right, loss = torch.zeros(2, len(self.settings), dtype=torch.float64, device=self.device)
        for start in range(0, len(held), BLOCK):
            inputs, targets = self._batch(held, slice(start, start + BLOCK))
            logits = self.heads.logits(inputs)
            right += _right(logits, targets).sum(0)
            loss += _losses(logits, targets).sum(0)
        return (right / len(held)).tolist(), (loss / len(held)).tolist()


class _Heads:
    """H stacks of the same linear layers, with SGD. Gradients are written out: there is no graph to build or walk.

    Args:
        widths: of the input, the hidden layers and the output.
        settings: one head each.
        config: momentum, precision and seed.
        scale: what the learning rates are multiplied by.
        device: where.
    """

    def __init__(
        self,
        widths: Sequence[int],
        settings: Sequence[Setting],
        config: SweepConfig,
        scale: float,
        device: torch.device,
    ) -> None:
        self.count, self.momentum, self.narrow = len(settings), config.momentum, config.precision == "bf16"
        self.decaying = any(setting.weight_decay for setting in settings)
        self.rates = _tensor([setting.learning_rate * scale for setting in settings], device)
        self.decays = _tensor([setting.weight_decay for setting in settings], device)
        rng = generator(config.seed)
        # All heads begin as the same one, the last layer at 0: what they come to differ in is their setting alone.
        starts = [rng.normal(0, math.sqrt(2 / a), (a, b)) for a, b in pairwise(widths)]
        starts[-1][:] = 0
        # (D, H, M), so that the first layers are one matrix product; the others are (H, M, M').
        self.weights = [_tensor(start, device).repeat(self.count, 1, 1) for start in starts]
        self.weights[0] = self.weights[0].transpose(0, 1).contiguous()
        self.biases = [torch.zeros(self.count, width, device=device) for width in widths[1:]]
        self._speeds = [(torch.zeros_like(w), torch.zeros_like(b)) for w, b in zip(self.weights, self.biases)]
        self._inputs: list[Tensor] = []

    def logits(self, x: Tensor) -> Tensor:
        """Return (B, H, K) for features (B, D), keeping what `learn` needs."""
        first, *others = zip(self.weights, self.biases)
        self._inputs = [x]
        x = self._product(x, first[0].flatten(1)).view(-1, *first[1].shape) + first[1]
        for weight, bias in others:
            self._inputs.append(x.relu_())
            x = torch.einsum("bhm,hmk->bhk", x, weight) + bias
        return x

    def learn(self, gradient: Tensor, factor: float) -> None:
        """Take a step of SGD with momentum, as `torch.optim.SGD` takes it.

        Args:
            gradient: (B, H, K), of each head's loss with respect to its logits.
            factor: of the learning rates.
        """
        for number in reversed(range(len(self.weights))):
            weight, inputs, below = self.weights[number], self._inputs[number], gradient
            if number:
                slope = torch.einsum("bhm,bhk->hmk", inputs, gradient)
                below = torch.einsum("bhk,hmk->bhm", gradient, weight) * (inputs > 0)
                column = (-1, 1, 1)
            else:
                slope = self._product(inputs.T, gradient.flatten(1)).view_as(weight)
                column = (1, -1, 1)
            if self.decaying:
                slope = slope.addcmul_(weight, self.decays.view(column))
            speeds = self._speeds[number]
            speeds[0].mul_(self.momentum).add_(slope)
            speeds[1].mul_(self.momentum).add_(gradient.sum(0))
            weight.addcmul_(speeds[0], self.rates.view(column), value=-factor)
            self.biases[number].addcmul_(speeds[1], self.rates[:, None], value=-factor)
            gradient = below

    def layers(self, number: int) -> Layers:
        """Return a copy of weight (M, M') and bias (M') of each layer of one head."""
        weights = [self.weights[0][:, number], *(weight[number] for weight in self.weights[1:])]
        return [(weight.clone(), bias[number].clone()) for weight, bias in zip(weights, self.biases)]

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.bfloat16() @ b.bfloat16()).float() if self.narrow else a @ b


def _softmax(logits: Tensor) -> Tensor:
    """Return the softmax over the last axis. PyTorch's goes row by row, and a few classes do not fill a vector unit."""
    if logits.shape[-1] > FEW_CLASSES:
        return logits.softmax(-1)
    powers = (logits - logits.amax(-1, keepdim=True)).exp_()
    return powers.div_(powers.sum(-1, keepdim=True))


def loss_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the gradient (B, H, K) of every example's cross entropy with respect to its logits.

    Args:
        logits: (B, H, K).
        targets: (B,) class numbers, or (B, K) of 0 and 1: binary cross entropy, summed over the classes.
    """
    if targets.ndim == 2:
        return logits.sigmoid().sub_(targets[:, None])
    gradient = _softmax(logits)
    places = targets[:, None, None].expand(-1, logits.shape[1], 1)
    return gradient.scatter_add_(2, places, gradient.new_full((1, 1, 1), -1).expand_as(places))


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, H): the cross entropy of every example in every head."""
    if targets.ndim == 2:
        wanted = targets[:, None].expand_as(logits)
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(2)
    return F.cross_entropy(logits.transpose(1, 2), targets[:, None].expand(logits.shape[:2]), reduction="none")


def _right(logits: Tensor, targets: Tensor) -> Tensor:
    """(B, H): whether the class is found; with several classes, the share of right answers."""
    if targets.ndim == 2:
        return ((logits > 0) == (targets[:, None] > 0)).double().mean(2)
    return (logits.argmax(2) == targets[:, None]).double()


def _merit(row: ProbeRow, several: bool) -> tuple[float, float]:
    return (0.0 if several else row.accuracy, -row.loss)


def _tensor(values: Any, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32)).to(device)


def _labelled(targets: NDArray[Any]) -> NDArray[np.bool_]:
    return np.ones(len(targets), dtype=bool) if targets.ndim == 2 else targets >= 0


def checked_targets(labels: ArrayLike, num_classes: int | None) -> NDArray[Any]:
    """Return (N,) int64 or (N, K) bool.

    Raises:
        InputError: another shape, or a class number that is out of range.
    """
    targets = np.asarray(labels)
    targets = targets.astype(bool if targets.ndim == 2 else np.int64)
    if targets.ndim not in (1, 2):
        raise InputError(f"labels of shape {targets.shape}: (N,) class numbers or (N, K) bool is needed")
    known = targets.shape[1] if targets.ndim == 2 else int(targets.max(initial=-1)) + 1
    if num_classes is not None and (known > num_classes or (targets.ndim == 2 and known != num_classes)):
        raise InputError(f"the labels have {known} classes, not num_classes = {num_classes}")
    return targets


def _checked_choices(features: ArrayLike | Mapping[str, ArrayLike], count: int) -> dict[str, NDArray[Any]]:
    choices = features if isinstance(features, Mapping) else {"features": features}
    arrays = {name: np.asanyarray(array) for name, array in choices.items()}
    for name, array in arrays.items():
        if array.ndim != 2 or len(array) != count:
            raise InputError(f"{name} of shape {array.shape}: ({count}, D) is needed, one row per label")
    return arrays


def _count_classes(*targets: NDArray[Any]) -> int:
    return max(one.shape[1] if one.ndim == 2 else int(one.max()) + 1 for one in targets)
