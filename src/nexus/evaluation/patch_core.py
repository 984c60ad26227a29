"""PatchCore: what is odd about a picture, from normal pictures alone.

Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection" (arXiv:2106.08265). A memory bank holds what
patches of normal pictures look like to a network; a patch of another picture is as odd as it is far from all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor

from nexus._files import write_file
from nexus._seeds import generator
from nexus.config import Config
from nexus.engines.predictor import Batch, Predictor
from nexus.errors import InputError, WeightsError
from nexus.evaluation.coreset import coreset
from nexus.models.base import NexusModule
from nexus.results import Progress, ProgressEvent
from nexus.retrieval import ann
from nexus.transforms.decode import Decoded
from nexus.transforms.image import ImageLike
from nexus.transforms.preprocess import PreprocessSpec

__all__ = [
    "Bank",
    "Calibration",
    "PatchCore",
    "PatchCoreConfig",
    "Scored",
    "heat_maps",
    "image_score",
    "locally_aware",
    "nearest",
    "whole_picture",
]

Vectors = NDArray[np.float32]
OnSkip = Callable[[Sequence[Decoded]], object]

STRIDES = (8, 16)
"""Maps that PatchCore reads of a hierarchical network: stages 2 and 3 of a ResNet (section 3.1)."""

GRID = 32
"""Patches along a side. With patches of 14 pixels that is the resolution of AnomalyDINO, 448 pixels; PatchCore has 28
with a ResNet."""

BLOCK = 65_536
"""Patches that a coreset is chosen from at once, 64 pictures at `GRID`: this bounds the memory and the time."""

CALIBRATED = 64
"""Normal pictures, at most, whose scores against the others give the threshold."""

SIGMAS = 3.0
"""Standard deviations above the mean at which something is odd, as on a control chart (Shewhart 1931)."""

VERSION = "1"
"""Of the files that hold banks."""


class PatchCoreConfig(Config):
    """How patches are described, remembered and compared. The defaults are the paper's where it states them.

    Attributes:
        layers: outputs of the model that hold maps, finest first, e.g. ``("pyramid.8", "pyramid.16")``,
            ``("features.7",)``; see `Predictor.stream`. Empty: maps of stride 8 and 16, or, of a plain ViT, the final
            patch tokens, which AnomalyDINO compares (Damm et al. 2024, arXiv:2405.14529).
        coreset: share of the patches that the bank keeps (section 3.2: 1, 10 or 25 %).
        dims: channels of a patch, at most: more are averaged down, to equally many of each map (1024 in the authors'
            code).
        neighbourhood: side of the window over which neighbouring patches are averaged (section 3.1); 1: none.
        neighbours: how many neighbours of the nearest patch re-weight a picture's score (b of equation 7; 9 in
            anomalib); 1: the score is the distance itself.
        projection: dimensions in which the coreset is chosen (128 in the authors' code).
        sigma: deviation of the Gaussian that smooths a heat map, in pixels of the model's input (section 3.3).
        seed: of the coreset and of the choice of calibration pictures.
    """

    layers: tuple[str, ...] = ()
    coreset: Annotated[float, Field(gt=0, le=1)] = 0.1
    dims: PositiveInt | None = 1024
    neighbourhood: PositiveInt = 3
    neighbours: PositiveInt = 9
    projection: PositiveInt = 128
    sigma: Annotated[float, Field(ge=0)] = 4.0
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("neighbourhood")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that a window has a middle")
        return value


class Calibration(Config):
    """What normal pictures score, each against a bank without its own patches.

    Attributes:
        scores: of each picture.
        peaks: largest value of each heat map.
        typical: median of the distances of all patches.
    """

    scores: tuple[float, ...]
    peaks: tuple[float, ...]
    typical: float

    @property
    def threshold(self) -> float:
        """Score from which on a picture is odd: three standard deviations above the mean of the normal ones."""
        return _limit(self.scores)

    @property
    def map_threshold(self) -> float:
        """The same for the peak of a heat map: what reaches it is odd."""
        return _limit(self.peaks)

    @property
    def colours(self) -> tuple[float, float]:
        """Values at the two ends of a heat map's colours: normal patches are dark, the threshold is in the middle."""
        return self.typical, max(2 * self.map_threshold - self.typical, self.typical + 1e-6)


def _limit(values: Sequence[float]) -> float:
    return float(np.mean(values) + SIGMAS * np.std(values, ddof=1))


class Bank(Config):
    """What is known of a memory bank beside its patches.

    Attributes:
        model, weights: name and digest of the model.
        preprocess: how pictures were shown to it.
        config: how the bank was made.
        layers: where the patches were taken.
        pictures, seen: how many normal pictures there were, and patches in them.
        aspect: width over height of the normal pictures, their median.
        calibration: what the normal pictures score themselves.
    """

    model: str
    weights: str
    preprocess: PreprocessSpec
    config: PatchCoreConfig
    layers: tuple[str, ...]
    pictures: int
    seen: int
    aspect: float
    calibration: Calibration

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read this part of a file that `PatchCore.save` wrote: it says which model to load.

        Raises:
            WeightsError: it is no such file.
        """
        return cls._described(path, _read(path)[0])

    @classmethod
    def _described(cls, path: str | Path, head: Mapping[str, str]) -> Self:
        if head.get("nexus_patch_core") != VERSION:
            raise WeightsError(f"{path} is no memory bank of this version; `nexus anomaly --save` writes one")
        return cls.parse(json.loads(head["bank"]))


class Scored(NamedTuple):
    """A batch of pictures, judged.

    Attributes:
        batch: which pictures they are.
        scores: (B,) how odd each is, from 0; a distance of features, so it means something within one bank only.
        grids: (B, h, w) how far each patch is from the nearest normal one.
        maps: (B, H, W) the same for each pixel of the model's input, smoothed.
    """

    batch: Batch
    scores: NDArray[np.float32]
    grids: NDArray[np.float32]
    maps: NDArray[np.float32]


class PatchCore:
    """Finds what is odd in pictures by a memory of normal ones. Fit it on those, then let it score others.

    Args:
        predictor: runs the network. It should see whole pictures (`whole_picture`): what a crop leaves out is not
            judged.
        config: values of `PatchCoreConfig`.

    Attributes:
        layers: where patches are taken.
        bank: what was learnt; None before `fit`.
        patches: (M, D) of normal pictures, the memory itself.
    """

    def __init__(self, predictor: Predictor, config: PatchCoreConfig | Mapping[str, Any] | None = None) -> None:
        self.predictor = predictor
        self.config = PatchCoreConfig.parse(config or {})
        self.layers = self.config.layers or tuple(f"pyramid.{stride}" for stride in _strides(predictor.model))
        self.bank: Bank | None = None
        self.patches: Vectors = np.zeros((0, 0), np.float32)

    def fit(
        self,
        pictures: Iterable[ImageLike],
        *,
        name: str | None = None,
        total: int | None = None,
        progress: Progress | None = None,
        on_skip: OnSkip | None = None,
    ) -> Self:
        """Remember what normal pictures look like.

        The memory that this takes is that of the bank and of about 130 pictures' patches, however many there are: the
        coreset is chosen from 64 pictures at a time. Each patch is then as near to the bank as it is to the coreset of
        its own block.

        Args:
            pictures: normal ones, two or more, in any form that the predictor takes.
            name: what loads the model again, where that is not its name.
            total: how many there are, where `pictures` has no length.
            progress: called after every batch and block.
            on_skip: called with pictures that cannot be read. None: the first one raises.

        Raises:
            InputError: fewer than two pictures could be read.
            ImageError: a picture cannot be read, and `on_skip` is None.
        """
        memory = _Memory(self.config, progress)
        aspects: list[float] = []
        for batch, patches in self._batches(pictures, "read normal pictures", total, progress, on_skip):
            memory.add(patches)
            aspects += [one.size[0] / one.size[1] for one in batch.decoded if one.size]
        if memory.pictures < 2:
            raise InputError(
                f"two normal pictures or more are needed to tell what is odd, {memory.pictures} could be read"
            )
        self.patches, owners = memory.finish()
        self.bank = Bank(
            model=name or self.predictor.name,
            weights=self.predictor.digest(),
            preprocess=self.predictor.preprocess,
            config=self.config,
            layers=self.layers,
            pictures=memory.pictures,
            seen=memory.seen,
            aspect=float(np.median(aspects)) if aspects else 1.0,
            calibration=self._calibrate(owners, memory.sample, progress),
        )
        return self

    def stream(
        self,
        pictures: Iterable[ImageLike],
        *,
        total: int | None = None,
        progress: Progress | None = None,
        on_skip: OnSkip | None = None,
    ) -> Iterator[Scored]:
        """Judge any number of pictures, in order, a batch at a time.

        Args:
            pictures, total, progress, on_skip: as for `fit`.

        Raises:
            InputError: not fitted.
            ImageError: a picture cannot be read, and `on_skip` is None.
        """
        self._fitted()
        for batch, patches in self._batches(pictures, "look for oddities", total, progress, on_skip):
            yield Scored(batch, *self._judge(patches, self.patches))

    def score(self, pictures: Iterable[ImageLike]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Judge a few pictures at once; `stream` is for more than fit into memory.

        Returns:
            (N,) scores and (N, H, W) heat maps, as in `Scored`.

        Raises:
            InputError: not fitted, or there is no picture.
            ImageError: a picture cannot be read.
        """
        found = list(self.stream(pictures))
        if not found:
            raise InputError("there is no picture to judge")
        return np.concatenate([one.scores for one in found]), np.concatenate([one.maps for one in found])

    def save(self, path: str | Path) -> None:
        """Write the bank and all that it depends on to one safetensors file.

        Raises:
            InputError: not fitted.
        """
        from safetensors.numpy import save

        head = {"nexus_patch_core": VERSION, "bank": json.dumps(self._fitted().to_dict())}
        write_file(Path(path), save({"patches": self.patches}, head))

    @classmethod
    def load(cls, path: str | Path, predictor: Predictor) -> Self:
        """Read what `save` wrote.

        Args:
            path: the file.
            predictor: of the same weights and preprocessing; `Bank.read` says which.

        Raises:
            WeightsError: it is no such file, or was made with other weights or another preprocessing.
        """
        head, patches = _read(path)
        bank = Bank._described(path, head)
        _require_same(path, bank, "weights", bank.weights, predictor.digest())
        _require_same(path, bank, "preprocessing", bank.preprocess.digest(), predictor.preprocess.digest())
        loaded = cls(predictor, bank.config.replace(layers=bank.layers))
        loaded.bank, loaded.patches = bank, patches
        return loaded

    def _fitted(self) -> Bank:
        if self.bank is None:
            raise InputError("PatchCore has seen no normal pictures yet; call fit first")
        return self.bank

    def _batches(
        self,
        pictures: Iterable[ImageLike],
        stage: str,
        total: int | None,
        progress: Progress | None,
        on_skip: OnSkip | None,
    ) -> Iterator[tuple[Batch, Vectors]]:
        """Give the patches (B, h, w, D) of every batch in which a picture could be read."""
        for batch in self.predictor.stream(pictures, self.layers, total=total, progress=progress, stage=stage):
            if batch.skipped and on_skip is None:
                assert batch.skipped[0].error is not None
                raise batch.skipped[0].error
            if batch.skipped and on_skip is not None:
                on_skip(batch.skipped)
            if batch.indices:
                maps = [_map_of(batch.outputs[layer], layer) for layer in self.layers]
                yield batch, locally_aware(maps, self.config.neighbourhood, self.config.dims).numpy()

    def _judge(self, patches: Vectors, bank: Vectors) -> tuple[NDArray[np.float32], NDArray[np.float32], Vectors]:
        """Return scores (B,), distances (B, h, w) and heat maps (B, H, W) of patches (B, h, w, D)."""
        count, rows, columns, dims = patches.shape
        flat = patches.reshape(count, rows * columns, dims)
        far, rows_of = nearest(flat.reshape(-1, dims), bank)
        distances, places = far.reshape(count, -1), rows_of.reshape(count, -1)
        scores = [
            image_score(own, distance, place, bank, self.config.neighbours)
            for own, distance, place in zip(flat, distances, places, strict=True)
        ]
        grids = far.reshape(count, rows, columns)
        maps = heat_maps(grids, self.predictor.preprocess.size, self.config.sigma)
        return np.array(scores, dtype=np.float32), grids, maps

    def _calibrate(
        self, owners: NDArray[np.int64], sample: Sequence[tuple[int, Vectors]], progress: Progress | None
    ) -> Calibration:
        """Judge normal pictures by what the bank has of others."""
        scores, peaks, distances = [], [], []
        for done, (picture, patches) in enumerate(sample, 1):
            others = self.patches[owners != picture]
            if len(others):
                found, grids, maps = self._judge(patches[None], others)
                scores.append(float(found[0]))
                peaks.append(float(maps.max()))
                distances.append(grids)
            if progress is not None:
                progress(ProgressEvent(stage="find the threshold", done=done, total=len(sample)))
        if len(scores) < 2:
            raise InputError(
                f"coreset = {self.config.coreset}: that leaves {len(owners)} patches of {len(sample)} pictures, too "
                "few to compare these with each other; keep a larger share"
            )
        return Calibration(scores=tuple(scores), peaks=tuple(peaks), typical=float(np.median(distances)))


def _read(path: str | Path) -> tuple[dict[str, str], Vectors]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            patches = file.get_tensor("patches") if "patches" in file.keys() else np.zeros((0, 0), np.float32)  # noqa: SIM118
            return file.metadata() or {}, patches
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"{path} cannot be read as a memory bank ({error}); name a file that `nexus anomaly --save` wrote"
        ) from error


