"""No command writes or deletes outside of a workspace through a link, but in folders that the owner put elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from avis_data.cli.commands import cli
from avis_data.cli.main import main
from avis_data.cli.written_path import WrittenPath
from avis_data.errors import ConfigError, DataError
from avis_data.io import append_lines, atomic_dir, atomic_path, move, remove, write_json
from avis_data.ledger import Ledger
from avis_data.links.check import check_links
from avis_data.links.put_folders import put
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.upkeep.places import PLACES
from support.commands_by_place import CLIP, ONLY_READ, WRITE_IN_A_WORKSPACE, WRITE_WHERE_THEY_ARE_TOLD
from support.fake_workspace import FakeClip, FakeTrack, make_workspace

FOLDERS = [
    *(".tmp", ".tmp/fetch", ".tmp/extract", "sources", "clips", f"clips/{CLIP}", f"clips/{CLIP}/frames"),
    *("features", "features/vggish", "features/vggish/clips", "masks", "manifest", "annotations", "annotations/draft"),
    *("exports", "exports/old", "exports/old/train", "runs", "runs/first", "label-studio", "label-studio/data"),
]
FILES = [
    *(".lock", "ledger.sqlite", "ledger.sqlite-wal", "recipe.yaml", "videos.csv", "manifest/clips.jsonl"),
    *("signed_urls.json", f"clips/{CLIP}/audio.wav", "annotations/draft/tasks.jsonl", "label-studio/secrets.json"),
    *("exports/old/certificate.json", "runs/first/log.jsonl", "masks/part-0.parquet"),
]
WRITTEN_IN_PLACE = [
    *(".lock", "ledger.sqlite", "annotations/draft/tasks.jsonl", "annotations/draft/.lock", "runs/first/log.jsonl"),
    *("label-studio/secrets.json", "label-studio/server.log", ".tmp/fetch/dog_a/scratch/dog_a.mp4.part"),
]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    clips = [FakeClip(clip_id=CLIP, video_id="dog", tracks=(FakeTrack(track_id="1", round="accepted"),))]
    found = make_workspace(tmp_path / "workspace", clips)
    (tmp_path / "list.csv").write_text("url\nhttp://127.0.0.1:9/a.mp4\n")
    (tmp_path / "truth.json").write_text("{}")
    return found


def victim_of(workspace: Workspace) -> Path:
    return workspace.root.parent / "victim"


def moved_out(workspace: Workspace, place: str, *, is_folder: bool, link: Callable[[Path, Path], object]) -> None:
    """What lies at a place lies in a folder outside then, and a link leads there."""
    path, victim = workspace.root / place, victim_of(workspace)
    victim.mkdir()
    (victim / "diary.txt").write_text("mine\n")
    target = victim if is_folder else victim / "file"
    if path.exists():
        if is_folder:
            shutil.copytree(path, target, dirs_exist_ok=True)
            shutil.rmtree(path)
        else:
            shutil.move(path, target)
    elif is_folder:
        (target / "out-1-1").mkdir()
        (target / "out-1-1" / ".part-x").write_text("mine\n")
    else:
        target.write_text("mine\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    link(target, path)


def seen(folder: Path) -> dict[str, tuple[object, ...]]:
    """Names, kinds, rights, times and bytes of all that is below a folder; no link is followed."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, content)
    return found


