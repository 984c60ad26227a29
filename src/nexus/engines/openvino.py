"""OpenVINO on the CPU: the module is traced once, compiled by OpenVINO, and the compiled graph kept on disk."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import torch

from nexus.engines.artefacts import artefact_path, keep, pack_names, unpack_names
from nexus.engines.base import Flat, Job, Outputs, fill, leaves, names_of
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
        self._request = compiled.create_infer_request()
        self._names, self._order = names, [leaf for _, leaf in leaves(names)]

    def __call__(self, images: np.ndarray) -> Outputs:
        self._request.infer({0: np.ascontiguousarray(images)}, share_inputs=True)
        # The request owns its output memory and fills it again at the next call, so results are copied out.
        arrays = [self._request.get_output_tensor(i).data.copy() for i in range(len(self._order))]
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
        "PERFORMANCE_HINT": "LATENCY",  # one stream on all threads: with batches as fast as several, and simpler
    }
    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError(
            f"the engine {name!r} needs bf16 instructions, which OpenVINO does not find in this processor"
        )
    kept = artefact_path(job.artefact, f"{name}.blob")
    if kept and kept.is_file():
        try:
            line, _, graph = kept.read_bytes().partition(b"\n")
            return OpenVINOEngine(name, core.import_model(graph, "CPU", settings), unpack_names(line))
        except Exception:  # noqa: BLE001 - cut short, or of another OpenVINO, whatever that raises: it is made again
            kept.unlink(missing_ok=True)
    try:
        with torch.inference_mode():
            names = names_of(job.forward()(torch.from_numpy(job.example[:1])))
        compiled = core.compile_model(lower(openvino, job), "CPU", settings)
        engine = OpenVINOEngine(name, compiled, names)
        check_batch(engine, job)
    except Exception as error:  # OpenVINO's own errors share no base
        raise EngineError(f"OpenVINO cannot run {type(job.model).__name__}: {error}") from error
    keep(kept, pack_names(names), compiled.export_model())
    return engine


def lower(openvino: Any, job: Job) -> Any:
    """Return the forward pass as an ``openvino.Model`` with a free first axis.

    Tracing takes a tenth of the time of `torch.export` (0.5 s against 5 s, DINOv2-S), which is part of what choosing an
    engine costs. A trace fixes every decision that Python takes about shapes, so the example's size is fixed as well.
    """
    example = torch.from_numpy(np.ascontiguousarray(job.example[:1]))
    shape = openvino.PartialShape([-1, *job.example.shape[1:]])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TracerWarning: of those fixed decisions
        return openvino.convert_model(Flat(job.forward()), example_input=example, input=shape)


def check_batch(engine: OpenVINOEngine, job: Job) -> None:
    """Run a batch of another size than the traced one, in which all images are equal: so must their results be.

    Raises:
        ValueError: the batch size was fixed by the trace.
    """
    for name, array in leaves(engine(np.repeat(job.example[:1], 3, axis=0))):
        if len(array) != 3 or not np.allclose(array, array[:1], rtol=0.01, atol=1e-4):
            raise ValueError(f"the output {name!r} of shape {array.shape} does not follow the batch size (3)")


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would report the import, and each conversion, to Google Analytics.

    Where `openvino_telemetry` does not import, OpenVINO takes its own stub instead.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return require("openvino", extra="openvino")