def _require_same(path: str | Path, bank: Bank, what: str, theirs: str, ours: str) -> None:
    if theirs != ours:
        raise WeightsError(
            f"{path} was made with {bank.model}, {what} {theirs[:12]}; the model here has {what} {ours[:12]}, and "
            "distances between the two mean nothing. Load that model with that preprocessing, or make the bank anew"
        )


class _Memory:
    """Takes patches as they come, and keeps of each block of pictures a coreset."""

    def __init__(self, config: PatchCoreConfig, progress: Progress | None) -> None:
        self.config, self._progress = config, progress
        self.pictures, self.seen = 0, 0
        self.sample: list[tuple[int, Vectors]] = []  # (picture, its patches): each picture is as likely in it
        self._rng = generator(config.seed)
        self._waiting: list[Vectors] = []
        self._kept: list[Vectors] = []
        self._owners: list[NDArray[np.int64]] = []

    def add(self, patches: Vectors) -> None:
        """Take the patches (B, h, w, D) of some pictures."""
        for picture in patches:
            self._draw(picture)
            self._waiting.append(picture)
            self.pictures += 1
            self.seen += picture[..., 0].size
            if len(self._waiting) * picture[..., 0].size >= BLOCK:
                self._reduce()

    def finish(self) -> tuple[Vectors, NDArray[np.int64]]:
        """Return the bank (M, D), and the number of the picture that each of its patches is from."""
        if self._waiting:
            self._reduce()
        return np.concatenate(self._kept), np.concatenate(self._owners)

    def _draw(self, picture: Vectors) -> None:
        """Reservoir sampling (Vitter 1985, algorithm R). A copy, or its whole batch would stay in memory."""
        if len(self.sample) < CALIBRATED:
            self.sample.append((self.pictures, picture.copy()))
        elif (place := int(self._rng.integers(self.pictures + 1))) < CALIBRATED:
            self.sample[place] = (self.pictures, picture.copy())

    def _reduce(self) -> None:
        pictures = np.stack(self._waiting)
        block = pictures.reshape(-1, pictures.shape[-1])
        first = self.pictures - len(pictures)
        owners = np.repeat(np.arange(first, self.pictures), len(block) // len(pictures))
        count = max(1, round(self.config.coreset * len(block)))
        chosen = np.sort(coreset(block, count, dims=self.config.projection, seed=self.config.seed))
        self._kept.append(block[chosen])
        self._owners.append(owners[chosen])
        self._waiting.clear()
        if self._progress is not None:
            self._progress(ProgressEvent(stage="remember", done=self.seen, unit="patches"))


def whole_picture(model: NexusModule, side: int | None = None) -> PreprocessSpec:
    """Return the spec with which a model sees all of a picture, stretched to a square.

    Args:
        model: any with maps.
        side: of its input in pixels; by default such that there are 32 x 32 patches: AnomalyDINO's resolution, and
            about PatchCore's for a ResNet.

    Raises:
        InputError: the model gives no maps.
    """
    side = side or GRID * min(_strides(model))
    return model.preprocess.replace(resize=(side, side), crop=None)


def _strides(model: NexusModule) -> tuple[int, ...]:
    """Strides of the maps that are read: `STRIDES`, or the coarsest there is (a plain ViT has one)."""
    parameter = next(model.parameters())
    with torch.inference_mode():
        black = parameter.new_zeros(1, 3, *model.preprocess.size)
        pyramid = model(black, outputs=("pyramid",)).get("pyramid")
    if not pyramid:
        raise InputError(f"{type(model).__name__} gives no maps of features, which patches are taken from")
    return tuple(stride for stride in STRIDES if stride in pyramid) or (max(pyramid),)


def _map_of(output: Any, layer: str) -> Tensor:
    if not isinstance(output, np.ndarray) or output.ndim != 4:
        raise InputError(
            f"layers: {layer!r} is no map (B, C, h, w). Say e.g. 'pyramid.8' or 'features.5', one map each"
        )
    return torch.from_numpy(output)


def locally_aware(maps: Sequence[Tensor], neighbourhood: int = 3, dims: int | None = None) -> Tensor:
    """Make one patch vector of what several maps say about a place and its neighbours (section 3.1).

    Each map is averaged over windows (zeros stand beyond its border, as in the authors' code), coarser ones are
    interpolated to the first one's places, and all are concatenated.

    Args:
        maps: (B, C_i, h_i, w_i) each, the finest first.
        neighbourhood: side of the windows, odd.
        dims: channels at most; each map's share is ``dims // len(maps)``, to which more channels are averaged.

    Returns:
        (B, h, w, D), contiguous.
    """
    places = maps[0].shape[-2:]
    parts = []
    for one in maps:
        pooled = F.avg_pool2d(one.float(), neighbourhood, stride=1, padding=neighbourhood // 2)
        if pooled.shape[-2:] != places:
            pooled = F.interpolate(pooled, size=places, mode="bilinear")
        vectors = pooled.permute(0, 2, 3, 1)
        share = None if dims is None else max(1, dims // len(maps))
        if share is not None and vectors.shape[-1] > share:
            vectors = F.adaptive_avg_pool1d(vectors.flatten(0, 2), share).view(*vectors.shape[:3], share)
        parts.append(vectors)
    return torch.cat(parts, dim=-1).contiguous()


def nearest(patches: Vectors, bank: Vectors, k: int = 1) -> tuple[Vectors, NDArray[np.int64]]:
    """Find the rows of a bank that are nearest to each patch.

    Args:
        patches: (N, D).
        bank: (M, D).
        k: how many, 1..M.

    Returns:
        (N, k) L2 distances and rows, nearest first.
    """
    library = ann.faiss()
    _, rows = library.knn(patches, bank, k, metric=library.METRIC_L2)
    return ann.distances(patches, bank, rows), rows


def image_score(patches: Vectors, distances: Vectors, rows: NDArray[np.int64], bank: Vectors, neighbours: int) -> float:
    """Score a picture by its oddest patch (equations 6 and 7).

    The distance counts the more the farther the patch also is from the neighbours of what is nearest to it in the bank:
    what is near to something rare among the normal is odder than what is near to something common.

    Args:
        patches: (n, D) of one picture.
        distances, rows: (n,) of what is nearest to each.
        bank: (M, D).
        neighbours: b, the neighbours of the nearest that are looked at, itself included; 1: no weight.
    """
    oddest = int(distances.argmax())
    score, b = float(distances[oddest]), min(neighbours, len(bank))
    if b == 1:
        return score
    _, around = nearest(bank[rows[oddest]][None], bank, b)
    far = ann.distances(patches[oddest][None], bank, around)[0].astype(np.float64)
    return float(score * (1 - 1 / np.exp(far - score).sum()))


def heat_maps(distances: NDArray[np.float32], size: tuple[int, int], sigma: float) -> NDArray[np.float32]:
    """Spread the distances of patches over the pixels (section 3.3): interpolated, then smoothed by a Gaussian.

    Args:
        distances: (B, h, w).
        size: (H, W) of the model's input.
        sigma: deviation in pixels; the Gaussian is cut off at four of them, and mirrored at the border.

    Returns:
        (B, H, W).
    """
    maps = F.interpolate(torch.from_numpy(distances)[:, None], size=size, mode="bilinear")
    radius = min(round(4 * sigma), min(size) - 1)
    if radius > 0:
        steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
        window = torch.exp(-0.5 * (steps / sigma) ** 2)
        window /= window.sum()
        padded = F.pad(maps, (radius,) * 4, mode="reflect")
        maps = F.conv2d(F.conv2d(padded, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
    return np.ascontiguousarray(maps[:, 0].numpy())
