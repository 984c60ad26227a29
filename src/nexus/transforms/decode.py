"""`Decoder`: pictures of unknown origin, decoded by a pool of processes that may crash, hang or be killed.

The processes are started by this module itself and speak a framed protocol over pipes: a caller's script needs no
``if __name__ == "__main__"``, nothing is unpickled, no torch is imported twice, and a process that is stuck in C code
is killed at its time limit and costs one picture.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nexus
from nexus._closing import Closing
from nexus._system import usable_cores
from nexus.errors import ConfigError, ImageError, NexusError
from nexus.transforms._frames import read_frame, write_frame
from nexus.transforms.image import EncodedImage, ImageLike, Limits, describe_source
from nexus.transforms.preprocess import PreprocessSpec, geometry
from nexus.transforms.worker import answer

if TYPE_CHECKING:
    from nexus.transforms.augment import AugmentConfig

__all__ = ["Decoded", "Decoder", "Seeded"]

LOOK_AHEAD = 128
LOOK_AHEAD_BYTES = 256 * 2**20

PIPELINED_BYTES = 4096
"""A request this small fits into any pipe: it may be sent while the process is busy, and neither side can block."""

KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20)}
"""How much of a picture's memory a process keeps for the next one. By itself glibc keeps next to nothing, and its pages
are zeroed anew. Unlike `nexus._system.keep_freed_memory` with a limit: one huge picture must not be kept for ever."""

START_SECONDS = 60.0
WATCH_SECONDS = 0.05


@dataclass(frozen=True)
class Seeded:
    """A picture of which a random view is wanted.

    Attributes:
        source: the picture.
        seed: from which all chance of its augmentation follows, 0 <= seed < 2**63. The same seed gives the same view,
            whichever process renders it.
        size: side of the view; None: the spec's.
    """

    source: ImageLike
    seed: int
    size: int | None = None


@dataclass
class Decoded:
    """One item of the stream, decoded or failed.

    Attributes:
        index: position in the input.
        source: what to call the item: path, name, or kind of object.
        pixels: (H, W, 3) uint8, resized and cropped by the spec; None if failed.
        error: why it failed, else None.
        sha256: of the file's bytes that were decoded, in hex; None for pixels that came without a file.
        phash: 64-bit perceptual hash of the whole picture. Both hashes are None where the decoder leaves them out.
        size: (width, height) of the upright original.
    """

    index: int
    source: str
    pixels: np.ndarray | None = None
    error: ImageError | None = None
    sha256: str | None = None
    phash: int | None = None
    size: tuple[int, int] | None = None


class Decoder(Closing):
    """A pool of processes that turn pictures into a model's input.

    Use it as a context manager. Processes start when the first file arrives and stay for the next `stream`. Items that
    hold pixels already (PIL images, arrays, tensors) are resized in threads of this process: there is nothing in them
    to decode, and sending them would cost more. So is a PIL image that was opened but not loaded; it is the caller's.

    Args:
        spec: how a picture becomes the model's input; ``spec.decode`` says whether JPEGs may be decoded smaller.
        workers: processes; None: one per usable core.
        limits: what a picture may cost; None: the defaults of `Limits`.
        look_ahead: how many items may be under way or waiting to be taken, which bounds the memory; None: 128, fewer
            for large inputs.
        augment: how items that are `Seeded` are changed at random; None: like the others, not at all.
        hashes: whether to find each picture's content hash and perceptual hash.
    """

    def __init__(
        self,
        spec: PreprocessSpec,
        *,
        workers: int | None = None,
        limits: Limits | None = None,
        look_ahead: int | None = None,
        augment: AugmentConfig | None = None,
        hashes: bool = True,
    ) -> None:
        self.spec = spec
        self.augment, self.hashes = augment, hashes
        self.limits = limits or Limits()
        self.workers = usable_cores() if workers is None else workers
        if self.workers < 1:
            raise ConfigError(f"workers = {workers!r}: must be at least 1, or None for one per core")
        height, width = spec.size
        self.look_ahead = look_ahead or max(2 * self.workers, min(LOOK_AHEAD, LOOK_AHEAD_BYTES // (3 * height * width)))
        self._pool: _Pool | None = None

    def close(self) -> None:
        """Kill the processes and drop what is under way. The decoder may be used again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def stream(self, items: Iterable[ImageLike | Seeded]) -> Iterator[Decoded]:
        """Decode items, in the order of the input and a bounded number ahead of what is taken.

        A bad picture comes as an item with its `error`; it never raises. Leaving the loop early kills the processes
        (the next stream starts new ones). `items` is advanced in the caller's thread.

        Raises:
            NexusError: the worker processes do not start.
        """
        if self._pool is None:
            work = geometry(self.spec) | {"hashes": self.hashes}
            if self.augment is not None:
                work["augment"] = self.augment.to_dict()
            self._pool = _Pool(self.workers, work, self.limits)
        jobs = (self._job(index, item) for index, item in enumerate(items))
        window = _Window(self._pool, jobs, self.look_ahead, heavy=2 * self.workers)
        try:
            while window.jobs or not window.exhausted:
                # Two in for one out: the look-ahead fills up without holding back what is ready.
                window.submit()
                window.submit()
                while not window.is_ready() and window.submit():
                    pass
                if window.jobs:
                    yield window.jobs.popleft().future.result()
        except BaseException:
            self.close()
            raise

    def _job(self, index: int, item: ImageLike | Seeded) -> _Job:
        if not isinstance(item, Seeded):
            return _Job(index, item, {})
        work = {} if item.size is None else _geometry_at(self.spec, item.size)
        return _Job(index, item.source, work | {"seed": item.seed})


