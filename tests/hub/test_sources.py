"""Sources are parsed from literal dicts, and mistakes in them are named."""

from __future__ import annotations

import pytest

from nexus.errors import ConfigError
from nexus.hub import HuggingFaceSource, PackageSource, UrlSource, parse_source

HUGGINGFACE = {"kind": "huggingface", "repository": "owner/name", "revision": None, "sha256": None, "license": None}
PACKAGE = {
    "kind": "package",
    "index": "npm",
    "package": "@scope/name",
    "version": "1.0.0-rc.1",
    "member": "a/model.json",
}
URL = {"kind": "url", "url": "https://corp.test/m.pth", "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("values", "kind"), [(HUGGINGFACE, HuggingFaceSource), (PACKAGE, PackageSource), (URL, UrlSource)]
)
def test_round_trip(values: dict, kind: type) -> None:
    source = parse_source(values)
    assert type(source) is kind
    assert parse_source(source.to_dict()) == source == parse_source(source)
    assert str(source)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "kind = None"),
        ({"kind": "hugingface"}, "did you mean 'huggingface'"),
        ({**HUGGINGFACE, "repo": "x"}, "unknown key 'repo'"),
        ({**HUGGINGFACE, "repository": "../../etc"}, "repository = "),
        ({**HUGGINGFACE, "file": "../model.safetensors"}, "file = .*stays inside"),
        ({**PACKAGE, "member": "/etc/passwd"}, "member = .*stays inside"),
        ({**PACKAGE, "package": "a/../b"}, "package = "),
        ({**PACKAGE, "version": "1/../2"}, "version = "),
        ({**PACKAGE, "archive": "../x.whl"}, "archive = "),
        ({**PACKAGE, "index": "conda"}, "index = 'conda'"),
        ({**URL, "url": "ftp://corp.test/x"}, "url = "),
        ({**URL, "sha256": "abc"}, "sha256 = 'abc'"),
        ({"kind": "url"}, "missing key 'url'"),
    ],
)
def test_mistakes(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_source(values)


def test_key_is_of_the_tensors_not_of_what_is_said_about_them() -> None:
    key = parse_source(PACKAGE).key
    assert parse_source({**PACKAGE, "license": "MIT", "size": 3, "archive_sha256": "1" * 64}).key == key
    assert parse_source({**PACKAGE, "version": "2"}).key != key
    assert parse_source({**HUGGINGFACE, "gated": True}).key == parse_source(HUGGINGFACE).key


def test_password_is_not_shown() -> None:
    source = parse_source({**URL, "url": "https://me:secret@corp.test/m.pth"})
    assert "secret" not in str(source) + str(source.described())
    assert source.key == parse_source(URL).key
