"""``python -m benchmarks [NAME ...]``: measure, and write ``results/<name>.md`` and ``.json``."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import traceback
from pathlib import Path

from benchmarks.report import Settings
from nexus import hub

HERE = Path(__file__).resolve().parent

BENCHMARKS = {
    "index": "1,000 photographs to an index, beside the usual ways of doing it",
    "search": "a million vectors, beside FAISS itself",
    "models": "the backbones beside transformers and timm, in eager and under the automatic engine",
    "training": "training steps beside timm and transformers",
    "fashion_mnist": "from random weights, and on frozen features, on Fashion-MNIST",
    "cifar10": "what the features are worth: kNN and linear probe on CIFAR-10",
    "loading": "batches for training, beside torchvision's ImageFolder and DataLoader",
    "growth": "time and memory of training on 1,000 to 100,000 pictures",
    "probe": "learning on frozen features: beside scikit-learn, with few examples, DINOv2-S beside a ResNet",
    "anomaly": "defects on textures, found from normal pictures alone",
    "startup": "time to import and to print help; memory by number of images",
}

RIVALS = {"index", "loading", "models", "training"}
"""Benchmarks that compare with other libraries, and so may run in another environment."""


def main() -> int:
    """Run the benchmarks that were asked for; return the exit code."""
    options = _parse()
    failed = []
    for name in options.names or BENCHMARKS:
        if name in RIVALS and options.reference_env and not _is_inside(options.reference_env):
            code = _run_inside(options.reference_env, name, options)
        else:
            code = _run(name, options)
        failed += [name] if code else []
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parse() -> argparse.Namespace:
    listed = "\n".join(f"  {name:10}{text}" for name, text in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"benchmarks:\n{listed}",
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is given")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    parser.add_argument("--reference-env", type=Path, metavar="PATH", help="a virtual environment with the rivals")
    parser.add_argument("--out", type=Path, help="where to write; by default results/, with --quick build/benchmarks")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    return options


def _run(name: str, options: argparse.Namespace) -> int:
    data = Path(os.environ.get("NEXUS_BENCH_DATA") or hub.cache_dir() / "benchmarks")
    data.mkdir(parents=True, exist_ok=True)
    try:
        report = importlib.import_module(f"benchmarks.{name}").run(Settings(quick=options.quick, data=data))
    except Exception:  # noqa: BLE001 - the others may take hours and are worth having
        traceback.print_exc()
        return 1
    out = options.out or (HERE.parent / "build" / "benchmarks" if options.quick else HERE / "results")
    path = report.write(out, _command(name, options))
    print(path.read_text(encoding="utf-8"))
    return 0


def _run_inside(environment: Path, name: str, options: argparse.Namespace) -> int:
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [str(python), "-m", "benchmarks", name, "--reference-env", str(environment)]
    command += ["--quick"] if options.quick else []
    command += ["--out", str(options.out.resolve())] if options.out else []
    return subprocess.run(command, cwd=HERE.parent, check=False).returncode


def _is_inside(environment: Path) -> bool:
    return Path(sys.prefix).resolve() == environment.resolve()


def _command(name: str, options: argparse.Namespace) -> str:
    """Return what a reader types to repeat it; paths of this machine are nobody else's."""
    reference = " --reference-env ENVIRONMENT" if name in RIVALS and options.reference_env else ""
    return f"python -m benchmarks {name}{' --quick' if options.quick else ''}{reference}"


if __name__ == "__main__":
    sys.exit(main())
