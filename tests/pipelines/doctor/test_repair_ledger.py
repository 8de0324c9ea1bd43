"""A ledger that is gone or damaged is made anew; then a run has nothing to do, and no file is another than before."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.format_numbers import WORKSPACE
from avis_data.io import sha256_file
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from support.places import NEEDS_SHARED, SHARED

NOTHING_TO_DO = {"fetch": 0, "extract": 0, "embed": 0, "pack": 0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which all is done, and one video failed for good."""
    base = tmp_path_factory.mktemp("finished")
    assert main(["synth", "--num-clips", "2", "--seconds", "2", "--size", "96x64", "--out", str(base / "world")]) == 0
    media, rows = base / "world" / "media", (base / "world" / "videos.csv").read_text()
    (media / "no-video.mp4").write_bytes(b"no video at all" * 100)
    (base / "videos.csv").write_text(rows.replace("media/", f"{media}/") + f"{media}/no-video.mp4,broken,,,,,\n")
    root = base / "dataset"
    run = ["run", "--list", str(base / "videos.csv"), "--allow-local", "--untrained", "--workers", "1"]
    assert main(["-C", str(root), *run]) == 4
    return root


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, with the times of its files."""
    return Path(shutil.copytree(finished, tmp_path / "dataset", copy_function=shutil.copy2))


def files_of(root: Path) -> dict[str, str]:
    """What was made, by name: hash. Not the ledger, which holds times, nor what a repair kept."""
    return {
        path.relative_to(root).as_posix(): sha256_file(path)
        for path in root.rglob("*")
        if path.is_file()
        and not path.relative_to(root).parts[0].startswith(("ledger", "."))
        and "damaged" not in path.name
    }


def asked(root: Path, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    """Exit code and JSON of a command."""
    capsys.readouterr()
    code = main(["-C", str(root), *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def to_do(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    _, said = asked(root, "run", "--untrained", "--dry-run", capsys=capsys)
    stages = said["stages"]
    assert isinstance(stages, list)
    return {stage["stage"]: stage["to_do"] for stage in stages}


def closed(root: Path) -> Path:
    """The ledger, with nothing of it in other files."""
    with sqlite3.connect(root / "ledger.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode = DELETE")
    return root / "ledger.sqlite"


def gone(root: Path) -> None:
    for path in root.glob("ledger.sqlite*"):
        path.unlink()


def emptied(root: Path) -> None:
    gone(root)
    (root / "ledger.sqlite").touch()


def nonsense(root: Path) -> None:
    closed(root).write_bytes(b"no ledger" * 500)


def cut(root: Path) -> None:
    path = closed(root)
    path.write_bytes(path.read_bytes()[:9000])


def page_of_zeros(root: Path) -> None:
    path = closed(root)
    data = bytearray(path.read_bytes())
    page = 4096 * 2
    data[page : page + 4096] = bytes(4096)
    path.write_bytes(data)


def folder(root: Path) -> None:
    gone(root)
    (root / "ledger.sqlite").mkdir()


def no_table(root: Path) -> None:
    with sqlite3.connect(closed(root)) as db:
        db.execute("DROP TABLE wanted")


def torn_rows(root: Path) -> None:
    with sqlite3.connect(closed(root)) as db:
        db.execute("UPDATE items SET inputs = '{' WHERE stage = 'extract'")
        db.execute("UPDATE items SET reason = 'nonsense', facts = '7' WHERE stage = 'embed'")


DAMAGES = [gone, emptied, nonsense, cut, page_of_zeros, folder, no_table, torn_rows]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_after_a_repair_nothing_is_to_do(
    damage: Callable[[Path], None], dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_of(dataset)
    status = asked(dataset, "status", capsys=capsys)[1]
    damage(dataset)
    code, said = asked(dataset, "doctor", "--workspace", capsys=capsys)
    assert code == 3
    bad = [found for found in said["files"] if found["health"] in ("damaged", "missing")]  # type: ignore[attr-defined]
    assert [found["path"] for found in bad] == ["ledger.sqlite"] and bad[0]["rebuilt_from"]
    assert files_of(dataset) == before, "without --repair nothing is changed"
    code, said = asked(dataset, "doctor", "--workspace", "--repair", capsys=capsys)
    assert (code, said["told"]) == (0, [])
    assert to_do(dataset, capsys) == NOTHING_TO_DO, "the failed video is not tried again either"
    assert files_of(dataset) == before
    again = asked(dataset, "status", capsys=capsys)[1]
    for stage in (*status["stages"], *again["stages"]):  # type: ignore[misc]
        stage.pop("left_worker_s")
    assert again["stages"] == status["stages"]
    assert asked(dataset, "doctor", "--workspace", capsys=capsys)[0] == 0


@pytest.mark.parametrize("seed", range(8))
def test_whatever_bytes_are_damaged(seed: int, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also the text of the ledger may be damaged with it: then what the ledger still says counts."""
    chance = random.Random(seed)
    before = files_of(dataset)
    path = closed(dataset)
    data = bytearray(path.read_bytes())
    start = chance.randrange(len(data))
    data[start : start + 200] = chance.randbytes(200)
    path.write_bytes(data)
    if seed % 2:
        lines = (dataset / "manifest" / "ledger.jsonl").read_text().splitlines()
        lines[chance.randrange(len(lines))] = '{"table": "items"'
        (dataset / "manifest" / "ledger.jsonl").write_text("\n".join(lines) + "\n")
    assert main(["-C", str(dataset), "doctor", "--workspace", "--repair"]) == 0
    left = sum(to_do(dataset, capsys).values())
    assert left <= (1 if seed % 2 else 0)
    if left:
        main(["-C", str(dataset), "run", "--untrained"])
    assert files_of(dataset) == before


