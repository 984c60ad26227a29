"""Seeds, threads and a cache of its own for every test run."""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run in parallel; one thread each
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

if method := os.environ.get("NEXUS_START_METHOD"):  # `make test-all` runs what starts processes with "spawn" as well
    multiprocessing.set_start_method(method)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """The same random numbers in every run and order."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """No test reads or writes the user's cache, but those that fetch real weights, which share one across runs."""
    if request.node.get_closest_marker("registry") is None:
        monkeypatch.setenv("NEXUS_CACHE", str(tmp_path_factory.mktemp("cache")))
    for name in ("NEXUS_ACCEPT_LICENSES", "NEXUS_MIRROR", "NEXUS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def own_families() -> Iterator[None]:
    """What the test registers is forgotten behind it."""
    from nexus import registry

    yield
    registry._registered.clear()
    for name in [name for name in sys.modules if name.startswith("nexus_family_")]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of shipped photographs."""
    from nexus.assets import PHOTOS

    return PHOTOS


@pytest.fixture(scope="session")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-image's photograph of the cat Chelsea (CC0), for tests that fetch anyway."""
    from nexus.hub.fetching import _from_package
    from nexus.hub.sources import PackageSource

    source = PackageSource(index="pypi", package="scikit-image", version="0.26.0", member="skimage/data/chelsea.png")
    return _from_package(source, tmp_path_factory.mktemp("cat"), "a photograph", None).path
