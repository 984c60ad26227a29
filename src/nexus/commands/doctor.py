"""``nexus doctor``: what is installed, what would run, what is missing and the line that installs it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator

from nexus.commands._options import DEFAULT_MODEL
from nexus.commands._verb import verb
from nexus.results import Check, DoctorResult

__all__ = ["doctor"]

EXTRAS = {
    "mirror": (("onnx",), "weights that packages keep as ONNX"),
    "openvino": (("openvino",), "the engine openvino"),
    "onnx": (("onnx", "onnxruntime", "onnxscript"), "the engine onnxruntime"),
    "train": (("matplotlib", "scikit-learn", "tensorboard"), "train, the pictures and scores of evaluate and anomaly"),
    "datasets": (("datasets",), "datasets of the Hugging Face hub"),
    "text": (("tokenizers",), "search and labels by words"),
    "heic": (("pi-heif",), "HEIC pictures"),
    "cluster": (("scikit-learn",), "groups by density"),
    "parquet": (("pyarrow",), "features as Parquet"),
    "mlflow": (("mlflow",), "train --track mlflow"),
    "wandb": (("wandb",), "train --track wandb"),
    "deepspeed": (("deepspeed", "ninja"), "ZeRO in training loops of your own"),
}
"""Extra -> the distributions that it installs, and what they are for."""


@verb
def doctor() -> DoctorResult:
    """Say what is installed, what would run, and what is missing.

    Returns:
        One check per line, each with its remedy where something is missing.
    """
    return DoctorResult(checks=(*_base(), *_machine(), *_engines(), *_auto(), *_extras(), *_weights()))


def _base() -> Iterator[Check]:
    yield Check(
        name="python", ok=True, detail=f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    for name in ("nexus-vision", "torch", "numpy", "faiss-cpu", "pillow"):
        version = _version(name)
        remedy = None if version else f"pip install {name}"
        yield Check(name=name, ok=version is not None, detail=version or "not found", remedy=remedy)
    if stranger := _version("nexus"):
        yield Check(
            name="nexus",
            ok=False,
            detail=f"an unrelated distribution called 'nexus' {stranger} is installed and can hide this one",
            remedy="pip uninstall nexus && pip install --force-reinstall --no-deps nexus-vision",
        )


def _machine() -> Iterator[Check]:
    from nexus._system import available_memory, usable_cores
    from nexus.engines.catalogue import resolve_device

    yield Check(name="cores", ok=True, detail=f"{usable_cores()} usable")
    yield Check(name="memory", ok=True, detail=f"{available_memory() / 2**30:.1f} GiB available")
    yield Check(name="device", ok=True, detail=f"auto is {resolve_device('auto')}")


def _engines() -> Iterator[Check]:
    from nexus.engines.catalogue import CATALOGUE, missing, resolve_device

    for name in CATALOGUE:
        lacks = missing(name, resolve_device("auto"))
        yield Check(name=f"engine {name}", ok=lacks is None, detail=lacks or "can run here")


def _auto() -> Iterator[Check]:
    """Which engine the default model would run with, if it was ever run here."""
    from nexus import hub
    from nexus.engines.auto import Record
    from nexus.engines.predictor import load

    name = "engine=auto"
    if DEFAULT_MODEL not in {entry.name for entry in hub.describe_cache()}:
        yield Check(name=name, ok=True, detail=f"chosen while the first job runs; {DEFAULT_MODEL} is not fetched yet")
        return
    trials = load(DEFAULT_MODEL).choice().trials
    best = Record(trials={trial.engine: trial for trial in trials}).best()
    figures = "" if best.engine == "eager" else f", {best.ratio:.1f} times as fast, cosine {best.agreement:.5f}"
    tried = f"{len(trials)} others tried" if trials else "no job was long enough to try another"
    yield Check(name=name, ok=True, detail=f"{best.engine} for {DEFAULT_MODEL}{figures} ({tried})")


def _extras() -> Iterator[Check]:
    for extra, (distributions, purpose) in EXTRAS.items():
        versions = {name: _version(name) for name in distributions}
        lacking = [name for name, version in versions.items() if version is None]
        there = ", ".join(f"{name} {version}" for name, version in versions.items())
        yield Check(
            name=f"extra {extra}",
            ok=not lacking,
            detail=f"not installed: {', '.join(lacking)}; needed for {purpose}" if lacking else there,
            remedy=f'pip install "nexus-vision[{extra}]"' if lacking else None,
        )


def _weights() -> Iterator[Check]:
    from nexus import hub

    folder, entries = hub.cache_dir(), hub.describe_cache()
    size = sum(entry.size for entry in entries)
    yield Check(name="cache", ok=True, detail=f"{folder}: {len(entries)} weight files, {size / 1e6:.0f} MB")
    free = shutil.disk_usage(folder if folder.exists() else "/").free
    remedy = None if free > 2**30 else f"make room, or set NEXUS_CACHE to another disk than that of {folder}"
    yield Check(name="disk", ok=remedy is None, detail=f"{free / 2**30:.1f} GiB free", remedy=remedy)
    yield Check(
        name="network", ok=True, detail="switched off (NEXUS_OFFLINE)" if hub.offline() else "weights may be fetched"
    )
    mirror = (
        "looked into" if hub.mirror_enabled(None) else "not looked into (NEXUS_MIRROR=1 or --mirror switches it on)"
    )
    yield Check(name="package index", ok=True, detail=f"{mirror} for weights")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