def leaf_commands(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaf_commands(command, (*above, name))
        elif command is not None:
            yield " ".join((*above, name)), command


def test_every_command_has_its_row() -> None:
    rows = [*WRITE_IN_A_WORKSPACE, *WRITE_WHERE_THEY_ARE_TOLD, *ONLY_READ]
    assert sorted(rows) == sorted(name for name, _ in leaf_commands(cli)), (
        "say of the command where it writes, and it is tried below"
    )


FILES_THAT_ARE_READ = {
    *("--checkpoint", "--config", "--cookies", "--data", "--engine-weights", "--init", "--list", "--media", "--pred"),
    *("--score", "--shown", "--split-file", "--truth", "--video", "--weights", "--backend-token-file", "--token-file"),
    *("--map-file", "--run", "--env", "--subset", "--scenes", "--detector-weights", "--tagger-weights"),
}
"""An environment holds links by its nature; only `annotate install` changes one, which is no part of a workspace."""


def test_every_option_that_names_a_file_says_whether_it_is_written() -> None:
    """One that is written is a `WrittenPath`, which looks for links."""
    paths, written = set(), set()
    for _, command in leaf_commands(cli):
        for option in command.params:
            if isinstance(option, click.Option) and isinstance(option.type, click.Path):
                (written if isinstance(option.type, WrittenPath) else paths).update(option.opts[:1])
    assert paths <= FILES_THAT_ARE_READ
    assert written >= {"--out", "--html", "--keep", "--save", "--errors", "--per-video", "--windows"}


def test_every_folder_that_a_workspace_has_is_looked_at(workspace: Workspace) -> None:
    tops = {place.pattern.partition("/")[0] for place in PLACES if "/" in place.pattern}
    for name in sorted(top for top in tops if "*" not in top):
        link = workspace.root / name / "new"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(workspace.root.parent)
        assert refused(workspace), name
        link.unlink()
    assert {"clips", "fingerprints", ".tmp", "label-studio"} <= tops


def check_all_refuse(workspace: Workspace, capsys: pytest.CaptureFixture[str], *, words: str) -> None:
    before, all_before = seen(victim_of(workspace)), seen(workspace.root)
    for command, arguments in WRITE_IN_A_WORKSPACE.items():
        code = main(["-C", str(workspace.root), *command.split(), *arguments])
        told = capsys.readouterr().err
        assert (code, words in told, "nothing was written" in told) == (3, True, True), (command, told)
    assert seen(victim_of(workspace)) == before
    assert seen(workspace.root) == all_before, "refused before anything is written"
    for command, arguments in ONLY_READ.items():
        main(["-C", str(workspace.root), *command.split(), *arguments])
    assert seen(victim_of(workspace)) == before


@pytest.mark.parametrize("place", FOLDERS)
def test_no_command_follows_a_linked_folder(
    place: str, workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)  # which main() leaves for -C, and comes back from at the end
    moved_out(workspace, place, is_folder=True, link=lambda target, path: path.symlink_to(target))
    check_all_refuse(workspace, capsys, words="rm .tmp" if place.startswith(".tmp") else "avis-data init --put")
    before = seen(victim_of(workspace))
    for command, arguments in WRITE_WHERE_THEY_ARE_TOLD.items():
        for name in ("", "/new"):
            code = main(["-C", str(workspace.root), *command.split(), *arguments, f"{place}{name}"])
            told = capsys.readouterr().err
            assert (code, "is a link" in told) == (3, True), (command, told)
    assert seen(victim_of(workspace)) == before


@pytest.mark.parametrize("place", FILES)
def test_no_command_follows_a_linked_file(
    place: str, workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    moved_out(workspace, place, is_folder=False, link=lambda target, path: path.symlink_to(target))
    check_all_refuse(workspace, capsys, words="is a link that leads out of the workspace")


@pytest.mark.parametrize("place", WRITTEN_IN_PLACE)
def test_no_command_changes_a_file_under_its_other_name(
    place: str, workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    moved_out(workspace, place, is_folder=False, link=os.link)
    check_all_refuse(workspace, capsys, words="second name")


def test_a_link_that_stays_inside_is_no_business_of_ours(workspace: Workspace) -> None:
    (workspace.root / "exports" / "latest").parent.mkdir()
    (workspace.root / "exports" / "latest").symlink_to("../clips")
    (workspace.root / "notes").symlink_to(workspace.root.parent)
    assert not refused(workspace)


@pytest.mark.parametrize("target", ["clips", "nowhere"])
def test_unfinished_work_is_never_a_link_wherever_it_leads(target: str, workspace: Workspace) -> None:
    workspace.tmp.symlink_to(target)
    with pytest.raises(DataError, match="none is followed in"):
        check_links(workspace.root)
    workspace.tmp.unlink()
    workspace.tmp.mkdir()
    (workspace.tmp / "extract").symlink_to("../clips")
    with pytest.raises(DataError, match="none is followed in"):
        check_links(workspace.root)


def write_and_fail(path: Path) -> None:
    with atomic_path(path) as part:
        part.write_text("x")


def make_and_fail(path: Path) -> None:
    with atomic_dir(path) as part:
        (part / "x").write_text("x")


@pytest.mark.parametrize("write", [write_and_fail, make_and_fail, remove, lambda path: append_lines(path, "x\n")])
@pytest.mark.parametrize("place", ["clips/new", "clips/.lock", "results/new", "clips/deep/inside/new"])
def test_every_single_write_and_deletion_is_looked_at(
    write: Callable[[Path], None], place: str, workspace: Workspace
) -> None:
    """Also behind a name that no command writes by itself, and where what is linked looks like a workspace."""
    moved_out(workspace, place.partition("/")[0], is_folder=True, link=lambda target, path: path.symlink_to(target))
    for name in ("recipe.yaml", "ledger.sqlite", "new", ".lock"):
        (victim_of(workspace) / name).write_text("mine\n")
    before = seen(victim_of(workspace))
    with pytest.raises(DataError, match="leads out"):
        write(workspace.root / place)
    assert seen(victim_of(workspace)) == before


def test_what_is_moved_goes_through_no_link(workspace: Workspace) -> None:
    moved_out(workspace, "clips", is_folder=True, link=lambda target, path: path.symlink_to(target))
    (workspace.root / "made").write_text("x")
    with pytest.raises(DataError, match="leads out"):
        move(workspace.root / "made", workspace.root / "clips" / "diary.txt")


BIG = ["annotations", "clips", "exports", "features", "masks", "runs", "sources"]


def put_all(workspace: Workspace, big: Path) -> None:
    for name in BIG:
        if (workspace.root / name).exists():
            shutil.copytree(workspace.root / name, big / name)
            shutil.rmtree(workspace.root / name)
    put(workspace.root, {name: big / name for name in BIG})


def test_folders_that_the_owner_put_elsewhere_are_worked_in(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    big = tmp_path / "big"
    arguments = [text for name in BIG for text in ("--put", f"{name}={big / name}")]
    assert main(["-C", "workspace", "init", *arguments]) == 2
    assert "mv " in capsys.readouterr().err, "what is there has to be moved first"
    assert not big.exists()
    for name in ("annotations", "clips", "features", "masks"):
        shutil.copytree(workspace.root / name, big / name)
        shutil.rmtree(workspace.root / name)
    monkeypatch.chdir(tmp_path)
    assert main(["-C", "workspace", "init", *arguments]) == 0, capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(["-C", "workspace", "export", "--split", "1/0/0", "--select", "all"]) == 0, capsys.readouterr().err
    assert [path.name for path in (big / "exports").iterdir()] == [path.name for path in workspace.exports.iterdir()]
    assert (tmp_path / "home" / "put.json").stat().st_mode & 0o777 == 0o600


def test_results_reach_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "out" / "frames").mkdir(parents=True)
    (tmp_path / "out" / "frames" / "0.jpg").write_bytes(b"still")
    (tmp_path / "out" / "a.wav").write_bytes(b"sound")
    (tmp_path / "home" / ".part-frames").mkdir(parents=True)  # of a run that was killed
    (tmp_path / "home" / ".part-frames" / "9.jpg").write_bytes(b"half")
    (tmp_path / "home" / "a.wav").write_bytes(b"old")
    for name in ("frames", "a.wav"):
        move(tmp_path / "out" / name, tmp_path / "home" / name)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"home/frames/0.jpg": b"still", "home/a.wav": b"sound"}


def refused(workspace: Workspace) -> bool:
    try:
        with open_for_work(workspace, "test"):
            return False
    except DataError as error:
        return "nothing was written" in str(error)


def test_no_archive_brings_the_permission_along(workspace: Workspace, tmp_path: Path) -> None:
    """A copy, and the same files unpacked under the same path, have none; nor has what a file inside claims."""
    put_all(workspace, tmp_path / "big")
    assert not refused(workspace)
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(workspace.root, copy.root, symlinks=True)
    assert refused(copy)
    for inside in (copy.root, copy.root / "home", copy.root / ".local" / "share" / "avis-data"):
        row = {"workspace": str(copy.root), "inode": copy.root.stat().st_ino, "name": "clips"}
        inside.mkdir(parents=True, exist_ok=True)
        write_json(inside / "put.json", {"folders": [{**row, "folder": str(tmp_path / "big" / "clips")}]})
    assert refused(copy)
    workspace.root.rename(tmp_path / "aside")
    assert refused(Workspace(tmp_path / "aside"))
    copy.root.rename(workspace.root)
    assert refused(workspace)


@pytest.mark.parametrize("link", ["clips", "clips/x", f"clips/{CLIP}/frames", "exports/old"])
def test_only_the_folder_that_was_said_is_permitted(link: str, workspace: Workspace, tmp_path: Path) -> None:
    """Not another one under its name, nor what is linked inside of it."""
    put_all(workspace, tmp_path / "big")
    victim = tmp_path / "victim"
    victim.mkdir()
    path = workspace.root / link
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
    path.symlink_to(victim)
    assert refused(workspace)
    with pytest.raises(DataError, match="leads out"):
        write_json(path / "x.json", {})
    assert not any(victim.iterdir())


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (".tmp", "big"),
        ("label-studio", "big"),
        ("manifest", "big"),
        ("a/b", "big"),
        ("..", "big"),
        ("clips", "workspace/other"),
        ("clips", "workspace"),
        ("clips", "."),
        ("clips", "truth.json"),
    ],
)
def test_what_cannot_be_put_elsewhere(name: str, folder: str, workspace: Workspace, tmp_path: Path) -> None:
    shutil.rmtree(workspace.root / "clips")
    before = seen(tmp_path)
    with pytest.raises(ConfigError, match="--put"):
        put(workspace.root, {name: tmp_path / folder})
    assert seen(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_a_list_of_permissions_that_others_can_write_permits_nothing(workspace: Workspace, tmp_path: Path) -> None:
    put_all(workspace, tmp_path / "big")
    (tmp_path / "home" / "put.json").chmod(0o666)
    with pytest.raises(DataError, match="others can write"):
        check_links(workspace.root)


def test_a_ledger_opens_no_files_of_others_beside_it(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "diary").write_text("mine\n")
    for side in ("-wal", "-shm", "-journal"):
        link = workspace.root / f"ledger.sqlite{side}"
        link.symlink_to(tmp_path / "diary")
        for read_only in (True, False):
            with pytest.raises(DataError, match="leads out"):
                Ledger(workspace.ledger, read_only=read_only)
        link.unlink()
    assert (tmp_path / "diary").read_text() == "mine\n"


def test_the_whole_way_said_as_json(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.root)
    moved_out(workspace, "clips", is_folder=True, link=lambda target, path: path.symlink_to(target))
    assert main(["-C", str(workspace.root), "extract", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["hint"].endswith(f"avis-data init --put clips={victim_of(workspace)}")
