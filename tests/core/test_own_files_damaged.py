"""A ledger or a recipe that somebody damaged is told, with the file and the way out, and never ends in a traceback."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from avis_data.cli.main import main
from support.fake_workspace import FakeClip, FakeTrack, make_workspace
from support.places import NEEDS_SHARED, SHARED

COMMANDS = (["status"], ["extract", "--dry-run"], ["export", "--split", "1/1", "--dry-run"])
FAULTS = SHARED / "faults"
TOLD = {0, 2, 3, 4, 5}
"""Exit codes that are no bug: some damage is in rows that a command does not read."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tracks = (FakeTrack(track_id="t"),)
    clips = [FakeClip(clip_id=f"c{number}", video_id=f"v{number}", tracks=tracks) for number in range(2)]
    root = make_workspace(tmp_path_factory.mktemp("whole"), clips).root
    with sqlite3.connect(root / "ledger.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode = DELETE")
    return root


def run_all(root: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> list[int]:
    """The exit codes of the commands; code 1 would be a bug."""
    monkeypatch.chdir(root)
    codes = [main(command) for command in COMMANDS]
    assert set(codes) <= TOLD, f"{what}: {codes}"
    return codes


@NEEDS_SHARED
@pytest.mark.parametrize("name", sorted(path.name for path in (FAULTS / "ledger").glob("*")) or ["none"])
def test_ledgers_that_were_found_damaged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text("name: damaged\n")
    shutil.copyfile(FAULTS / "ledger" / name, tmp_path / "ledger.sqlite")
    codes = run_all(tmp_path, monkeypatch, name)
    assert 3 in codes, codes
    assert "ledger" in capsys.readouterr().err


@NEEDS_SHARED
@pytest.mark.parametrize("name", sorted(path.name for path in (FAULTS / "recipes").glob("*")) or ["none"])
def test_recipes_that_were_found_damaged(
    name: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "here"
    shutil.copytree(whole, root)
    shutil.copyfile(FAULTS / "recipes" / name, root / "recipe.yaml")
    codes = run_all(root, monkeypatch, name)
    assert set(codes) <= {2, 3}, codes
    assert "recipe.yaml" in capsys.readouterr().err


def test_rows_and_pages_damaged_by_chance(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of the file, and values of the rows, from a seed."""
    for seed in range(40):
        root, chance = tmp_path / str(seed), random.Random(seed)
        shutil.copytree(whole, root)
        ledger = root / "ledger.sqlite"
        if seed % 2:
            data = bytearray(ledger.read_bytes())
            start = chance.randrange(len(data))
            data[start : start + chance.choice((1, 16, 4096))] = bytes(chance.choice((1, 16, 4096)))
            ledger.write_bytes(data)
        else:
            column = chance.choice(("facts", "inputs", "outputs", "reason", "key", "wall_s", "message"))
            value = chance.choice(("{", "[]", "null", "", "nonsense", 7, -1.5, b"\xff", '{"a": {"b": 1}}'))
            with sqlite3.connect(ledger) as db:
                try:
                    db.execute(f"UPDATE items SET {column} = ?", (value,))
                except sqlite3.IntegrityError:
                    continue
        run_all(root, monkeypatch, f"seed {seed}")


@pytest.mark.parametrize(
    "text",
    [
        "name: 2026-13-45\n",
        "extract: {fps: " + "9" * 5000 + "}\n",
        "name: " + "[" * 3000 + "\n",
        "extract: [1]\n",
        "- 1\n",
        "name: !!python/object:os.system x\n",
        "extract: {fps: .nan}\n",
        "categories: nonsense-9\n",
        "\x00",
    ],
    ids=range(9),
)
def test_recipes_that_say_what_cannot_be(
    text: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "here"
    shutil.copytree(whole, root)
    (root / "recipe.yaml").write_text(text)
    codes = run_all(root, monkeypatch, text[:30])
    assert set(codes) <= {2, 3}, codes
    assert "recipe.yaml" in capsys.readouterr().err
