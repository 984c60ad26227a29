"""DINOv2's evaluation protocols: what frozen features are worth, in figures that can be compared with published ones.

M. Oquab et al. (2023, arXiv:2304.07193); the defaults are those of the authors' code (``facebookresearch/dinov2``,
dinov2/eval/knn.py and linear.py). As there, the setting is chosen on the very pictures that it is scored on, and all
settings are shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nexus.datasets.labelled import LabelledImages
from nexus.datasets.splits import Splits, align_classes, check_classes
from nexus.engines.predictor import Predictor
from nexus.errors import ConfigError, InputError
from nexus.evaluation.evaluator import MISTAKES, Tally, nothing_read, with_labels
from nexus.evaluation.feature_cache import FeatureCache
from nexus.evaluation.knn import KNNClassifier
from nexus.evaluation.probe_sweep import DINOV2_RATES, ProbeRow, SweepConfig, steps_of, sweep_probes
from nexus.models.base import NexusModule
from nexus.results import EvaluateResult, Progress, ProtocolRow, Skipped
from nexus.types import ModelOutput

__all__ = ["LINEAR", "NEIGHBOURS", "LastBlocks", "evaluate_knn", "evaluate_linear"]

NEIGHBOURS = (10, 20, 100, 200)
TEMPERATURE = 0.07

BLOCKS = (1, 4)
"""Class tokens of how many of the last blocks a linear layer reads."""

LINEAR = SweepConfig(
    learning_rates=DINOV2_RATES,
    epochs=10,
    min_steps=500,
    batch_size=1024,
    evaluations=1,
    patience=None,
    standardize=False,
    refit=False,
)
"""The linear evaluation's training: the authors' 12,500 steps of 1,024 pictures are ten epochs of ImageNet-1k."""

QUERIES = 4_096
LEAST = 1e-12
"""Instead of a probability of 0, which has no logarithm."""


def evaluate_knn(
    predictor: Predictor,
    data: LabelledImages,
    train: LabelledImages,
    *,
    neighbours: Sequence[int] = NEIGHBOURS,
    temperature: float = TEMPERATURE,
    mistakes: int = MISTAKES,
    progress: Progress | None = None,
) -> EvaluateResult:
    """Score the features of a model by a vote of the nearest labelled ones; see `KNNClassifier`.

    Args:
        predictor: of the model; features are kept on disk (`FeatureCache`).
        data: what is scored.
        train: what votes.
        neighbours: how many vote, each tried; of those that are more than there are, only all.
        temperature: of the votes.
        mistakes: how many of the worst mistakes to keep.
        progress: called after every batch.

    Returns:
        All about the number of neighbours with the highest accuracy, the accuracy of each, and no `loss`: a class may
        have no vote at all.

    Raises:
        InputError: pictures of several classes, no picture can be read, or `data` has a class that `train` has not.
        ConfigError: no number of neighbours, or one that is not positive.
    """
    start = time.perf_counter()
    if not neighbours or min(neighbours) < 1:
        raise ConfigError(f"neighbours = {tuple(neighbours)}: numbers above 0 are needed")
    if train.multi_label:
        raise InputError(
            f"{train.origin} has pictures of several classes, which the protocol linear takes, and knn does not"
        )
    both = _Features(predictor, data, train, progress)
    names = [both.train.classes[target] for target in both.train.targets[both.known_numbers]]
    classifier = KNNClassifier(temperature=temperature).fit(both.known, names)
    columns = [both.train.classes.index(name) for name in classifier.classes]
    most = len(names)
    tallies = {k: Tally(both.data, mistakes=mistakes) for k in sorted({min(k, most) for k in neighbours})}
    for block in both.blocks():
        cosine, classes = classifier.nearest(both.asked[block], max(tallies))
        for k, tally in tallies.items():
            votes = np.full((len(cosine), len(both.train.classes)), LEAST)
            votes[:, columns] = np.maximum(classifier.vote(cosine[:, :k], classes[:, :k]), LEAST)
            tally.update(both.numbers[block], np.log(votes))
    results = {f"k = {k}": tally.result(protocol="knn", model=predictor.name) for k, tally in tallies.items()}
    best = max(results, key=lambda setting: results[setting].top1 or 0)
    rows = [ProtocolRow(setting=name, top1=one.top1 or 0, top5=one.top5) for name, one in results.items()]
    few = f"{most} labelled pictures to compare with, so at most so many neighbours" if max(neighbours) > most else ""
    return results[best].model_copy(update={"loss": None, **both.described(rows, best, few, since=start)})


def evaluate_linear(
    predictor: Predictor,
    data: LabelledImages,
    train: LabelledImages,
    *,
    blocks: Sequence[int] = BLOCKS,
    config: SweepConfig = LINEAR,
    mistakes: int = MISTAKES,
    progress: Progress | None = None,
) -> EvaluateResult:
    """Score the features of a model by linear layers on them, one for each learning rate and choice of features.

    The features are the class tokens of the last blocks, each after the final norm, with and without the mean of the
    patch tokens; of a model without these, its embeddings. Unlike in the authors' code, pictures are looked at once, in
    the middle, not in random crops, so that their features are computed once; and the number of steps follows from that
    of the pictures.

    Args:
        predictor: of the model; features are kept on disk (`FeatureCache`).
        data: what is scored.
        train: what the layers learn from. Its pictures may have several classes each.
        blocks: of how many of the last blocks the class tokens are read, each tried.
        config: how the layers are trained.
        mistakes: how many of the worst mistakes to keep.
        progress: called while features are made and layers trained.

    Returns:
        All about the layer with the highest accuracy, and the accuracy of each.

    Raises:
        InputError: no picture can be read, or `data` has a class that `train` has not.
        ConfigError: no number of blocks, or one that is not positive.
    """
    start = time.perf_counter()
    if not blocks or min(blocks) < 1:
        raise ConfigError(f"blocks = {tuple(blocks)}: numbers above 0 are needed")
    model = LastBlocks.of(predictor, max(blocks))
    reader = predictor if model is None else predictor.like(model=model)
    both = _Features(reader, data, train, progress)
    choices = {"embeddings": slice(None)} if model is None else model.choices(blocks)
    swept = sweep_probes(
        {name: both.known[:, columns] for name, columns in choices.items()},
        both.train.targets[both.known_numbers],
        validation=(
            {name: both.asked[:, columns] for name, columns in choices.items()},
            both.data.targets[both.numbers],
        ),
        num_classes=len(both.train.classes),
        config=config,
        progress=progress,
    )
    tally = Tally(both.data, mistakes=mistakes)
    for block in both.blocks():
        inputs = torch.from_numpy(np.array(both.asked[block, choices[swept.best.features]]))
        with torch.inference_mode():
            tally.update(both.numbers[block], swept.head(inputs).numpy())
    rows = [ProtocolRow(setting=_setting(row), top1=row.accuracy) for row in swept.rows]
    steps = f"{steps_of(config, swept.examples):,} steps (12,500 in the paper, on ImageNet), one crop of each picture"
    without = f"{predictor.name} has no class tokens of blocks; its embeddings were read" if model is None else ""
    described = both.described(rows, _setting(swept.best), without, steps, since=start)
    return tally.result(protocol="linear", model=predictor.name, **described)


class LastBlocks(NexusModule):
    """A plain vision transformer of which the last blocks are read.

    `embeddings` (B, (L + 1) D) are the class tokens behind its last L blocks, in order, each after the final norm, and
    then the mean of the patch tokens.

    Args:
        model: with a final `norm` and class tokens in its outputs' `aux`.
        count: L.
    """

    def __init__(self, model: NexusModule, count: int) -> None:
        super().__init__({"last_blocks": count, "of": repr(model.config)})
        self.model, self.count = model, count
        self.preprocess, self.variant = model.preprocess, model.variant
        self.head = nn.Identity()

    @classmethod
    def of(cls, predictor: Predictor, count: int) -> LastBlocks | None:
        """Return it for a predictor's model, or None where the model is not such a transformer."""
        model = predictor.model
        norm = getattr(model, "norm", None)
        found = predictor(torch.zeros(1, 3, *predictor.preprocess.size))
        states = found.get("aux", {}).get("prefix_tokens", [])
        if not isinstance(norm, nn.LayerNorm) or not states or "tokens" not in found:
            return None
        with torch.inference_mode():
            last = norm(states[-1][:, 0])
        same = torch.allclose(last, found["embeddings"][:, : last.shape[1]], atol=1e-4)
        return cls(model, min(count, len(states))) if same else None

    def choices(self, blocks: Sequence[int]) -> dict[str, slice]:
        """Return the columns of `embeddings` that make up each choice of features: a view of them, never a copy."""
        (width,), found = self.model.norm.normalized_shape, {}  # type: ignore[union-attr, misc]
        for n in sorted({min(n, self.count) for n in blocks}):
            first, name = (self.count - n) * width, f"{n} block{'s' if n > 1 else ''}"
            found[name] = slice(first, self.count * width)
            found[f"{name} + patches"] = slice(first, (self.count + 1) * width)
        return found

    def forward(self, images: Tensor, *, outputs: Sequence[str] | None = None) -> ModelOutput:
        """Return `embeddings` of images (B, 3, H, W)."""
        self.wanted(outputs)
        found = self.model(images, outputs=("aux", "tokens"))
        states: list[Tensor] = found["aux"]["prefix_tokens"][-self.count :]
        tokens = [self.model.norm(state[:, 0]) for state in states]  # type: ignore[operator]
        return {"embeddings": torch.cat([*tokens, found["tokens"].mean(1)], dim=-1)}