@lru_cache(maxsize=64)
def _geometry_at(spec: PreprocessSpec, size: int) -> dict[str, Any]:
    return geometry(spec.at(size))


class _Job:
    """One item under way; `work` holds what `worker.answer` is told about it alone."""

    def __init__(self, index: int, source: ImageLike, work: dict[str, Any]) -> None:
        self.index, self.name = index, describe_source(source)
        self.work = work
        self.source: ImageLike | None = source  # dropped when done
        self.future: Future[Decoded] = Future()
        self.path: bytes | None = None
        if isinstance(source, str | os.PathLike):
            with contextlib.suppress(ValueError):  # a name that no file system can have; reading it says so
                self.path = os.fsencode(source)

    @property
    def is_light(self) -> bool:
        """A path: takes no memory, and fits into a pipe whatever the other side does."""
        return self.path is not None and len(self.path) <= PIPELINED_BYTES

    def request(self) -> tuple[dict[str, Any], bytes] | None:
        """Return what to send to a process, or None for pixels that need no decoding."""
        if self.path is not None:
            return self.work | {"path": True}, self.path
        if isinstance(self.source, EncodedImage):
            return self.work | {"path": False}, self.source.data
        if isinstance(self.source, bytes | bytearray | memoryview):
            return self.work | {"path": False}, bytes(self.source)
        return None

    def finish(self, reply: dict[str, Any], pixels: bytes | bytearray = b"") -> None:
        self.source = None
        if "error" in reply:
            result = Decoded(self.index, self.name, error=ImageError(self.name, reply["error"]))
        else:
            array = np.frombuffer(pixels, np.uint8).reshape(reply["shape"])
            size = (reply["size"][0], reply["size"][1])
            result = Decoded(self.index, self.name, array, None, reply.get("sha256"), reply.get("phash"), size)
        with contextlib.suppress(InvalidStateError):  # failed meanwhile, by a decoder that is being closed
            self.future.set_result(result)

    def fail(self, error: BaseException) -> None:
        self.source = None
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)


