"""Checkpoint files of every supported format, read into one flat dict of tensors. Nothing in a file is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from nexus.errors import UnsafeFileError, WeightsError, require
from nexus.hub.torchscript import is_torchscript, read_torchscript

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = ["read_tensors", "shard_names", "weight_map", "write_safetensors"]

NESTED = ("state_dict", "model_state_dict", "model", "params_ema", "params", "teacher", "ema", "module", "encoder")
"""Where training scripts put the state dict inside a checkpoint, in order of preference."""


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint into a flat dict.

    Args:
        path: ``.safetensors``; ``.pt``, ``.pth``, ``.bin``, ``.ckpt`` or ``.pth.tar`` (tensors only, by
            `torch.load(weights_only=True)`; of a TorchScript archive the tensors, without its program); ``.onnx``;
            ``.npz``; a TensorFlow.js ``model.json`` or a Hugging Face ``.index.json`` beside its shards; or a folder
            that holds ``model.safetensors``, ``model.safetensors.index.json`` or ``pytorch_model.bin``.

    Returns:
        Key -> tensor on the CPU, under the file's own names and in its own layout (tfjs kernels stay H, W, I, O).
        From ONNX: initialisers and Constant tensors under their names in the graph; what an Identity node stands for
        under the name of its output; 8-bit weights as the numbers that they stand for; the nameless weight of a MatMul
        under the name of its node, ``/blocks.0/attn/qkv/MatMul`` giving ``blocks.0.attn.qkv.weight``, transposed to the
        (out, in) of `nn.Linear`.

    Raises:
        WeightsError: there is no such file, it is damaged, or of an unknown format.
        UnsafeFileError: it holds pickled objects other than tensors, or refers to files outside its folder.
        MissingDependencyError: an ONNX file without the `onnx` package.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint file {path}")
    reader = _read_shards if path.name.endswith(".index.json") else READERS.get(path.suffix.lower())
    if reader is None:
        raise WeightsError(f"{path} has no known checkpoint format; known are {', '.join(READERS)} and folders")
    try:
        return reader(path)
    except (WeightsError, ImportError):
        raise
    except Exception as error:  # the libraries that parse the formats raise what they like on damaged files
        raise WeightsError(f"{path} cannot be read as {path.suffix} ({type(error).__name__}: {error})") from error


def write_safetensors(tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors as safetensors; tied ones are written once each."""
    from safetensors.torch import save_file

    seen: set[int] = set()
    plain: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        tensor = tensor.detach().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        plain[key] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    save_file(plain, path, metadata=dict(metadata))


def shard_names(manifest: Mapping[str, Any], source: str) -> list[str]:
    """Return the shard files that a tfjs ``model.json`` names, in order.

    Raises:
        UnsafeFileError: one of them lies outside the folder.
        WeightsError: it is not a tfjs model.
    """
    try:
        names = [str(name) for group in manifest["weightsManifest"] for name in group["paths"]]
    except (KeyError, TypeError):
        raise WeightsError(f"{source} is not a TensorFlow.js model: it has no weightsManifest with paths") from None
    for name in names:
        _check_inside(name, source)
    return names


# -- folders ---------------------------------------------------------------------------------------------------------


def _read_folder(folder: Path) -> dict[str, torch.Tensor]:
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return read_tensors(folder / name)
        if (folder / f"{name}.index.json").is_file():
            return _read_shards(folder / f"{name}.index.json")
    found = sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return read_tensors(found[0])
    if (folder / "model.json").is_file():
        return read_tensors(folder / "model.json")
    raise WeightsError(
        f"{folder} holds no checkpoint: model.safetensors, model.safetensors.index.json or pytorch_model.bin is needed"
    )