class _Features:
    """Features of what is scored and of what is learned from, with the same classes.

    Attributes:
        predictor: what made the features.
        data, train: the pictures; `data` has the classes of `train`.
        asked, known: (N, D) and (M, D) their features, of those that could be read and have a label.
        numbers, known_numbers: (N,) and (M,) which pictures these are.
        notes: what is odd about the pictures.
        skipped: what could not be read.
    """

    def __init__(
        self, predictor: Predictor, data: LabelledImages, train: LabelledImages, progress: Progress | None
    ) -> None:
        self.predictor, self.train = predictor, train
        self.data = align_classes(data, train.classes, multi_label=train.multi_label)
        self.notes = check_classes(Splits(self.train, self.data))
        cache = FeatureCache(predictor)
        self.known, self.known_numbers, bad = _read(cache, self.train, progress)
        self.asked, self.numbers, worse = _read(cache, self.data, progress)
        self.skipped = bad + worse

    def blocks(self) -> Iterator[slice]:
        """Give the rows of `asked`, some at a time."""
        for start in range(0, len(self.asked), QUERIES):
            yield slice(start, start + QUERIES)

    def described(self, rows: Sequence[ProtocolRow], setting: str, *notes: str, since: float) -> dict[str, Any]:
        """Return what a result says beside the figures of its best setting; `notes` follow those on the pictures."""
        return {
            "settings": tuple(rows),
            "setting": setting,
            "notes": tuple(filter(None, (*self.notes, *notes, _chosen(len(rows))))),
            "skipped": self.skipped,
            "engine": self.predictor.engine_name,
            "seconds": time.perf_counter() - since,
        }


def _read(
    cache: FeatureCache, data: LabelledImages, progress: Progress | None
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[Skipped, ...]]:
    labelled = with_labels(data)
    found = cache.features(data.subset(labelled), progress=progress)
    if not len(found.kept):
        raise nothing_read(data, found.skipped)
    return found.rows, labelled[found.kept], found.skipped


def _setting(row: ProbeRow) -> str:
    return f"{row.features}, lr {row.learning_rate:g}"


def _chosen(settings: int) -> str:
    if settings == 1:
        return ""
    return f"the best of {settings} settings was chosen on the pictures that it is scored on, as DINOv2 does"
