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
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from nexus._seeds import generator
from nexus.errors import ImageError
from nexus.transforms._frames import read_frame, write_frame
from nexus.transforms._view import View
from nexus.transforms.image import EncodedImage, ImageLike, Limits, read_picture
from nexus.transforms.phash import perceptual_hash
from nexus.transforms.resize import fit

__all__ = ["answer", "main"]

ALARM_MARGIN = 5
"""Seconds after the limit at which a worker ends itself: its parent, who should have killed it, is gone."""


def main() -> None:
    """Answer requests from standard input until it ends.

    A request is a path or the bytes of a file; its head may hold arguments of `answer` that replace those of the setup.
    """
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
        source = os.fsdecode(bytes(block)) if request.pop("path") else EncodedImage(bytes(block), "bytes")
        with _deadline(limits.seconds):
            head, pixels = answer(source, limits, **(setup | request))
        try:
            write_frame(replies, head, pixels)
        except OSError:
            return


def answer(
    source: ImageLike,
    limits: Limits,
    *,
    resize: int | Sequence[int],
    crop: Sequence[int] | None,
    crop_rounding: str,
    interpolation: str,
    min_side: int | None,
    augment: Mapping[str, Any] | None = None,
    seed: int | None = None,
    hashes: bool = True,
) -> tuple[dict[str, Any], bytes]:
    """Decode one picture and make it a model's input.

    Args:
        source, limits: see `read_picture`.
        resize, crop, crop_rounding, interpolation: see `PreprocessSpec`.
        min_side: see `decode_floor`.
        augment: values of an `AugmentConfig`.
        seed: from which all chance of the augmentation follows. Without it, or without a config: the evaluation
            transform.
        hashes: whether to find the content hash and the perceptual hash.

    Returns:
        Reply and pixels of its ``shape`` (H, W, 3), uint8; on failure ``{"error": reason}`` and nothing.
    """
    target = resize if isinstance(resize, int) else (resize[0], resize[1])
    window = (crop[0], crop[1]) if crop else None
    try:
        if augment is None or seed is None:
            picture = read_picture(source, limits, min_side, hashed=hashes)
            image = fit(picture.image, target, window, crop_rounding, interpolation)
        else:
            rng = generator(seed)
            view = View(
                augment,
                rng,
                resize=target,
                crop=window,
                crop_rounding=crop_rounding,
                interpolation=interpolation,
                min_side=min_side,
            )
            picture = read_picture(source, limits, view.min_side, hashed=hashes)
            image = view.render(picture)
        reply: dict[str, Any] = {"size": picture.size, "shape": (image.height, image.width, 3)}
        if hashes:
            reply |= {"sha256": picture.sha256, "phash": perceptual_hash(picture.image)}
        return reply, image.tobytes()
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
