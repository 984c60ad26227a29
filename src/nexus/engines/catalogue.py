"""Which engines there are, which can run here, and how to build one."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from nexus._system import usable_cores
from nexus.engines.base import Engine, Job
from nexus.engines.timing import processor
from nexus.errors import ConfigError, EngineError, UnknownNameError, did_you_mean
from nexus.models.base import NexusModule
from nexus.transforms.preprocess import PreprocessSpec

__all__ = ["CATALOGUE", "Kind", "build", "build_job", "missing", "names", "resolve_device"]


@dataclass(frozen=True)
class Kind:
    """One way of running a model.

    Attributes:
        name: what a user types.
        module: where its `build` function is.
        options: what that function is called with besides the job.
        devices: kinds of device it runs on.
        packages: modules it imports -> the extra that installs them.
        compiler: whether it needs a C++ compiler (on CUDA: Triton).
        bf16: whether it computes in bf16, which pays only where the processor has instructions for it.
        seconds: what building it is expected to cost until it has been measured here.
        twin: the engine of the same library that is always slower, so is not tried where this one passed.
    """

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)
    packages: Mapping[str, str] = field(default_factory=dict)
    compiler: bool = False
    bf16: bool = False
    seconds: float = 0.0
    twin: str | None = None


EVERYWHERE = ("cpu", "cuda", "mps", "xpu")
OPENVINO: Mapping[str, Any] = {"module": "openvino", "packages": {"openvino": "openvino"}, "seconds": 2.0}
ONNX = {"onnx": "onnx", "onnxscript": "onnx", "onnxruntime": "onnx"}
COMPILED: Mapping[str, Any] = {"module": "compiled", "devices": ("cpu", "cuda"), "compiler": True, "seconds": 40.0}

KINDS = (  # after the reference, what is expected to gain most for the time that it takes to build comes first
    Kind("eager", "eager", {"bf16": False}, EVERYWHERE),
    Kind("openvino-bf16", options={"precision": "bf16"}, bf16=True, twin="openvino", **OPENVINO),
    Kind("eager-bf16", "eager", {"bf16": True}, EVERYWHERE, bf16=True),
    Kind("openvino", options={"precision": "f32"}, **OPENVINO),
    Kind("compiled-bf16", options={"bf16": True}, bf16=True, twin="compiled", **COMPILED),
    Kind("onnxruntime", "onnxruntime", packages=ONNX, seconds=8.0),
    Kind("compiled", options={"bf16": False}, **COMPILED),
)

CATALOGUE: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in KINDS})


def names(device: str | torch.device = "auto") -> list[str]:
    """Return the names of the engines that can run here on a device, in the order in which ``"auto"`` tries them."""
    device = resolve_device(device)
    return [name for name in CATALOGUE if missing(name, device) is None]


def missing(name: str, device: torch.device) -> str | None:
    """Return why an engine cannot run here and what to do about it, or None if it can.

    Raises:
        UnknownNameError: there is no such engine.
    """
    if name not in CATALOGUE:
        raise UnknownNameError(
            f"no engine is called {name!r}{did_you_mean(name, CATALOGUE)}; known: {', '.join(CATALOGUE)}"
        )
    kind = CATALOGUE[name]
    if device.type not in kind.devices:
        return f"the engine {name!r} does not run on {device.type}, only on {', '.join(kind.devices)}"
    for package, extra in kind.packages.items():
        if importlib.util.find_spec(package) is None:
            return f'the engine {name!r} needs {package}: pip install "nexus-vision[{extra}]"'
    if kind.compiler and (lacks := _lacks_compiler(device)):
        return f"the engine {name!r} needs {lacks}"
    if kind.bf16 and not computes_bf16(device):
        return f"the engine {name!r} needs bf16 instructions (avx512_bf16, amx_bf16, Arm bf16), which {device} has not"
    return None


def build(
    name: str,
    model: NexusModule,
    outputs: Sequence[str],
    device: str | torch.device,
    example: np.ndarray,
    *,
    spec: PreprocessSpec | None = None,
    threads: int | None = None,
    artefact: Path | None = None,
) -> Engine:
    """Build an engine; see `Job` for the arguments.

    Raises:
        UnknownNameError: there is no such engine.
        EngineError: it cannot run here, or cannot run this model.
    """
    device = resolve_device(device)
    return build_job(name, Job(model, tuple(outputs), device, example, spec, threads or usable_cores(), artefact))


def build_job(name: str, job: Job) -> Engine:
    """Build an engine for a job; see `build`."""
    if lacks := missing(name, job.device):
        raise EngineError(f"{lacks}. Engines that can run here: {', '.join(names(job.device))}")
    kind = CATALOGUE[name]
    module = importlib.import_module(f"nexus.engines.{kind.module}")
    engine: Engine = module.build(job, name=name, **kind.options)
    return engine


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device to use: for ``"auto"`` the first of cuda, mps, xpu, cpu that is there.

    Raises:
        ConfigError: not a device, or not one that is here.
    """
    if isinstance(device, torch.device):
        return device
    present = [kind for kind in ("cuda", "mps", "xpu") if getattr(torch, kind).is_available()] + ["cpu"]
    if device == "auto":
        return torch.device(present[0])
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device = {device!r}: not a PyTorch device; here there is {', '.join(present)}") from None
    if resolved.type not in present:
        raise ConfigError(f"device = {device!r}: not available; here there is {', '.join(present)}")
    return resolved


def _lacks_compiler(device: torch.device) -> str | None:
    if device.type == "cuda":
        return None if importlib.util.find_spec("triton") else "Triton: pip install triton"
    compilers = ("cl",) if sys.platform == "win32" else ("g++", "clang++", "c++")
    if any(shutil.which(compiler) for compiler in compilers):
        return None
    return f"a C++ compiler ({' or '.join(compilers)}; on Debian and Ubuntu: apt install g++)"


def computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "cpu" or bool({"avx512_bf16", "amx_bf16", "bf16"} & set(processor()[1]))
