"""The process that decodes one picture after another for a `Decoder`, and that may be killed at any moment.

It imports neither torch nor pydantic: it starts in about 0.1 s and takes about 50 MB.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import warnings
from io import FileIO
from pathlib import Path
from typing import Any

from nexus.errors import ImageError
from nexus.transforms._frames import read_frame, write_frame
from nexus.transforms.image import EncodedImage, ImageLike, Limits, read_picture
from nexus.transforms.phash import perceptual_hash
from nexus.transforms.resize import fit

__all__ = ["answer", "main"]

ALARM_MARGIN = 5
"""Seconds after the limit at which a worker ends itself: its parent, who should have killed it, is gone."""


def main() -> None:
    """Answer requests from standard input until it ends. A request is a path or the bytes of a file."""
    requests, replies = FileIO(os.dup(0), "r"), FileIO(os.dup(1), "w")
    # Whatever a library prints must not get between the replies.
    os.dup2(2, 1)
    setup, _ = read_frame(requests)
    limits = Limits(**setup.pop("limits"))
    _harden(limits)
    write_frame(replies, {"ready": True})
    # From here on an error is an answer; chatter of the C libraries about damaged files would only disturb.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    while True:
        try:
            request, block = read_frame(requests)
        except EOFError:
            return
        source = os.fsdecode(bytes(block)) if request["path"] else EncodedImage(bytes(block), "bytes")
        with _deadline(limits.seconds):
            head, pixels = answer(source, limits, **setup)
        try:
            write_frame(replies, head, pixels)
        except OSError:
            return


def answer(
    source: ImageLike,
    limits: Limits,
    *,
    resize: int | list[int],
    crop: list[int] | None,
    interpolation: str,
    min_side: int | None,
) -> tuple[dict[str, Any], bytes]:
    """Decode one picture and make it a model's input.

    Returns:
        Reply and pixels (H, W, 3) uint8; on failure ``{"error": reason}`` and nothing.
    """
    try:
        picture = read_picture(source, limits, min_side)
        target = resize if isinstance(resize, int) else (resize[0], resize[1])
        pixels = fit(picture.image, target, (crop[0], crop[1]) if crop else None, interpolation).tobytes()
        return {"sha256": picture.sha256, "size": picture.size, "phash": perceptual_hash(picture.image)}, pixels
    except ImageError as error:
        return {"error": error.reason}, b""
    except MemoryError:
        return {"error": f"needs more memory than the limit of {limits.max_memory:,} bytes"}, b""


def _harden(limits: Limits) -> None:
    """Keep the damage of a hostile file in this process."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        for what, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, limits.max_memory)):
            with contextlib.suppress(OSError, ValueError):  # a lower hard limit, or a platform without it
                resource.setrlimit(what, (value, resource.getrlimit(what)[1]))
    # When memory runs out, the kernel shall take this process and not the one with the model.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    # The pool has a process for each core already.
    from PIL import AvifImagePlugin

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@contextlib.contextmanager
def _deadline(seconds: float) -> Any:
    if not hasattr(signal, "alarm"):
        yield
        return
    signal.alarm(math.ceil(seconds) + ALARM_MARGIN)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    main()
