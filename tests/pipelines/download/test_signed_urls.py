"""Tokens, signatures and passwords of a list's addresses: used to download, kept in one file, shown nowhere."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.errors import DataError
from avis_data.io import read_json
from avis_data.paths import Workspace
from avis_data.pipelines.engine.worker import Job, execute
from avis_data.records import Record
from avis_data.video_list import read_video_list
from avis_data.video_list.signed import check_kept, read_signed, without_secrets
from support.server import MediaServer
from support.shell import avis_data

SECRETS = [f"S3cr3t{number:02d}x" for number in range(20)]


def signed_list(web: MediaServer) -> str:
    """Every way in which a list may hold a secret, and rows whose download fails."""
    s = iter(SECRETS)
    with_user = web.url("a.mp4?part=7").replace("http://", f"http://{next(s)}:{next(s)}@")
    to = web.url(f"a.mp4?auth={next(s)}")
    rows = [
        f"# signed for {web.url('a.mp4')}?token={next(s)} until tomorrow; or x.org/b.mp4?sig={next(s)}",
        "url,video_id,license,note",
        f"{web.url('a.mp4')}?X-Amz-Expires=60&X-Amz-Signature={next(s)},,,",
        f'"{web.url("a.mp4")}?X-Amz-Expires=60&X-Amz-Signature={next(s)}",,,',
        f"{web.url('b.webm')}?v=7&token={next(s)},given,CC-BY,see http://x.org/?key={next(s)}",
        f"{with_user},,,",
        f"{web.url('redirect/a.mp4')}?session={next(s)}&to={to.replace('?', '%3F').replace('=', '%3D')},,,",
        f"{web.url('page/a.mp4')}?hdnts=exp={next(s)}~hmac={next(s)},,,",
        f"{web.url('status/404/gone.mp4')}?sig={next(s)}&v=8,,,",
        f"{web.url('status/403/no.mp4')}?sig={next(s)}#access_token={next(s)},,,",
        f"{web.url('type/text/html/empty.mp4')}?policy={next(s)},,,",
        f"x.org/c.mp4?token={next(s)},,,",
        f"ftp://me:{next(s)}@x.org/c.mp4,,,",
    ]
    return "\n".join(rows) + "\n"


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def files_with_secrets(root: Path) -> dict[str, int]:
    """Every file below a folder that holds any of them, with its mode."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and leaks(path.read_bytes().decode("latin-1") + path.name):
            found[path.relative_to(root).as_posix()] = path.stat().st_mode & 0o777
    return found


def urls_of(path: Path) -> list[str]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return [row["url"] for row in csv.DictReader(lines)]


def test_secrets_stand_in_one_file_and_are_shown_nowhere(tmp_path: Path, web: MediaServer) -> None:
    given, workspace = tmp_path / "list.csv", Workspace(tmp_path / "workspace")
    given.write_text(signed_list(web))
    options = ["--sleep", 0, "--retries", 0, "--workers", 4, "--allow-private-hosts", "--skip-bad-rows"]
    first = avis_data("-vv", "-C", workspace.root, "fetch", "--list", given, *options)
    assert first.code == 4, first.err
    assert files_with_secrets(workspace.root) == {"signed_urls.json": 0o600}
    assert not leaks(first.out + first.err)
    with closing(sqlite3.connect(workspace.ledger)) as ledger:
        assert ledger.execute("SELECT count(*) FROM items WHERE state = 'done'").fetchone() == (6,)
    shown = urls_of(workspace.video_list)
    assert shown[:2] == [
        f"{web.url('a.mp4')}?X-Amz-Expires=REDACTED{end}&X-Amz-Signature=REDACTED{end}" for end in ("", "-2")
    ]
    assert shown[2] == f"{web.url('b.webm')}?v=7&token=REDACTED", "what names the video stays"
    assert "CC-BY" in workspace.video_list.read_text()

    shutil.rmtree(workspace.source_dir())  # to be downloaded once more, from what the workspace holds alone
    given.unlink()
    again = avis_data("-vv", "-C", workspace.root, "fetch", "--retry-failed=all", *options[:-1])
    for shown_now in (avis_data("-C", workspace.root, "status", "--failed"), again):
        assert not leaks(shown_now.out + shown_now.err)
    assert len(list(workspace.source_dir().iterdir())) == 6
    assert files_with_secrets(workspace.root) == {"signed_urls.json": 0o600}
    assert [request.path for request in web.requests].count("/b.webm") >= 2