def weight_map(index: Path) -> dict[str, str]:
    """Return key -> file of the tensors that a Hugging Face ``.index.json`` names.

    Raises:
        UnsafeFileError: one of the files lies outside the folder.
        WeightsError: it is not such an index.
    """
    try:
        named = {str(key): str(name) for key, name in json.loads(index.read_text("utf-8"))["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is not an index of shards ({error!r})") from None
    for name in set(named.values()):
        _check_inside(name, str(index))
    return named


def _read_shards(index: Path) -> dict[str, torch.Tensor]:
    named = weight_map(index)
    tensors: dict[str, torch.Tensor] = {}
    for name in sorted(set(named.values())):
        tensors.update(read_tensors(index.parent / name))
    if missing := sorted(named.keys() - tensors.keys()):
        raise WeightsError(f"the shards of {index} lack {len(missing)} tensors, first {', '.join(missing[:4])}")
    return tensors


def _check_inside(name: str, source: str) -> None:
    if not name or name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
        raise UnsafeFileError(f"{source} refers to {name!r}, outside its own folder; it was not followed")


# -- safetensors, torch, npz -----------------------------------------------------------------------------------------


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def _read_torch(path: Path) -> dict[str, torch.Tensor]:
    import pickle

    import torch

    if is_torchscript(path):
        return read_torchscript(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()
        raise UnsafeFileError(
            f"{path} holds more than tensors and could run code when opened, so it was not opened "
            f"({_unsupported(reason)}). Ask its author for a .safetensors file, or, if you trust it, convert it "
            "yourself in a sandbox: torch.save(model.state_dict(), ...)"
        ) from None
    return _flat_state(content, path)


def _unsupported(lines: list[str]) -> str:
    """The one line of torch's long message that names the refused object."""
    named = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (named or lines or ["refused by torch.load(weights_only=True)"])[0].strip()


def _flat_state(content: Any, path: Path) -> dict[str, torch.Tensor]:
    import torch

    if isinstance(content, Mapping):
        tensors = {str(k): v.detach() for k, v in content.items() if isinstance(v, torch.Tensor)}
        if tensors:
            return tensors
        nested = {str(k): v for k, v in content.items() if isinstance(v, Mapping)}
        for key in (*NESTED, *(nested if len(nested) == 1 else ())):
            if key in nested:
                return _flat_state(nested[key], path)
        raise WeightsError(f"{path} holds no state dict; its entries are {', '.join(map(str, content)) or 'none'}")
    raise WeightsError(f"{path} holds a {type(content).__name__}, not a dict of tensors")


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    import numpy as np

    # Opened here, since NumPy leaves a file that it opened itself open when it is no archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        if isinstance(arrays, np.ndarray):
            raise WeightsError(f"{path} holds one unnamed array, not an .npz archive")
        for name in arrays.files:
            if _header_dtype(arrays, name).hasobject:
                raise UnsafeFileError(
                    f"{path} holds Python objects under {name!r} and could run code when opened, so it was not opened. "
                    "Save plain arrays: numpy.savez(file, **arrays)"
                )
        return {name: _tensor(arrays[name]) for name in arrays.files}


def _header_dtype(arrays: Any, name: str) -> np.dtype:
    """Read the type of one array of an .npz without reading the array."""
    from numpy.lib import format as npy

    with arrays.zip.open(f"{name}.npy") as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        return read(file)[2]


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Copy an array into a tensor of its own; types that torch lacks become float32."""
    import numpy as np
    import torch

    try:
        return torch.from_numpy(np.array(array, order="C", copy=True))
    except TypeError:
        return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


# -- TensorFlow.js ---------------------------------------------------------------------------------------------------

DTYPES = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "|u1", "int8": "|i1", "bool": "|b1"}


def _read_tfjs(path: Path) -> dict[str, torch.Tensor]:
    manifest = json.loads(path.read_text("utf-8"))
    shard_names(manifest, str(path))
    tensors: dict[str, torch.Tensor] = {}
    for group in manifest["weightsManifest"]:
        content = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        tensors.update(_read_group(group["weights"], content, path))
    return tensors


def _read_group(weights: list[dict[str, Any]], content: bytes, path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Cut the tensors of one group out of its concatenated shards."""
    import math

    import numpy as np

    offset = 0
    for weight in weights:
        quantised = weight.get("quantization", {})
        dtype, count = DTYPES.get(quantised.get("dtype", weight["dtype"])), math.prod(weight["shape"])
        if dtype is None:
            raise WeightsError(f"{path}: {weight['name']} has type {weight['dtype']!r}; known are {', '.join(DTYPES)}")
        size = count * np.dtype(dtype).itemsize
        if offset + size > len(content):
            raise WeightsError(f"{path}: its shards end inside {weight['name']}; they are cut off")
        array = np.frombuffer(content, dtype, count, offset).reshape(weight["shape"])
        if "scale" in quantised:
            array = array.astype(np.float32) * quantised["scale"] + quantised.get("min", 0.0)
        yield weight["name"], _tensor(array)
        offset += size
    if offset != len(content):
        raise WeightsError(f"{path}: its shards hold {len(content)} bytes, its manifest describes {offset}")


# -- ONNX ------------------------------------------------------------------------------------------------------------

ANONYMOUS = re.compile(r"onnx::.*|\d+")
"""Names that the exporter made up for a tensor that has none in the model, e.g. a transposed weight."""

QUANTISED = "_quantized"
"""End of the name of an 8-bit weight."""


def _read_onnx(path: Path) -> dict[str, torch.Tensor]:
    onnx = require("onnx", extra="mirror")
    graph = onnx.load(str(path), load_external_data=False).graph
    initialisers = {}
    for initialiser in graph.initializer:
        _load_external(initialiser, path)
        initialisers[initialiser.name] = onnx.numpy_helper.to_array(initialiser)
    _follow_identities(graph, initialisers)
    initialisers = _dequantised(initialisers)
    linear = {name: weight for node in graph.node for name, weight in _linear_weight(node, initialisers)}
    used = {_weight_name(node) for node in graph.node if any(_linear_weight(node, initialisers))}
    arrays = {name: array for name, array in initialisers.items() if name not in used} | linear
    return {name: _tensor(array) for name, array in (arrays | dict(_constants(graph, path))).items()}


def _load_external(tensor: Any, path: Path) -> None:
    """Read the data of a tensor that is stored beside the ONNX file."""
    onnx = require("onnx", extra="mirror")
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
    _check_inside(location, str(path))
    if not (path.parent / location).resolve().is_relative_to(path.parent.resolve()):
        raise UnsafeFileError(f"{path} refers to {location!r}, a link out of its own folder; it was not followed")
    onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))