class _Window:
    """The jobs of one stream that are under way or done but not taken, in the order of the input."""

    def __init__(self, pool: _Pool, waiting: Iterator[_Job], length: int, heavy: int) -> None:
        self.jobs: deque[_Job] = deque()
        self.exhausted = False
        self._pool, self._waiting = pool, waiting
        self._length, self._max_heavy = length, heavy
        self._heavy: deque[_Job] = deque()

    def is_ready(self) -> bool:
        return bool(self.jobs) and self.jobs[0].future.done()

    def submit(self) -> bool:
        """Put one more item under way; return False if there is none, or no room."""
        while self._heavy and self._heavy[0].future.done():
            self._heavy.popleft()
        # Items that carry their data are fewer: 128 arrays of 50 MB would be no bounded memory.
        if self.exhausted or len(self.jobs) >= self._length or len(self._heavy) >= self._max_heavy:
            return False
        try:
            job = next(self._waiting)
        except StopIteration:
            self.exhausted = True
            return False
        self.jobs.append(job)
        if not job.is_light:
            self._heavy.append(job)
        self._pool.submit(job)
        return True


class _Pool:
    """Lanes that share a queue, and a thread that watches their time limits."""

    def __init__(self, workers: int, work: dict[str, Any], limits: Limits) -> None:
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.closing = threading.Event()
        self.work, self.limits = work, limits
        self._lanes = [_Lane(self) for _ in range(workers)]
        for thread in (*self._lanes, threading.Thread(target=self._watch, daemon=True)):
            thread.start()

    def submit(self, job: _Job) -> None:
        self.jobs.put(job)
        if self.closing.is_set():  # perhaps too late for anyone to take it
            job.fail(NexusError("the decoder was closed"))

    def close(self) -> None:
        self.closing.set()
        for lane in self._lanes:
            lane.kill()
            self.jobs.put(None)
        for lane in self._lanes:
            lane.join()
        while not self.jobs.empty():
            job = self.jobs.get()
            if job is not None:
                job.fail(NexusError("the decoder was closed"))

    def _watch(self) -> None:
        while not self.closing.wait(WATCH_SECONDS):
            for lane in self._lanes:
                lane.enforce_deadline()