def test_a_workspace_without_the_file_keeps_what_is_done_and_says_what_is_missing(
    tmp_path: Path, web: MediaServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is handed on. A list that was signed anew brings the rest, and makes nothing again."""
    monkeypatch.chdir(tmp_path)
    given = tmp_path / "list.csv"
    options = ["--sleep", "0", "--retries", "0", "--allow-private-hosts"]
    rows = [f"{web.url('a.mp4')}?sig=S3cr3t00x", f"{web.url('status/404/b.mp4')}?sig=S3cr3t01x"]
    given.write_text("\n".join(["url", *rows]) + "\n")
    assert main(["-C", "ws", "fetch", "--list", str(given), *options]) == 4
    (tmp_path / "ws" / "signed_urls.json").unlink()
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["-C", "ws", "fetch", "--retry-failed=all", "--json", *options]) == 4
    told = capsys.readouterr()
    assert json.loads(told.out)["stages"][0]["already_done"] == 1
    assert "give the list again" in told.err
    given.write_text("\n".join(["url", rows[0].replace("00x", "02x"), f"{web.url('b.webm')}?sig=S3cr3t03x"]) + "\n")
    monkeypatch.chdir(tmp_path)
    assert main(["-C", "ws", "fetch", "--list", str(given), "--json", *options]) == 0
    told = capsys.readouterr()
    (stage,) = json.loads(told.out)["stages"]
    assert (stage["already_done"], stage["done"]) == (1, 1)
    assert files_with_secrets(tmp_path / "ws") == {"signed_urls.json": 0o600}
    given.write_text(f"url\n{web.url('a.mp4')}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["-C", "ws", "fetch", "--list", str(given), *options]) == 0
    assert not (tmp_path / "ws" / "signed_urls.json").exists(), "no secret is kept longer than its list"
    assert (tmp_path / "ws" / "videos.csv").read_bytes() == given.read_bytes(), "as given"


def test_the_whole_address_of_a_removed_video_goes_with_it(
    tmp_path: Path, web: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{web.url('status/404/a.mp4')}?sig={SECRETS[0]},gone",
        f"{web.url('status/404/b.mp4')}?sig={SECRETS[1]},kept",
    ]
    (tmp_path / "list.csv").write_text("\n".join(["url,video_id", *rows]) + "\n")
    assert (
        main(["-C", "ws", "fetch", "--list", str(tmp_path / "list.csv"), "--allow-private-hosts", "--sleep", "0"]) == 4
    )
    monkeypatch.chdir(tmp_path)
    assert main(["-C", "ws", "remove", "gone", "--reason", "takedown"]) == 0
    assert leaks((tmp_path / "ws" / "signed_urls.json").read_text()) == [SECRETS[1]]
    assert files_with_secrets(tmp_path / "ws") == {"signed_urls.json": 0o600}


@pytest.mark.parametrize(
    "text",
    [
        "url\r\nhttps://x.org/a?token=S3cr3t00x\r\n",
        "\ufeffurl,start\nHTTPS://X.org/a?token=S3cr3t00x,1\nhttps://x.org/a?token=S3cr3t00x,9\n",
        'url,note\n"https://x.org/a?token=S3cr3t00x","two\nlines"\n"https://x.org/b?token=S3cr3t00xy",\n',
        'url,note\n,"and\nhttps://x.org/c?sig=S3cr3t02x"\n"https://x.org/b?token=S3cr3t00x",\n',
        "https://x.org/a?token=S3cr3t00x\nhttps://me:S3cr3t01x@x.org/a?token=S3cr3t00x\n",
        "https://x.org/a?token=S3cr3t00x,S3cr3t01x&c=/1\n",
    ],
)
def test_lists_of_every_form_are_cut_and_read_back(text: str, tmp_path: Path) -> None:
    given, kept = tmp_path / "given.csv", tmp_path / "kept.csv"
    given.write_bytes(text.encode())
    before = read_video_list(given)
    kept.write_bytes(without_secrets(text, before.signed_cells).encode())
    assert not leaks(kept.read_text())
    check_kept(given, kept, before.signed)
    after = read_video_list(kept, signed=before.signed)
    assert (after.downloads, after.clips, after.signed) == (before.downloads, before.clips, before.signed)
    assert leaks("".join(before.signed.values()))


def test_what_cannot_be_cut_is_refused_and_not_kept(tmp_path: Path) -> None:
    given, kept = tmp_path / "given.csv", tmp_path / "kept.csv"
    given.write_text('url\n"https://x.org/a?v=""1""&token=S3cr3t00x"\n')
    kept.write_text('url\n"https://x.org/a?v=""1""&token=S3cr3t00x"\n')
    with pytest.raises(DataError, match="line 2: the secret part") as caught:
        check_kept(given, kept, {})
    assert not leaks(str(caught.value))


def test_others_cannot_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "signed_urls.json"
    path.write_text('{"urls": {}}')
    path.chmod(0o644)
    with pytest.raises(DataError, match="others may read"):
        read_signed(path)
    path.chmod(0o600)
    assert read_signed(path) == read_json(path)["urls"]


class _Careless:
    """A stage with a bug that quotes what it works with."""

    name, version, params = "careless", 1, Record()

    def run(self, bench: object) -> Record:
        raise KeyError(f"{getattr(bench, 'secret', '')} and {SECRETS[0]} in {bench!r}")

    def timeout_s(self, record: Record) -> float:
        return 1.0


def test_tracebacks_of_bugs_hold_no_secret(tmp_path: Path) -> None:
    url = f"https://me:{SECRETS[1]}@x.org/a?token={SECRETS[0]}"
    job = Job(
        item_id="a",
        record=Record(),
        root=tmp_path,
        inputs={},
        out=tmp_path / "out",
        scratch=tmp_path / "scratch",
        secret=url,
    )
    failed = execute(_Careless(), job)
    message = getattr(failed, "message", "")
    assert "KeyError" in message and not leaks(message) and not leaks(repr(job))
