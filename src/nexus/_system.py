"""What this process may use of the machine: cores and memory, with the limits of its container honoured."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory", "give_back_memory", "keep_freed_memory", "total_memory", "usable_cores"]

ROOT = Path("/")


def usable_cores(root: Path = ROOT) -> int:
    """Return how many cores this process may keep busy: affinity mask and cgroup quota (v1 and v2), at least 1.

    Args:
        root: where ``/proc`` and ``/sys`` are mounted.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(int(quota + 0.5) for quota in _cpu_quotas(root))]))


def total_memory(root: Path = ROOT) -> int:
    """Return the memory in bytes that this process may ever have: the machine's, or its cgroup's limit."""
    return min([_meminfo(root).get("MemTotal") or _physical_memory(), *(limit for limit, _ in _memory_limits(root))])


def available_memory(root: Path = ROOT) -> int:
    """Return the memory in bytes that can be had now without swapping. Where only the total is known: half of it."""
    free = _meminfo(root).get("MemAvailable") or _physical_memory() // 2
    return max(0, min([free, *(limit - used for limit, used in _memory_limits(root))]))


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Options of glibc's mallopt, by their numbers in malloc.h."""


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for the next batch, where glibc allots it (Linux).

    By itself glibc gives large blocks back to the system, and every page of the next batch's tensors is zeroed anew:
    much of the time of a network with large activations, in PyTorch on a CPU. Who has set one of glibc's variables,
    such as ``MALLOC_TRIM_THRESHOLD_``, keeps what they say.

    Returns:
        Whether it does now.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    return mallopt is not None and all([mallopt(M_TRIM_THRESHOLD, -1), mallopt(M_MMAP_MAX, 0)])


def give_back_memory() -> None:
    """Give back once what `keep_freed_memory` keeps: after work of another kind, whose blocks are not used again."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's cgroup and all its ancestors, for v2 and for v1's `controller`."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / controllers, root / "sys/fs/cgroup" / controller]
        else:
            continue
        # Inside a container the path may be the host's, and absent here: then only the mount itself applies.
        inner = Path(path.lstrip("/"))
        for mount in mounts:
            yield from (mount / folder for folder in (inner, *inner.parents))


def _cpu_quotas(root: Path) -> Iterator[float]:
    for folder in _cgroups(root, "cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.strip().isdigit() and period.strip().isdigit() and int(period):
            yield int(quota) / int(period)


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield (limit, used) in bytes; file cache that can be dropped does not count as used."""
    names = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for folder in _cgroups(root, "memory"):
        for limit_file, used_file, cache_key in names:
            limit, used = _read(folder / limit_file).strip(), _read(folder / used_file).strip()
            if limit.isdigit() and used.isdigit():
                cache = _table(_read(folder / "memory.stat"), "").get(cache_key, 0)
                yield int(limit), max(0, int(used) - cache)


def _meminfo(root: Path) -> dict[str, int]:
    return {key: kib * 1024 for key, kib in _table(_read(root / "proc/meminfo"), ":").items()}


def _table(text: str, separator: str) -> dict[str, int]:
    rows = (line.split() for line in text.splitlines())
    return {row[0].removesuffix(separator): int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _physical_memory() -> int:
    if sys.platform == "win32":
        import ctypes

        class Status(ctypes.Structure):  # MEMORYSTATUSEX of the Windows API
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (name, ctypes.c_ulonglong)
                for name in ("total", "free", "t_page", "f_page", "t_virt", "f_virt", "f_ext")
            ]

        status = Status(length=ctypes.sizeof(Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return int(status.total)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