class _Lane(threading.Thread):
    """One worker process and the thread that talks to it.

    A second path is sent while the process is busy with the first, so that it never waits for this thread. Requests are
    answered in order: when the process dies, the first one unanswered is to blame, and the other is sent again.
    """

    def __init__(self, pool: _Pool) -> None:
        super().__init__(name="nexus-decode", daemon=True)
        self._pool = pool
        self._process: subprocess.Popen[bytes] | None = None
        self._sent: deque[_Job] = deque()
        self._held: _Job | None = None  # taken from the queue, but not sent yet
        self._lock = threading.Lock()  # over the three below, which other threads touch
        self._deadline = math.inf
        self._timed_out = False

    # -- called by other threads --------------------------------------------------------------------------------------

    def kill(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.kill()

    def enforce_deadline(self) -> None:
        with self._lock:
            if time.monotonic() > self._deadline and self._process is not None:
                self._timed_out = True
                self._process.kill()

    # -- this thread --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            while self._take():
                if self._held is not None and (not self._sent or self._held.is_light):
                    job, self._held = self._held, None
                    self._dispatch(job)
                else:
                    self._receive()
        finally:
            self._stop_process()

    def _take(self) -> bool:
        """Hold a job if one is to be had, waiting only when there is nothing else to do; return False to end."""
        if self._pool.closing.is_set():
            self._fail_all(NexusError("the decoder was closed"))
            return False
        if self._held is None and len(self._sent) < 2:
            try:
                self._held = self._pool.jobs.get(block=not self._sent)
            except queue.Empty:
                return True
            return self._held is not None or self._take()
        return True

    def _dispatch(self, job: _Job) -> None:
        request = job.request()
        if request is None:
            self._answer_here(job)
            return
        if self._sent and self._process is not None and self._process.poll() is not None:
            self._held = job  # it died at the picture before: its answer, or its end, is read first
            self._receive()
            return
        self._sent.append(job)
        try:
            requests, _ = self._ensure_process()
            if len(self._sent) == 1:
                self._set_deadline(self._pool.limits.seconds)
            write_frame(requests, *request)
        except NexusError as error:
            self._fail_all(error)
        except OSError:
            self._bury()

    def _answer_here(self, job: _Job) -> None:
        assert job.source is not None
        try:
            job.finish(*answer(job.source, self._pool.limits, **(self._pool.work | job.work)))
        except Exception as error:  # noqa: BLE001 - a foreign object may raise anything; the stream must hear of it
            job.fail(error)

    def _receive(self) -> None:
        assert self._process is not None
        try:
            reply, pixels = read_frame(_pipes(self._process)[1])
        except (EOFError, OSError):
            self._bury()
            return
        self._sent.popleft().finish(reply, pixels)
        if self._set_deadline(self._pool.limits.seconds if self._sent else math.inf):
            self._stop_process()  # killed in the instant of its answer: the answer counts
            self._resend()

    def _set_deadline(self, seconds: float) -> bool:
        """Start the clock of the next answer; return whether the last one ran out."""
        with self._lock:
            self._deadline = time.monotonic() + seconds
            timed_out, self._timed_out = self._timed_out, False
            return timed_out

    def _bury(self) -> None:
        """The process is gone: report the picture it was at, and keep the other for the next process."""
        timed_out = self._set_deadline(math.inf)
        status = self._stop_process(grace=1.0)
        if self._pool.closing.is_set():
            return
        reason = f"takes longer than {self._pool.limits.seconds:g} s" if timed_out else _describe_death(status)
        self._sent.popleft().finish({"error": reason})
        self._resend()

    def _resend(self) -> None:
        if self._sent:
            self._held = self._sent.popleft()

    def _fail_all(self, error: NexusError) -> None:
        for job in (*self._sent, self._held):
            if job is not None:
                job.fail(error)
        self._sent.clear()
        self._held = None

    def _ensure_process(self) -> tuple[FileIO, FileIO]:
        """Return the pipes to and from a running process."""
        if self._process is not None and self._process.poll() is not None:
            self._stop_process()  # it died while idle: no picture is to blame
        if self._process is not None:
            return _pipes(self._process)
        with self._lock:
            if self._pool.closing.is_set():
                raise NexusError("the decoder was closed")
            self._process = _start_process()
            self._deadline = time.monotonic() + START_SECONDS
        requests, replies = _pipes(self._process)
        try:
            write_frame(requests, {"limits": dataclasses.asdict(self._pool.limits), **self._pool.work})
            read_frame(replies)
        except (EOFError, OSError):
            self._set_deadline(math.inf)
            status = self._stop_process(grace=1.0)
            raise NexusError(
                f"the process that decodes pictures does not start ({sys.executable}: {_describe_death(status)}); "
                "what it printed is above"
            ) from None
        return requests, replies

    def _stop_process(self, grace: float = 0.0) -> int:
        """Kill and forget the process, after `grace` seconds to end by itself; return its exit status."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        process.kill()
        with process:  # closes the pipes and waits
            pass
        return process.returncode


def _pipes(process: subprocess.Popen[bytes]) -> tuple[FileIO, FileIO]:
    assert isinstance(process.stdin, FileIO)
    assert isinstance(process.stdout, FileIO)
    return process.stdin, process.stdout


BOOT = "import sys; sys.path.extend(sys.argv[1:]); from nexus.transforms.worker import main; main()"


def _start_process() -> subprocess.Popen[bytes]:
    """Start a worker. It finds what this process finds, but nothing in the current folder, and runs no site hooks."""
    paths = [str(Path(nexus.__file__).parent.parent), *(entry for entry in sys.path if entry)]
    dropped = ("PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if key not in dropped}
    # NumPy's BLAS would start a thread per core in each worker.
    single = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    environment = KEPT_MEMORY | environment | single  # what the user says of memory counts
    command = [sys.executable, "-S", "-P", "-c", BOOT, *paths]
    pipe = subprocess.PIPE
    # A group of its own is out of reach of the terminal's Ctrl-C, which is for this process to handle.
    if sys.platform == "win32":
        group = subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0, env=environment, creationflags=group)
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0, env=environment, process_group=0)


def _describe_death(status: int) -> str:
    if status >= 0:
        return f"the decoder ended with status {status}"
    name = signal.Signals(-status).name
    cause = " (perhaps memory ran out)" if name == "SIGKILL" else ""
    return f"the decoder was ended by {name}{cause}"
