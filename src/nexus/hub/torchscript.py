"""The tensors of a TorchScript archive, read without running anything in it.

Such a file (`torch.jit.save`; among others, OpenAI's checkpoints of CLIP) is a zip archive of a program, of a pickle
that lists its objects, and of the numbers. Only the objects and the numbers are read, by an unpickler that knows
nothing but tensors, containers and modules.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus.errors import UnsafeFileError, WeightsError

if TYPE_CHECKING:
    import torch

__all__ = ["is_torchscript", "read_torchscript"]

DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def is_torchscript(path: Path) -> bool:
    """Return whether a file is a TorchScript archive: only they hold constants beside their data."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Return dotted name -> tensor, of all parameters and buffers and of tensors that are plain attributes.

    Raises:
        UnsafeFileError: its pickle asks for something else than tensors, containers and modules.
        WeightsError: it was written on a machine of the other byte order.
    """
    with zipfile.ZipFile(path) as archive:
        (data,) = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        root = data.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
            raise WeightsError(f"{path} was written on a big-endian machine, which is not supported")
        content = _Unpickler(archive, root, path).load()
        return dict(_tensors(content, ""))


class _Module:
    """Stands for an object of any class of the program; its class is never made."""

    def __init__(self) -> None:
        self.attributes: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, Mapping) else {}


def _tensors(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, _Module):
        for key, child in value.attributes.items():
            yield from _tensors(child, f"{name}.{key}".removeprefix("."))


class _Unpickler(pickle.Unpickler):
    """Knows what `find_class` lists, and asks for nothing else by name."""

    def __init__(self, archive: zipfile.ZipFile, root: str, path: Path) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}data.pkl")))
        self._archive, self._root, self._path = archive, root, path
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Module
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
            ("collections", "OrderedDict"): dict,
            **{("torch.jit._pickle", f"build_{kind}list"): list for kind in ("int", "double", "bool", "tensor")},
            ("torch.jit._pickle", "restore_type_tag"): _untagged,
            **{("torch", storage): dtype for storage, dtype in DTYPES.items()},
        }
        if (module, name) not in known:
            raise UnsafeFileError(
                f"{self._path} holds more than modules and tensors ({module}.{name}) and could run code when opened, "
                "so it was not opened. Ask its author for a .safetensors file"
            )
        return known[module, name]

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """Return the numbers of a storage, as a flat tensor."""
        import torch

        _, dtype, key, *_ = pid
        if key not in self._storages:
            numbers = bytearray(self._archive.read(f"{self._root}data/{key}"))
            kind = getattr(torch, dtype)
            self._storages[key] = torch.frombuffer(numbers, dtype=kind) if numbers else torch.empty(0, dtype=kind)
        return self._storages[key]


def _rebuild(storage: torch.Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Any:
    return storage.as_strided(size, stride, offset).clone()


def _untagged(value: Any, _type: str) -> Any:
    return value