def _follow_identities(graph: Any, initialisers: dict[str, np.ndarray]) -> None:
    """Exporters store equal tensors once; Identity nodes (in graph order) stand for the others."""
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in initialisers:
            initialisers.setdefault(node.output[0], initialisers[node.input[0]])


def _dequantised(initialisers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn 8-bit weights of onnxruntime's dynamic quantisation back into numbers, under their names before it.

    It stores each as ``<name>_quantized``, ``<name>_zero_point`` and ``<name>_scale``, with one scale for all, or one
    for each output: the last axis of a matrix, the first of a convolution. The rounding stays.
    """
    import numpy as np

    found = dict(initialisers)
    for key, array in initialisers.items():
        name = key.removesuffix(QUANTISED)
        if key == name or f"{name}_scale" not in found:
            continue
        shape = (-1, *[1] * (array.ndim - 1)) if array.ndim > 2 else (-1,)
        scale, zero = (found.pop(f"{name}_{part}").reshape(shape) for part in ("scale", "zero_point"))
        del found[key]
        found[name] = (array.astype(np.float32) - zero.astype(np.float32)) * scale
    return found


def _weight_name(node: Any) -> str:
    """Name of the second input of a matrix product, before it was quantised."""
    return str(node.input[1]).removesuffix(QUANTISED)


def _linear_weight(node: Any, initialisers: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Name the nameless (in, out) weight of a matrix product after its node, as nn.Linear's (out, in) weight."""
    if node.op_type not in ("MatMul", "MatMulInteger") or not node.name.startswith("/"):
        return
    weight = initialisers.get(_weight_name(node))
    if weight is not None and weight.ndim == 2 and ANONYMOUS.fullmatch(_weight_name(node)):
        scope = node.name.strip("/").split("/")[:-1]
        yield ".".join([*scope, "weight"]), weight.T


def _constants(graph: Any, path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Constant tensors that may be weights; single numbers and integers are the arithmetic of the graph."""
    onnx = require("onnx", extra="mirror")
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name != "value":
                continue
            _load_external(attribute.t, path)
            array = onnx.numpy_helper.to_array(attribute.t)
            if array.size > 1 and array.dtype.kind not in "iub":
                yield node.output[0], array


READERS = {
    ".safetensors": _read_safetensors,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
    ".ckpt": _read_torch,
    ".tar": _read_torch,  # as in .pth.tar, which is no archive but a habit
    ".onnx": _read_onnx,
    ".npz": _read_npz,
    ".json": _read_tfjs,
}
