"""Framed messages over a pipe: a small JSON head and a block of bytes. Nothing is ever unpickled."""

from __future__ import annotations

import json
import struct
from io import FileIO
from typing import Any

__all__ = ["read_frame", "write_frame"]

LENGTHS = struct.Struct("<IQ")  # of the head and of the block


def write_frame(pipe: FileIO, head: dict[str, Any], block: bytes = b"") -> None:
    """Write one message.

    Raises:
        OSError: the other end is gone.
    """
    text = json.dumps(head).encode()
    for part in (LENGTHS.pack(len(text), len(block)) + text, block):
        rest = memoryview(part)
        while rest:
            rest = rest[pipe.write(rest) :]


def read_frame(pipe: FileIO) -> tuple[dict[str, Any], bytearray]:
    """Read one message; the block is writable.

    Raises:
        EOFError: the other end is gone.
    """
    head_length, block_length = LENGTHS.unpack(_read(pipe, LENGTHS.size))
    head = json.loads(_read(pipe, head_length))
    return head, _read(pipe, block_length)


def _read(pipe: FileIO, length: int) -> bytearray:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)
        if not count:
            raise EOFError("the other end of the pipe is gone")
        rest = rest[count:]
    return data
