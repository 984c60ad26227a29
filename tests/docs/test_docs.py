"""Every command and every line of Python in the README, in docs/ and in examples/ is run; links lead somewhere."""

from __future__ import annotations

import importlib
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from pages import RUN, SHOWN, blocks, run_page

from nexus import hub, registry
from nexus.commands import VERBS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
WITH_COMMANDS = [page for page in PAGES if any(b.language in RUN and b.reason is None for b in blocks(page))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

NOT_RUN = {
    "README.md": ["installs", "installs", "installs"],
    "CONTRIBUTING.md": ["installs"],
    "docs/how-to/install.md": ["installs"] * 6,
    "docs/how-to/weights.md": [
        "needs the Hugging Face hub",
        "fetches the weights again",
        "needs another machine",
        "needs the Hugging Face hub",
    ],
    "docs/how-to/images.md": ["needs the web"],
    "docs/how-to/engines.md": ["needs a GPU"],
    "docs/how-to/text.md": [
        *["fetches CLIP from the web"] * 3,
        "fetches SigLIP 2 from the web",
        *["fetches CLIP from the web"] * 3,
    ],
    "docs/how-to/many-machines.md": [
        "needs several GPUs",
        "needs several machines",
        "needs several processes",
        "needs several processes",
    ],
    "docs/how-to/training-data.md": ["needs the Hugging Face hub"],
    "docs/tutorial.md": ["installs"],
}
"""Page -> why each of its blocks that are not run is not. A new one must be entered here."""

PHOTOS = (
    "alpaca.jpg", "calf.jpg", "camels.jpg", "giraffe.jpg", "carcassonne.jpg", "chambord.jpg", "chenonceau.jpg",
    "DSC_1187.jpg", "palais-des-papes.jpg", "gibbon.jpg", "gibbon-cropped.jpg",
)  # fmt: skip
"""Two kinds of things, an exact and a near duplicate: the least that the pages need."""

WEIGHTS = ("dinov2_vits14", "efficientnet_lite0")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def desk(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, own_families: None) -> Path:
    """The folder in which a reader sits: some photos, and a cache that holds the weights."""
    for variant in WEIGHTS:
        hub.fetch(registry.variant(variant).weights, name=variant, mirror=True)
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "weights").symlink_to(hub.cache_dir() / "weights", target_is_directory=True)
    monkeypatch.setenv("NEXUS_CACHE", str(cache))
    monkeypatch.setenv("NEXUS_MIRROR", "1")
    desk = tmp_path / "desk"
    (desk / "photos").mkdir(parents=True)
    for photo in PHOTOS:
        shutil.copy(photos / photo, desk / "photos" / photo)
    monkeypatch.chdir(desk)
    return desk


@pytest.mark.registry
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_a_page_does_what_it_says(page: Path, desk: Path) -> None:
    run_page(page, shell=page.name == "README.md")


@pytest.mark.registry
@pytest.mark.parametrize("script", EXAMPLES, ids=name)
def test_an_example_runs(
    script: Path, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), "photos"])
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out


def test_what_is_not_run_is_listed() -> None:
    found = {name(page): [b.reason for b in blocks(page) if b.reason is not None] for page in PAGES}
    assert {page: reasons for page, reasons in found.items() if reasons} == NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page: Path) -> None:
    found = blocks(page)
    assert len(re.findall(r"^\s*```", page.read_text(encoding="utf-8"), re.M)) == 2 * len(found)
    assert {block.language for block in found} <= {*RUN, *SHOWN}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{name(page)} links to {target}"


def test_the_readmes_table_is_the_table_of_verbs() -> None:
    rows = re.findall(r"^\| `nexus ([a-z ]+)` \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert dict(rows) == {verb: summary for verb, (_, summary) in VERBS.items()}


def test_every_verb_is_in_the_reference() -> None:
    reference = (DOCS / "reference" / "verbs.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: (\S+)$", reference, re.M)
    assert [target.replace(":", ".") for target, _ in VERBS.values()] == shown[: len(VERBS)]


@pytest.mark.parametrize("picture", sorted((DOCS / "images").iterdir()), ids=name)
def test_pictures_are_small_and_shown(picture: Path) -> None:
    assert picture.stat().st_size < 300_000
    assert any(picture.name in page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("family", registry.families())
def test_the_reference_has_every_family(family: str) -> None:
    """All public classes and configs of a family stand on the page that is made of docstrings."""
    listed = set(re.findall(r"\w+", (DOCS / "reference" / "models.md").read_text()))
    public = importlib.import_module(registry.families()[family].package).__all__
    assert set(public) <= listed, "docs/reference/models.md lacks a class"
