"""ONNX Runtime on the CPU: the module is exported to ONNX with a free batch size; the file is kept on disk."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import torch

from nexus.engines.artefacts import artefact_path, keep, kept, pack_names, unpack_names
from nexus.engines.base import Flat, Job, Outputs, check_batch, fill, leaves, names_of
from nexus.errors import EngineError, require

__all__ = ["ONNXRuntimeEngine", "build", "export_onnx"]


class ONNXRuntimeEngine:
    """A session.

    Args:
        name: as in `nexus.engines.names`.
        session: an ``onnxruntime.InferenceSession`` with the flat outputs.
        names: where each of them belongs in the result, see `names_of`.
    """

    def __init__(self, name: str, session: Any, names: Outputs) -> None:
        self.name = name
        self._session, self._input = session, session.get_inputs()[0].name
        self._names, self._order = names, [leaf for _, leaf in leaves(names)]

    def __call__(self, images: np.ndarray) -> Outputs:
        arrays = self._session.run(None, {self._input: np.ascontiguousarray(images)})
        return fill(self._names, dict(zip(self._order, arrays, strict=True)))  # type: ignore[no-any-return]


def build(job: Job, *, name: str) -> ONNXRuntimeEngine:
    """Build the engine from what is kept of an earlier build, or anew.

    Raises:
        EngineError: the model cannot be exported, or ONNX Runtime cannot run it.
        MissingDependencyError: ONNX, its script package or ONNX Runtime is not installed.
    """
    runtime = require("onnxruntime", extra="onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.log_severity_level = 3  # errors only
    place = artefact_path(job.artefact, f"{name}.onnx")
    if place and (made := kept(place)):
        try:
            line, _, graph = made.partition(b"\n")
            return ONNXRuntimeEngine(name, runtime.InferenceSession(graph, options), unpack_names(line))
        except Exception:  # noqa: BLE001 - cut short, whatever that raises: it is made again
            place.unlink(missing_ok=True)
    try:
        with torch.inference_mode():
            names = names_of(job.forward()(torch.from_numpy(job.example[:1])))
        graph = export_onnx(job, [leaf for _, leaf in leaves(names)])
        engine = ONNXRuntimeEngine(name, runtime.InferenceSession(graph, options), names)
        check_batch(engine, job)
    except Exception as error:  # the exporter's and the runtime's errors share no base
        raise EngineError(f"ONNX Runtime cannot run {type(job.model).__name__}: {error}") from error
    keep(place, pack_names(names), graph)
    return engine


def export_onnx(job: Job, names: list[str]) -> bytes:
    """Return the forward pass as an ONNX model with a free first axis.

    Args:
        job: what to export.
        names: names of the flat outputs.
    """
    require("onnxscript", extra="onnx")
    log = logging.getLogger("torch.onnx")
    level = log.level
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter's own use of what PyTorch deprecates
        log.setLevel(logging.ERROR)  # that torchvision's operators are absent is no news
        program = torch.onnx.export(
            Flat(job.forward()).eval(),
            (torch.from_numpy(job.example),),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=names,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )
    log.setLevel(level)
    assert program is not None
    return program.model_proto.SerializeToString()  # type: ignore[no-any-return]
