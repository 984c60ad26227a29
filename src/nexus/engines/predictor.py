"""`Predictor`: images in any form in, typed results out, with the weights kept loaded.

Decoding runs in other processes, the forward pass in a thread, and the caller's own work between two batches beside
both. What waits between them is bounded, so memory does not grow with the number of images.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from nexus import registry
from nexus._closing import Closing
from nexus._system import usable_cores
from nexus.assets import load_counts
from nexus.engines.auto import Choice, Runner, Selector
from nexus.engines.base import Outputs
from nexus.errors import ConfigError, InputError
from nexus.models.base import NexusModule
from nexus.models.image_text import ImageTextModule
from nexus.models.loading import load_model
from nexus.results import Classification, Embeddings, Prediction, Progress, ProgressEvent, Skipped
from nexus.transforms.decode import Decoded, Decoder
from nexus.transforms.image import EncodedImage, ImageLike, Limits, is_in_memory
from nexus.transforms.preprocess import PreprocessSpec
from nexus.types import ModelOutput

__all__ = ["Batch", "Predictor", "load"]

Pooling = Literal["cls", "mean", "patch"]


@dataclass(frozen=True)
class Batch:
    """Some consecutive images of a stream, in order.

    Attributes:
        indices: position in the stream of each image that was read.
        outputs: the wanted outputs, float32, row ``i`` for image ``indices[i]``; empty if no image was read.
        decoded: what else the decoder found out about each of them (content hash, size, ...), without the pixels.
        skipped: the images of this stretch that could not be read, each with its `error`.
    """

    indices: list[int]
    outputs: Outputs
    decoded: list[Decoded]
    skipped: list[Decoded]


@dataclass
class _Stretch:
    """A batch that is being filled."""

    good: list[Decoded] = field(default_factory=list)
    skipped: list[Decoded] = field(default_factory=list)

    def is_full(self, size: int) -> bool:
        return len(self.good) >= size or len(self.skipped) >= SKIPPED_AT_ONCE


SKIPPED_AT_ONCE = 256
"""A stretch of bad images ends here, so that a folder full of them does not wait for a good one."""


class Predictor(Closing):
    """A loaded model and everything between it and a picture.

    Args:
        model: a module, or anything that `NexusModule.from_pretrained` takes.
        engine: a name of `nexus.engines.names()`, or ``"auto"``: the fastest one that gives the same answers.
        device: ``"auto"`` (cuda, mps, xpu, cpu: the first that is there) or a PyTorch device.
        batch_size: images per forward pass; None: by memory and device.
        workers: decoding processes; None: by the number of usable cores.
        preprocess: replaces the model's own spec, or some of its values (``{"decode": "exact"}``).
        weights: a checkpoint file to read instead of the named model's own sources.
        mirror, accept_license: see `NexusModule.from_pretrained`.
        limits: what an image may cost to decode.
        name: what to call a model that is no variant; None: see the attribute.

    Attributes:
        model: the `NexusModule`, in evaluation mode and on its device. Its weights must not change while the predictor
            is in use: engines keep converted copies.
        name: the variant's; of other weights that of their folder or repository, of a module that of its class.
        preprocess: the spec in use.
        engine, batch_size: as they were asked for.
        workers: decoding processes, at most.

    Raises:
        UnknownNameError: no such model or engine.
        ConfigError: a value out of range.
        EngineError: the engine cannot run here.
        WeightsError: the weights cannot be had or do not fit.
    """

    def __init__(
        self,
        model: str | Path | NexusModule,
        *,
        engine: str = "auto",
        device: str | torch.device = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        preprocess: PreprocessSpec | Mapping[str, Any] | None = None,
        weights: str | Path | None = None,
        mirror: bool | None = None,
        accept_license: bool = False,
        limits: Limits | None = None,
        name: str | None = None,
    ) -> None:
        for option, value in (("batch_size", batch_size), ("workers", workers)):
            if value is not None and value < 1:
                raise ConfigError(f"{option} = {value}: must be at least 1")
        name = name or source_name(model)
        if not isinstance(model, NexusModule):
            model = load_model(model, weights=weights, mirror=mirror, accept_license=accept_license)
        elif weights is not None:
            raise ConfigError(f"weights = {weights}: a module has its own; give the name of the model in its place")
        self.model, self.name = model.eval(), model.variant or name
        self.preprocess = _spec(self.model.preprocess, preprocess)
        self._runner = Runner(self.model, self.preprocess, engine=engine, device=device)
        self.engine, self.batch_size, self._limits = engine, batch_size, limits
        self.workers = workers or default_workers(self._runner.device)
        self._idle: list[Decoder] = []  # decoders without a stream; their processes wait for the next one
        self._closer = weakref.finalize(self, _close, self._idle)

    def close(self) -> None:
        """End the decoding processes. The predictor may be used again, and then starts new ones."""
        _close(self._idle)

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        return self._runner.device

    @property
    def engine_name(self) -> str:
        """The engine of the last batch; before the first, the one that was asked for."""
        return self._runner.engine_name

    def choice(self, outputs: Sequence[str] = ("embeddings",)) -> Choice:
        """Say which engine runs these outputs, why, and what came of the others."""
        return self._runner.selector(_several(outputs)).choice()

    def digest(self) -> str:
        """Return the digest of the weights; see `NexusModule.digest`."""
        return self._runner.digest()

    def __call__(self, images: Tensor | np.ndarray) -> ModelOutput:
        """Run the model itself, in eager fp32, on preprocessed images.

        Args:
            images: (B, 3, H, W) or (3, H, W) float, as `preprocess` says.

        Returns:
            The model's outputs on its device, without gradients.

        Raises:
            InputError: another shape.
        """
        batch = torch.as_tensor(images)
        batch = batch[None] if batch.ndim == 3 else batch
        if batch.ndim != 4 or batch.shape[1] != 3 or not batch.is_floating_point():
            raise InputError(
                f"images is a {batch.dtype} of shape {tuple(batch.shape)}, not a float (B, 3, H, W). This call takes "
                "preprocessed tensors; embed(), classify() and stream() take pictures"
            )
        with torch.inference_mode():
            outputs: ModelOutput = self.model(batch.float().to(self.device))
        return outputs

    def stream(
        self,
        images: ImageLike | Iterable[ImageLike],
        outputs: Sequence[str] = ("embeddings",),
        *,
        progress: Progress | None = None,
        total: int | None = None,
        stage: str = "embed",
    ) -> Iterator[Batch]:
        """Run the model over any number of images, in order, with memory that does not grow with them.

        Args:
            images: paths, encoded bytes, PIL images, (H, W, 3) uint8 arrays or (3, H, W) tensors; any iterable.
            outputs: keys of `ModelOutput`, or paths such as ``"features.5"`` or ``"aux.prefix_tokens.-1"``.
            progress: called after every batch.
            total: how many images there are, where `images` has no length.
            stage: what to call the job in progress events.

        Yields:
            Consecutive batches. Images that cannot be read are in `Batch.skipped`, never raised.

        Raises:
            InputError: the model has no such output, or `outputs` is a single text.
            EngineError: the engine that was asked for cannot run the model, or gives other answers than eager fp32.
        """
        items = as_items(images)
        if total is None and isinstance(items, Sized):
            total = len(items)
        selector = self._runner.selector(_several(outputs))
        selector.expect(total)
        report = _Report(progress, stage, total, selector)
        decoder = self._decoder(total)
        thread = ThreadPoolExecutor(1, thread_name_prefix="nexus-forward")
        waiting: deque[tuple[_Stretch, Future[Outputs] | None]] = deque()
        try:
            with closing(decoder.stream(items)) as decoded:  # type: ignore[type-var]
                for stretch in self._stretches(decoded, selector):
                    waiting.append((stretch, _submit(thread, selector, stretch)))
                    if len(waiting) > IN_FLIGHT:
                        yield report(_finish(*waiting.popleft()))
            while waiting:
                yield report(_finish(*waiting.popleft()))
        finally:
            thread.shutdown(cancel_futures=True)
            self._idle.append(decoder)

    def embed(
        self,
        images: ImageLike | Iterable[ImageLike],
        pooling: Pooling = "cls",
        layer: int | None = None,
        *,
        progress: Progress | None = None,
        total: int | None = None,
    ) -> Embeddings:
        """Return one vector (or one grid of vectors) per image, all in memory; `stream` is for more than fit.

        Args:
            images: see `stream`.
            pooling: ``"cls"``: what the model itself takes as the image's vector (its class token, or pooled features);
                ``"mean"``: the mean over the patches; ``"patch"``: all patches, (N, D), row-major.
            layer: take the raw output of this block (0 is the first, -1 the last) instead of the final, normalised one.
            progress, total: see `stream`.

        Raises:
            InputError: the model has no such layer, or no class token there.
            ConfigError: an unknown pooling.
        """
        path = output_path(pooling, layer)
        sources: list[str] = []
        vectors: list[np.ndarray] = []
        skipped: list[Skipped] = []
        for batch in self.stream(images, (path,), progress=progress, total=total):
            skipped += [_skipped(decoded) for decoded in batch.skipped]
            if batch.indices:
                sources += [decoded.source for decoded in batch.decoded]
                vectors.append(pool(batch.outputs[path], path, pooling))
        return Embeddings(
            sources=tuple(sources),
            vectors=np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32),
            skipped=tuple(skipped),
            model=self.name,
            weights=self.digest(),
            preprocess=self.preprocess.digest(),
            pooling=pooling,
            layer=layer,
            engine=self.engine_name,
        )

    @property
    def reads_text(self) -> bool:
        """Whether `embed_text` can be called: the model has a text tower."""
        return isinstance(self.model, ImageTextModule)

    def embed_text(self, texts: str | Sequence[str], *, progress: Progress | None = None) -> np.ndarray:
        """Return one vector per text, in the space of the images' own vectors (`embed` with pooling ``"cls"``).

        Args:
            texts: one text, or K of them.
            progress: called after every batch.

        Returns:
            (K, D) float32, not normalised.

        Raises:
            InputError: the model reads no text or has no tokenizer, or something is not a text.
            MissingDependencyError: `tokenizers` is not installed.
        """
        if not isinstance(self.model, ImageTextModule):
            raise InputError(f"{self.name} reads no text. Take a model that does: {models_that_read_text()}")
        if self.model.tokenizer is None:
            raise InputError(
                f"{self.name} has no tokenizer: put its tokenizer.json (or spiece.model, or vocab.json and merges.txt) "
                "into the model's folder, or set model.tokenizer"
            )
        texts = [texts] if isinstance(texts, str) else list(texts)
        blocks = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            tokens = self.model.tokenizer(texts[start : start + TEXTS_AT_ONCE])
            with torch.inference_mode():
                blocks.append(self.model.encode_text(tokens.to(self.device)).float().cpu().numpy())
            if progress is not None:
                done = min(start + TEXTS_AT_ONCE, len(texts))
                progress(ProgressEvent(stage="read texts", done=done, total=len(texts), unit="texts"))
        return np.concatenate(blocks) if blocks else np.zeros((0, 0), np.float32)

    def classify(
        self,
        images: ImageLike | Iterable[ImageLike],
        top_k: int = 5,
        *,
        progress: Progress | None = None,
        total: int | None = None,
    ) -> list[Classification]:
        """Return the most likely classes of each image.

        Args:
            images: see `stream`.
            top_k: how many classes, at most all.
            progress, total: see `stream`.

        Returns:
            One per image, in order; for an image that cannot be read, one without predictions and with the reason.

        Raises:
            InputError: the model has no classifier head.
            ConfigError: `top_k` is not positive.
        """
        if top_k < 1:
            raise ConfigError(f"top_k = {top_k}: must be at least 1")
        self.require_head()
        results: dict[int, Classification] = {}
        for batch in self.stream(images, ("logits",), progress=progress, total=total, stage="classify"):
            for decoded in batch.skipped:
                reason = _skipped(decoded).reason
                results[decoded.index] = Classification(source=decoded.source, predictions=(), reason=reason)
            for decoded, logits in zip(batch.decoded, batch.outputs.get("logits", ()), strict=True):
                predictions = top_classes(logits, self.model.labels, top_k)
                results[decoded.index] = Classification(source=decoded.source, predictions=predictions)
        return [results[index] for index in sorted(results)]

    def require_head(self) -> None:
        """Make sure that the model is a classifier.

        Raises:
            InputError: the model has no classifier head.
        """
        if self.reads_text:
            raise InputError(
                f"{self.name} has no classifier head, but it reads text: say what the classes are called (`nexus "
                "classify SRC --labels 'a cat,a dog'`, nexus.evaluation.ZeroShotClassifier)"
            )
        if isinstance(getattr(self.model, "head", None), nn.Identity):
            raise InputError(
                f"{self.name} has no classifier head, so it gives no logits. Give it labelled examples "
                "(`nexus classify SRC --examples FOLDER`), take a model with one (`nexus models --task classify`), say "
                "the classes in words (`nexus classify SRC --labels 'a cat,a dog'`), or set and train model.head = "
                "torch.nn.Linear(...)"
            )

    def like(self, *, model: NexusModule | None = None, preprocess: PreprocessSpec | None = None) -> Predictor:
        """Return another predictor that runs as this one does: another model, or the same at another size.

        Args:
            model: None: the same.
            preprocess: None: the same.
        """
        return Predictor(
            model or self.model,
            engine=self.engine,
            device=self.device,
            batch_size=self.batch_size,
            workers=self.workers,
            preprocess=preprocess or self.preprocess,
            limits=self._limits,
            name=self.name,
        )

    def _decoder(self, total: int | None) -> Decoder:
        """Take an idle decoder, or make one; a job of a few images does not start a process for every core."""
        workers = self.workers if total is None else max(1, min(self.workers, total // IMAGES_PER_WORKER))
        try:
            idle = self._idle.pop()
        except IndexError:  # all are in use, perhaps by another thread
            return Decoder(self.preprocess, workers=workers, limits=self._limits)
        if idle.workers >= workers:
            return idle
        idle.close()
        return Decoder(self.preprocess, workers=workers, limits=self._limits)

    def _stretches(self, decoded: Iterable[Decoded], selector: Selector) -> Iterator[_Stretch]:
        size, stretch = self.batch_size, _Stretch()
        for item in decoded:
            (stretch.good if item.pixels is not None else stretch.skipped).append(item)
            if size is None and len(stretch.good) > 1:  # a single image needs no batch size
                size = selector.batch_size()
            if stretch.is_full(size or 2):
                yield stretch
                stretch = _Stretch()
        if stretch.good or stretch.skipped:
            yield stretch


IMAGES_PER_WORKER = 8
"""Starting a process takes as long as decoding about that many."""

TEXTS_AT_ONCE = 256
"""Texts per forward pass of a text tower."""

IN_FLIGHT = 2
"""Batches between decoder and caller: one in the model, one ready to follow it."""


def load(
    source: str | Path | NexusModule,
    *,
    engine: str = "auto",
    device: str | torch.device = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    preprocess: PreprocessSpec | Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    mirror: bool | None = None,
    accept_license: bool = False,
) -> Predictor:
    """Load a model, ready to take pictures; see `Predictor` for the arguments and errors.

    Args:
        source: a name (`nexus.list_models()`), a folder written by `save_pretrained`, a folder or repository of
            transformers or timm of a supported family, or a module.
    """
    return Predictor(
        source,
        engine=engine,
        device=device,
        batch_size=batch_size,
        workers=workers,
        preprocess=preprocess,
        weights=weights,
        mirror=mirror,
        accept_license=accept_license,
    )


def source_name(source: str | Path | NexusModule) -> str:
    """Return what to call a model by what it is loaded from: a name, a folder, a repository, or a module itself."""
    if isinstance(source, NexusModule):
        return source.variant or type(source).__name__
    folder = Path(source).expanduser()
    return folder.absolute().name if folder.is_dir() else str(source)


def as_items(images: ImageLike | Iterable[ImageLike]) -> Iterable[ImageLike]:
    """Return an iterable of images: one image becomes a list of one, a batched array or tensor its images."""
    dimensions = getattr(images, "ndim", None)
    if dimensions == 4:
        return list(images)  # type: ignore[arg-type]
    if is_in_memory(images) or isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | EncodedImage):
        return [images]  # type: ignore[list-item]
    if not isinstance(images, Iterable):
        raise InputError(f"images is a {type(images).__name__}, which is neither an image nor an iterable of images")
    return images


def default_workers(device: torch.device) -> int:
    """Return how many processes decode.

    On a CPU they share the cores with the model, which takes several times as long per image as decoding: half as many
    as there are cores keep up with it, but never fewer than two, so that one slow picture does not stop it. Beside an
    accelerator all cores are theirs.
    """
    cores = usable_cores()
    return min(cores, max(2, cores // 2)) if device.type == "cpu" else cores


def models_that_read_text() -> str:
    """Name models with a text tower: the smallest of each family, and how to list them all."""
    counts = load_counts()

    def size(name: str) -> int:
        return counts.get(name, {}).get("parameters", 0)

    readers = [
        [name for name, variant in family.variants.items() if "zero-shot" in variant.tasks]
        for family in registry.families().values()
    ]
    smallest = sorted((min(names, key=size) for names in readers if names), key=size)
    return f"{', '.join(smallest)}, ... (`nexus models --task zero-shot` lists them)"


def output_path(pooling: str, layer: int | None) -> str:
    """Return the path of the model output that a pooling reads; see `Predictor.embed`.

    Raises:
        ConfigError: an unknown pooling.
    """
    final = {"cls": "embeddings", "mean": "tokens", "patch": "tokens"}
    raw = {"cls": "aux.prefix_tokens", "mean": "features", "patch": "features"}
    if pooling not in final:
        raise ConfigError(f"pooling = {pooling!r}: must be one of {', '.join(final)}")
    return final[pooling] if layer is None else f"{raw[pooling]}.{layer}"


def pool(array: np.ndarray, path: str, pooling: str) -> np.ndarray:
    """Reduce what stands at `output_path` to (B, D), or (B, N, D) for ``"patch"``."""
    if path.startswith("aux.prefix_tokens"):
        return array[:, 0]  # (B, P, D): the class token stands before the registers
    if path.startswith("features"):
        array = array.reshape(*array.shape[:2], -1).transpose(0, 2, 1)  # (B, C, H, W) -> (B, N, D)
    return array.mean(axis=1) if pooling == "mean" else np.ascontiguousarray(array)


def top_classes(logits: np.ndarray, labels: Sequence[str] | None, top_k: int) -> tuple[Prediction, ...]:
    """Return the classes with the highest softmax, best first."""
    scores = np.exp(logits - logits.max(), dtype=np.float64)
    scores /= scores.sum()
    best = np.argsort(-scores, kind="stable")[:top_k]
    return tuple(Prediction(label=labels[i] if labels else str(i), index=int(i), score=float(scores[i])) for i in best)


def _several(outputs: Sequence[str]) -> tuple[str, ...]:
    if isinstance(outputs, str):  # a sequence too: of its letters
        raise InputError(f"outputs = {outputs!r}: several are expected, so write ({outputs!r},)")
    return tuple(outputs)


def _submit(thread: ThreadPoolExecutor, selector: Selector, stretch: _Stretch) -> Future[Outputs] | None:
    pixels = [decoded.pixels for decoded in stretch.good if decoded.pixels is not None]
    return thread.submit(selector, np.stack(pixels)) if pixels else None


def _finish(stretch: _Stretch, forward: Future[Outputs] | None) -> Batch:
    outputs = forward.result() if forward else {}
    decoded = [replace(item, pixels=None) for item in stretch.good]
    return Batch([item.index for item in decoded], outputs, decoded, stretch.skipped)


def _skipped(decoded: Decoded) -> Skipped:
    assert decoded.error is not None
    return Skipped(source=decoded.source, reason=decoded.error.reason)


def _spec(own: PreprocessSpec, changes: PreprocessSpec | Mapping[str, Any] | None) -> PreprocessSpec:
    if changes is None:
        return own
    return changes if isinstance(changes, PreprocessSpec) else own.replace(**changes)


def _close(decoders: list[Decoder]) -> None:
    while decoders:
        decoders.pop().close()


class _Report:
    """Turns finished batches into progress events, and says so when another engine than eager takes over."""

    def __init__(self, progress: Progress | None, stage: str, total: int | None, selector: Selector) -> None:
        self._progress, self._stage, self._total, self._selector = progress, stage, total, selector
        self._done, self._engine = 0, "eager"

    def __call__(self, batch: Batch) -> Batch:
        self._done += len(batch.indices) + len(batch.skipped)
        if self._progress is not None:
            changed = self._selector.engine != self._engine
            self._engine = self._selector.engine
            note = self._selector.choice().reason if changed else ""
            self._progress(ProgressEvent(stage=self._stage, done=self._done, total=self._total, note=note))
        return batch
