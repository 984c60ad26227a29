from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus._system import available_memory, total_memory, usable_cores

MEMINFO = "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_machine() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    assert 2**27 < available_memory() <= total_memory()


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("40000", 1), ("max", None)])
def test_cpu_quota_of_version_2(tmp_path: Path, quota: str, cores: int | None) -> None:
    # The limit is the parent's, and the inner path is the host's.
    files = {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": f"{quota} 100000\n"}
    assert usable_cores(write(tmp_path, files)) == (cores or usable_cores(tmp_path / "none"))


def test_cpu_quota_of_version_1_seen_from_inside_a_container(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    assert usable_cores(write(tmp_path, files)) == 1
    (tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us").write_text("-1\n")
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "none")


def test_memory_without_limits(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": MEMINFO})
    assert total_memory(tmp_path) == 16_000_000 * 1024
    assert available_memory(tmp_path) == 8_000_000 * 1024


def test_memory_limit_of_version_2_counts_no_file_cache(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/job\n",
        "sys/fs/cgroup/job/memory.max": "1000\n",
        "sys/fs/cgroup/job/memory.current": "700\n",
        "sys/fs/cgroup/job/memory.stat": "anon 400\ninactive_file 300\n",
    }
    write(tmp_path, files)
    assert (total_memory(tmp_path), available_memory(tmp_path)) == (1000, 600)


def test_memory_limit_of_version_1(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "6000\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 10\n",
    }
    write(tmp_path, files)
    assert (total_memory(tmp_path), available_memory(tmp_path)) == (5000, 0)


FAULTS = """
import resource, sys
from nexus._system import give_back_memory, keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = bytearray(64 * 2**20)  # as a large activation
    block[:: 4096] = bytes(len(block) // 4096)
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(keep_freed_memory(), [faults() for _ in range(3)][-1])
give_back_memory()
print(faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another allocator")
@pytest.mark.parametrize("variables", [{}, {"MALLOC_ARENA_MAX": "2"}])
def test_freed_memory_is_kept_until_given_back_unless_the_user_has_set_the_allocator(variables: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | variables
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True, check=True)
    kept, faults, faults_after = done.stdout.split()
    assert kept == str(not variables)
    assert (int(faults) < 1000) is (not variables)  # of 16,384 pages
    assert int(faults_after) > 10_000, "what was kept has been given back"
