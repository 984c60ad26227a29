"""A licence that forbids commercial use, or a gate, is shown and accepted before the first byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hub_server import Page, Server
from safetensors.torch import save

from nexus import hub, registry
from nexus.errors import DownloadError, LicenseError
from nexus.hub.licenses import restriction
from nexus.models.loading import load_model

WEIGHTS = save({"w": torch.arange(30_000.0)})
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCE = {"kind": "huggingface", "repository": "owner/tiny", "revision": COMMIT}
FILE = f"/owner/tiny/resolve/{COMMIT}/model.safetensors"


def serve_hub(server: Server, monkeypatch: pytest.MonkeyPatch, card: dict, gated: str | bool = False) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    files = {"config.json": b'{"model_type": "tiny"}', "model.safetensors": WEIGHTS}
    for name, content in files.items():
        server.pages[f"/owner/tiny/resolve/{COMMIT}/{name}"] = Page(content, headers={"X-Repo-Commit": COMMIT})
    about = {"id": "owner/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
    described = json.dumps({**about, "cardData": card, "gated": gated}).encode()
    for path in ("/api/models/owner/tiny", f"/api/models/owner/tiny/revision/{COMMIT}"):
        server.pages[path] = Page(described, "application/json")


def url_source(server: Server, **changes: str | None) -> dict:
    server.pages["/m.safetensors"] = Page(WEIGHTS)
    return {"kind": "url", "url": f"{server.url}/m.safetensors", "license": "CC-BY-NC-4.0", **changes}


@pytest.mark.parametrize(
    ("license", "reason"),
    [
        ("CC-BY-NC-4.0", "no commercial use"),
        ("cc-by-nc-sa-4.0", "no commercial use"),
        ("fair-noncommercial-research-license", "no commercial use"),
        ("LicenseRef-Non-Commercial", "no commercial use"),
        ("apple-amlr", "no commercial use"),
        ("Apache-2.0", None),
        ("CC-BY-4.0", None),
        ("NCSA", None),
        (None, None),
    ],
)
def test_which_licences_restrict(license: str | None, reason: str | None) -> None:
    assert restriction(license) == reason
    assert restriction(license, gated=True) == (reason or "gated: its owners ask you to agree to their terms")


def test_nothing_is_fetched_before_the_licence_is_accepted(server: Server, events) -> None:
    collected, progress = events
    source = url_source(server)
    with pytest.raises(LicenseError) as caught:
        hub.fetch([source], name="tiny")
    assert str(caught.value) == (
        f"tiny is under CC-BY-NC-4.0 (no commercial use), says {server.url}/m.safetensors; its text: "
        "https://spdx.org/licenses/CC-BY-NC-4.0.html. Nothing was fetched. If you accept the licence, say so: "
        "accept_license=True, --accept-license, or NEXUS_ACCEPT_LICENSES=tiny"
    )
    assert server.requests == []
    path = hub.fetch([source], name="tiny", accept_license=True, progress=progress)
    assert collected[0].note.startswith("tiny is under CC-BY-NC-4.0 (no commercial use)")
    assert collected[0].note.endswith("You accepted it")
    assert hub.fetch([source], name="tiny") == path  # in the cache: accepted before
    assert len(server.requests) == 1


@pytest.mark.parametrize("listed", ["1", "tiny", "other, TINY", "t*", "cc-by-nc-*", "*"])
def test_accepted_by_variable(server: Server, monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    source = url_source(server)
    monkeypatch.setenv("NEXUS_ACCEPT_LICENSES", "other,,CC-BY-NC-SA-4.0,0")
    with pytest.raises(LicenseError):
        hub.fetch([source], name="tiny")
    monkeypatch.setenv("NEXUS_ACCEPT_LICENSES", listed)
    assert hub.fetch([source], name="tiny").is_file()


def test_the_variants_licence_holds_where_a_source_states_none(server: Server) -> None:
    with pytest.raises(LicenseError, match=r"tiny is under CC-BY-NC-4\.0"):
        hub.fetch([url_source(server, license=None)], name="tiny", license="CC-BY-NC-4.0")


def test_a_source_with_a_free_licence_is_taken_instead(server: Server) -> None:
    sources = [{**SOURCE, "license": "CC-BY-NC-4.0"}, url_source(server, license="MIT")]
    assert hub.fetch(sources, name="tiny").is_file()


def test_where_the_rest_fails_the_licence_is_what_helps(server: Server) -> None:
    sources = [url_source(server), {"kind": "url", "url": f"{server.url}/absent", "license": "MIT"}]
    with pytest.raises(LicenseError, match=r"(?s)could not be fetched.*accept_license=True.*404"):
        hub.fetch(sources, name="tiny")


def test_a_gated_source(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_hub(server, monkeypatch, {}, gated="manual")
    source = {**SOURCE, "gated": True, "license": "Apache-2.0"}
    with pytest.raises(LicenseError, match=r"Apache-2.0 \(gated: .*; its text: https://huggingface.co/owner/tiny\. "):
        hub.fetch([source], name="tiny")
    assert server.requests == []
    server.pages[FILE].statuses = [401, 401]
    with pytest.raises(DownloadError, match=r"Agree to its terms at https://huggingface\.co/owner/tiny, .* HF_TOKEN"):
        hub.fetch([source], name="tiny", accept_license=True)
    server.pages[FILE].statuses = []
    assert hub.fetch([source], name="tiny", accept_license=True).read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("card", "gated", "reason"),
    [
        ({"license": "cc-by-nc-4.0"}, False, "is under cc-by-nc-4.0"),
        ({"license": "other", "license_name": "tiny-research"}, False, "is under tiny-research"),
        ({"license": "mit"}, "auto", "is under mit"),
        ({}, "auto", "is under a licence of its own"),
    ],
)
def test_what_the_card_states_counts_too(
    server: Server, monkeypatch: pytest.MonkeyPatch, card: dict, gated: str | bool, reason: str
) -> None:
    """Our data may not know the licence, or the owners may have changed it."""
    serve_hub(server, monkeypatch, card, gated)
    with pytest.raises(LicenseError, match=f"tiny {reason} .*says the card of owner/tiny"):
        hub.fetch([SOURCE], name="tiny")
    with pytest.raises(LicenseError, match=f"owner/tiny {reason} .*says its card"):
        hub.fetch_repository("owner/tiny", revision=COMMIT)
    assert server.asked(FILE) == []
    assert hub.fetch([SOURCE], name="tiny", accept_license=True).read_bytes() == WEIGHTS
    folder = hub.fetch_repository("owner/tiny", revision=COMMIT, accept_license=True)
    assert hub.fetch_repository("owner/tiny", revision=COMMIT) == folder  # fetched before


@pytest.mark.parametrize(
    "name", [name for name in registry.list_models() if restriction(registry.variant(name).license)]
)
def test_no_restricted_variant_is_fetched_unasked(name: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    with pytest.raises(LicenseError, match=f"{name} is under "):
        load_model(name, mirror=True)
    assert server.requests == []


def test_a_file_of_ones_own_needs_no_acceptance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nexus.models.cv import DINOv2

    config = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 1, "num_heads": 2}
    DINOv2(config).save_pretrained(tmp_path)
    variant = registry.Variant(
        name="tiny",
        family="dinov2",
        class_name="DINOv2",
        config=config,
        weights=({"kind": "url", "url": (tmp_path / "model.safetensors").as_uri()},),
        license="CC-BY-NC-4.0",
    )
    monkeypatch.setattr(registry, "variant", lambda _: variant)
    assert DINOv2.from_pretrained("tiny", weights=tmp_path / "model.safetensors").variant == "tiny"
    with pytest.raises(LicenseError, match="accept_license=True"):
        DINOv2.from_pretrained("tiny")
    assert DINOv2.from_pretrained("tiny", accept_license=True).variant == "tiny"
