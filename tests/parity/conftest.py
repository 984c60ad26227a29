"""What parity tests with real weights share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photograph of a cat (`skimage.data.chelsea`), out of a package of the index; for `registry` tests only."""
    from nexus.hub.archive import extract
    from nexus.hub.download import download
    from nexus.hub.package_index import archive_name, find_archives
    from nexus.hub.sources import PackageSource

    member, folder = "skimage/data/chelsea.png", tmp_path_factory.mktemp("scikit-image")
    source = PackageSource(index="pypi", package="scikit-image", version="0.26.0", member=member)
    link = next(iter(find_archives(source)))
    archive = download(link, folder / archive_name(link), stage="download", progress=None)
    return extract(archive, member, folder / "member").path
