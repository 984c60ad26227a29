"""OpenVINO on the CPU: the module is traced once, compiled by OpenVINO, and the compiled graph kept on disk."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from nexus.engines.artefacts import artefact_path, keep, kept, pack_names, unpack_names
from nexus.engines.base import Flat, Job, Outputs, check_batch, fill, leaves, names_of
from nexus.engines.openvino_graph import tidy
from nexus.errors import EngineError, require

__all__ = ["OpenVINOEngine", "build"]


class OpenVINOEngine:
    """A compiled graph.

    Args:
        name: as in `nexus.engines.names`.
        compiled: an ``openvino.CompiledModel`` with the flat outputs.
        names: where each of them belongs in the result, see `names_of`.
    """

    def __init__(self, name: str, compiled: Any, names: Outputs) -> None:
        self.name = name
        self._requests = [compiled.create_infer_request() for _ in range(compiled.get_property("NUM_STREAMS"))]
        self._names, self._order = names, [leaf for _, leaf in leaves(names)]

    def __call__(self, images: np.ndarray) -> Outputs:
        images = np.ascontiguousarray(images)  # alive until all is done: requests read it where it lies
        busy = self._requests[: max(1, len(images))]
        for request, part in zip(busy, np.array_split(images, len(busy)), strict=True):
            request.start_async({0: part}, share_inputs=True)
        for request in busy:
            request.wait()
        # A request owns its output memory and fills it again at the next call: joining copies the results out.
        arrays = [np.concatenate([r.get_output_tensor(i).data for r in busy]) for i in range(len(self._order))]
        return fill(self._names, dict(zip(self._order, arrays, strict=True)))  # type: ignore[no-any-return]


def build(job: Job, *, name: str, precision: str) -> OpenVINOEngine:
    """Build the engine from what is kept of an earlier build, or anew.

    Args:
        job: what to run.
        name: as in `nexus.engines.names`.
        precision: ``"f32"`` or ``"bf16"``: what OpenVINO may compute in. It must be said, since its default on
            processors with bf16 units is bf16.

    Raises:
        EngineError: OpenVINO cannot take the model.
        MissingDependencyError: OpenVINO is not installed.
    """
    openvino = import_openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": job.threads,
        "NUM_STREAMS": streams(job.threads),
    }
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError(
            f"the engine {name!r} needs bf16 instructions, which OpenVINO does not find in this processor"
        )
    place = artefact_path(job.artefact, f"{name}.blob")
    if place and (made := kept(place)):
        try:
            line, _, graph = made.partition(b"\n")
            return OpenVINOEngine(name, core.import_model(graph, "CPU", settings), unpack_names(line))
        except Exception:  # noqa: BLE001 - cut short, or of another OpenVINO, whatever that raises: it is made again
            place.unlink(missing_ok=True)
    with torch.inference_mode():
        names = names_of(job.forward()(torch.from_numpy(job.example[:1])))
    module, failures = Flat(job.forward()).eval(), []
    for lower in (trace, export):
        try:
            compiled = core.compile_model(tidy(lower(openvino, module, job.example)), "CPU", settings)
            engine = OpenVINOEngine(name, compiled, names)
            check_batch(engine, job)
        except Exception as error:  # noqa: BLE001 - the errors of PyTorch's tracers and of OpenVINO share no base
            failures.append(f"{lower.__name__}: {error}")
        else:
            compiled.export_model(stream := io.BytesIO())
            keep(place, pack_names(names), stream.getbuffer())
            return engine
    raise EngineError(f"OpenVINO cannot run {type(job.model).__name__}; " + "; ".join(failures))


def streams(threads: int) -> int:
    """Return into how many parts a batch is cut, which run side by side, each on an equal share of the threads.

    Two halves are faster than one whole: one computes while the other waits for memory, and neither waits for a thread
    that decoding has taken. A single image has half of the threads. More parts would leave too little for each in small
    batches.
    """
    return 2 if threads % 2 == 0 else 1


def trace(openvino: Any, module: nn.Module, example: np.ndarray) -> Any:
    """Return a module as an ``openvino.Model`` whose input has a free first axis, by running it once.

    This takes a fraction of the time of `export`, which is part of the cost of choosing an engine. But a size that
    Python takes for a number, as by ``len(images)``, is fixed, and `check_batch` finds that.

    Args:
        openvino: the library.
        module: in evaluation mode; it gives tensors.
        example: a batch of its input.
    """
    free = openvino.PartialShape([-1, *example.shape[1:]])
    with _silently():
        first = torch.from_numpy(np.ascontiguousarray(example[:1]))
        traced = torch.jit.trace(module, first, check_trace=False)  # type: ignore[no-untyped-call]
        return openvino.convert_model(traced, input=(free, openvino.Type(example.dtype)))


def export(openvino: Any, module: nn.Module, example: np.ndarray) -> Any:
    """Return the same as `trace`, through `torch.export`."""
    batch = torch.export.Dim("batch", min=1)
    with _silently():
        program = torch.export.export(module, (torch.from_numpy(example),), dynamic_shapes=({0: batch},))
        return openvino.convert_model(program)


@contextmanager
def _silently() -> Iterator[None]:
    """Without gradients or warnings (of sizes that a trace fixes, of PyTorch's use of what it deprecates)."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report the import, and each conversion, to Google Analytics.

    Where `openvino_telemetry` does not import, OpenVINO takes its own stub instead.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return require("openvino", extra="openvino")
