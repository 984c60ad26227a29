"""The benchmarks run from end to end at tiny sizes, so that they cannot rot; what they write is what they measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmarks.__main__ import BENCHMARKS
from benchmarks.anomaly import CROP, inlay, scratch, stain
from benchmarks.cifar10 import read
from benchmarks.photographs import jpegs
from benchmarks.processes import private_memory, tree_memory
from benchmarks.report import Report, Table
from PIL import Image

from nexus.engines.timing import compare
from nexus.errors import ConfigError
from nexus.transforms.image import open_image

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.registry
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_runs_at_tiny_sizes(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NEXUS_MIRROR": "1"}
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / f"{name}.json").read_text())
    assert written["command"] == f"python -m benchmarks {name} --quick"
    assert written["machine"]["cores"] >= 1
    assert all(table["rows"] for table in written["tables"])
    assert (tmp_path / f"{name}.md").read_text().startswith(f"# {written['title']}")


def test_unknown_name_is_refused() -> None:
    command = [sys.executable, "-m", "benchmarks", "indx"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no benchmark is called indx; there are index" in done.stderr


def test_readme_describes_every_benchmark() -> None:
    text = (ROOT / "benchmarks/README.md").read_text()
    assert all(f"[`{name}`]({name}.py)" in text and f"results/{name}.md" in text for name in BENCHMARKS)


def test_photographs_differ_and_are_made_once(tmp_path: Path) -> None:
    paths = jpegs(tmp_path, 30, (64, 48))
    contents = {path.read_bytes() for path in paths}
    assert len(contents) == 30
    assert {open_image(path).size for path in paths} == {(64, 48)}
    made = [path.stat().st_mtime_ns for path in paths]
    more = jpegs(tmp_path, 31, (64, 48))
    assert [path.stat().st_mtime_ns for path in more[:30]] == made


def test_cifar_is_read_row_by_row(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 5, 32, 32, 3), dtype=np.uint8)
    for number, batch in enumerate(pictures):
        Image.fromarray(batch.reshape(5, 1024, 3)).save(tmp_path / f"{number}.png")
    (tmp_path / "labels.json").write_text(json.dumps([3, 1] * 5))
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        for name in ("0.png", "1.png", "labels.json"):
            archive.add(tmp_path / name, f"package/{name}")
    split = read(tmp_path / "package.tgz", ["0.png", "1.png"], "labels.json")
    assert np.array_equal(split.pictures, pictures.reshape(10, 32, 32, 3))
    assert split.labels == ["3", "1"] * 5
    assert split.first(3).labels == ["3", "1", "3"]


@pytest.mark.parametrize("damage", [scratch, stain, inlay])
def test_defects_lie_in_their_masks(damage: Callable[..., tuple[Image.Image, Image.Image]]) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(90, 160, (CROP, CROP, 3), dtype=np.uint8))
    other = Image.new("RGB", (512, 512), "#20c040")
    for _ in range(5):
        damaged, mask = damage(picture, other, rng)
        changed = np.abs(np.asarray(damaged, dtype=int) - np.asarray(picture, dtype=int)).max(2)
        inside = np.asarray(mask) > 0
        assert 20 < inside.sum() < 0.2 * CROP**2
        assert np.median(changed[inside]) > 15
        assert changed[~inside].mean() < 1


def test_memory_of_a_tree_counts_children() -> None:
    child = subprocess.Popen([sys.executable, "-c", "b = bytearray(100_000_000); print(len(b), flush=True); input()"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    with child:
        if not Path("/proc/self/stat").exists():
            with pytest.raises(ConfigError):
                tree_memory(child.pid)
            return
        assert child.stdout is not None
        child.stdout.readline()
        total, alone = tree_memory(os.getpid())
        of_child, _ = tree_memory(child.pid)
        private = private_memory(child.pid)
        child.kill()
    assert of_child > private > 100_000_000
    assert private_memory(child.pid) == 0  # it is gone
    assert total == pytest.approx(alone + of_child, rel=0.05)


def test_reports_show_what_was_timed() -> None:
    now = [0.0]

    def work(seconds: float) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + seconds)

    timing = compare({"theirs": work(4), "ours": work(2)}, "theirs", pairs=2, units=8, clock=lambda: now[0])
    report = Report("x", "Title", [Table.timed("Speed", timing)], "Method.")
    text = report.to_markdown("python -m benchmarks x")
    assert "| theirs | 2.0 | 1.00 |  | 2 |" in text
    assert "| ours | 4.0 | 2.00 | 2.00 to 2.00 | 2 |" in text
    assert report.to_dict("")["tables"][0]["rows"][1]["times as fast"] == 2.0