def test_what_is_replaced_is_kept(dataset: Path) -> None:
    nonsense(dataset)
    damaged = (dataset / "ledger.sqlite").read_bytes()
    assert main(["-C", str(dataset), "doctor", "--workspace", "--repair"]) == 0
    assert (dataset / "ledger.sqlite.damaged-1").read_bytes() == damaged
    cut(dataset)
    assert main(["-C", str(dataset), "doctor", "--workspace", "--repair"]) == 0
    assert (dataset / "ledger.sqlite.damaged-1").read_bytes() == damaged
    assert (dataset / "ledger.sqlite.damaged-2").stat().st_size == 9000


def test_files_that_changed_are_made_again(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A repair takes nobody's word for a file: what has another hash now is to do."""
    before = files_of(dataset)
    gone(dataset)
    still = sorted(dataset.glob("clips/*/audio.wav"))[0]
    still.write_bytes(still.read_bytes()[:-100])
    code, said = asked(dataset, "doctor", "--workspace", "--repair", capsys=capsys)
    assert code == 3
    assert [found["path"] for found in said["files"] if found["health"] == "damaged"] == [  # type: ignore[attr-defined]
        still.relative_to(dataset).as_posix()
    ]
    assert to_do(dataset, capsys)["extract"] == 1
    assert main(["-C", str(dataset), "run", "--untrained"]) == 4
    assert files_of(dataset) == before


def test_manifests_are_made_anew(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_of(dataset)
    manifest = dataset / "manifest"
    (manifest / "clips.jsonl").write_text('{"clip_id": 3}\n')
    (manifest / "videos.jsonl").unlink()
    lines = (manifest / "ledger.jsonl").read_text().splitlines(keepends=True)
    (manifest / "ledger.jsonl").write_text("".join(lines[:-2]))
    (manifest / ".part-x.jsonl").write_text("half")
    code, said = asked(dataset, "doctor", "--workspace", capsys=capsys)
    found = {file["path"]: file for file in said["files"]}  # type: ignore[attr-defined]
    assert code == 3 and "clips.jsonl:1" in found["manifest/clips.jsonl"]["problem"]
    assert found["manifest/videos.jsonl"]["health"] == "missing"
    assert found["manifest/ledger.jsonl"]["health"] == "damaged"
    assert found["manifest/.part-x.jsonl"]["health"] == "left over"
    assert main(["-C", str(dataset), "doctor", "--workspace", "--repair"]) == 0
    assert files_of(dataset) == before
    assert (manifest / "clips.jsonl.damaged-1").read_text() == '{"clip_id": 3}\n'


def test_a_repair_waits_for_nobody(dataset: Path) -> None:
    nonsense(dataset)
    (dataset / "ledger.sqlite").unlink()
    (dataset / "manifest" / "ledger.jsonl").rename(dataset / "text")
    with open_for_work(Workspace(dataset), "avis-data extract"):
        assert main(["-C", str(dataset), "doctor", "--workspace", "--repair"]) == 5


def repair_until(dataset: Path, moment: int) -> None:
    """Repair, and end without a word at the n-th rename, link or removal."""
    left = [moment]

    def count(event: str, _: object) -> None:
        if event in ("os.rename", "os.link", "os.remove"):
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

    sys.addaudithook(count)
    os._exit(main(["-C", str(dataset), "doctor", "--workspace", "--repair"]))


def test_killed_at_any_moment_it_goes_on(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The process ends at the n-th rename, link or removal, for every n."""
    before = files_of(dataset)
    nonsense(dataset)
    (dataset / "manifest" / "clips.jsonl").write_text("{")
    process = get_context("fork")
    for moment in itertools.count():
        child = process.Process(target=repair_until, args=(dataset, moment))
        child.start()
        child.join()
        assert child.exitcode in (0, 9)
        if child.exitcode == 0:
            break
    assert moment > 4
    assert to_do(dataset, capsys) == NOTHING_TO_DO
    assert main(["-C", str(dataset), "run", "--untrained"]) == 4
    assert files_of(dataset) == before


@NEEDS_SHARED
@pytest.mark.parametrize("name", sorted(path.name for path in (SHARED / "faults" / "ledger").glob("*")) or ["none"])
def test_ledgers_that_were_found_damaged(
    name: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a workspace of their own, of which nothing else is left, and in one that has the text of its ledger."""
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copyfile(dataset / "recipe.yaml", alone / "recipe.yaml")
    for root in (alone, dataset):
        gone(root)
        data = bytearray((SHARED / "faults" / "ledger" / name).read_bytes())
        data[60:64] = WORKSPACE.number.to_bytes(4, "big")  # they are of an older format, which is no damage
        (root / "ledger.sqlite").write_bytes(data)
        assert main(["-C", str(root), "doctor", "--workspace"]) == 3
        code = main(["-C", str(root), "doctor", "--workspace", "--repair"])
        assert code in (0, 3), code
        assert main(["-C", str(root), "status"]) == 0
        assert (root / "ledger.sqlite.damaged-1").exists()
    assert to_do(dataset, capsys) == NOTHING_TO_DO


def test_what_is_no_workspace_is_left_alone(tmp_path: Path) -> None:
    assert main(["-C", str(tmp_path), "doctor", "--workspace", "--repair"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert main(["doctor", "--repair"]) == 2
