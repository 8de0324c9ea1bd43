"""What nobody wants any more is found and, when asked to, removed; work of people and of downloads stays."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from avis_data.cli.commands import cli
from avis_data.errors import ConfigError
from avis_data.features.store import read_embeddings
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.kept_video_list import CLIP_ROW, wanted_clips
from avis_data.pipelines.status import unlisted
from avis_data.pipelines.upkeep.leftovers import Leftovers, find_leftovers, prune
from avis_data.pipelines.upkeep.places import files_of
from avis_data.pipelines.upkeep.sizes import sizes_of
from avis_data.records import Track
from support.dying import changes_of, die_at
from support.full_workspace import CLIPS, GONE
from support.shell import avis_data, tree_hashes

CLIP = CLIPS[GONE]
OTHERS = sorted(clip_id for clip_id in CLIPS.values() if clip_id != CLIP)


@pytest.fixture
def shrunk(workspace: Workspace) -> Workspace:
    """Its list no longer wants one of the videos; all files are outputs that the ledger knows."""
    with Ledger(workspace.ledger) as ledger:
        rows = [(clip_id, row) for clip_id, row in wanted_clips(ledger) if clip_id != CLIP]
        ledger.replace_wanted(
            {row.span.video_id for _, row in rows},
            [(clip_id, CLIP_ROW.dump_json(row).decode()) for clip_id, row in rows],
        )
    for clip_id in OTHERS:  # which no stage made here
        for name in ("preview.mp4", "times.json"):
            (workspace.clip_dir(clip_id) / name).unlink()
    return workspace


def found_in(workspace: Workspace, *, labels: bool = False) -> Leftovers:
    with Ledger(workspace.ledger, read_only=True) as ledger:
        return find_leftovers(workspace, ledger, labels=labels)


def pruned(workspace: Workspace, *, labels: bool = False) -> None:
    with open_for_work(workspace, "avis-data prune") as ledger:
        prune(workspace, ledger, find_leftovers(workspace, ledger, labels=labels), labels=labels)


def why(found: Leftovers) -> dict[str, set[str]]:
    reasons: dict[str, set[str]] = {}
    for left in found.files:
        reasons.setdefault(left.why, set()).add(left.file.relative)
    return reasons


def test_status_says_what_the_list_no_longer_wants(shrunk: Workspace) -> None:
    with Ledger(shrunk.ledger, read_only=True) as ledger:
        assert (unlisted(ledger).videos, unlisted(ledger).clips) == ([GONE], [CLIP])
    said = CliRunner().invoke(cli, ["-C", str(shrunk.root), "status"])
    assert "no longer wants 1 video(s) and 1 clip(s)" in said.output and "avis-data prune" in said.output
    told = json.loads(CliRunner().invoke(cli, ["-C", str(shrunk.root), "status", "--json"]).output)
    assert told["unlisted"] == {"videos": [GONE], "clips": [CLIP]}


def test_a_dry_run_comes_first_and_changes_nothing(shrunk: Workspace) -> None:
    before = tree_hashes(shrunk.root)
    said = CliRunner().invoke(cli, ["-C", str(shrunk.root), "prune"])
    assert said.exit_code in (0, None) and "--yes" in said.output and GONE in said.output, said.output
    assert tree_hashes(shrunk.root) == before


def test_what_the_list_does_not_want_goes_and_labels_of_people_stay(shrunk: Workspace) -> None:
    labels = {found.relative for found in files_of(shrunk) if found.relative.startswith("annotations/")}
    assert found_in(shrunk).labelled == {CLIP}
    pruned(shrunk)
    left = [found.relative for found in files_of(shrunk) if found.item_id in (GONE, CLIP)]
    assert left and all(name.startswith("annotations/") for name in left)
    assert {found.relative for found in files_of(shrunk) if found.relative.startswith("annotations/")} == labels
    assert sorted(clip_id for clip_id, _ in read_embeddings(shrunk.features)) == OTHERS
    assert sorted(clip_id for clip_id, _ in read_masks(shrunk.masks)) == OTHERS
    assert {t.clip_id for t in read_manifest(shrunk.manifest / "tracks.jsonl", Track)} == set(OTHERS)
    again = found_in(shrunk)
    assert (again.files, again.rows, again.unlisted) == ([], {}, set())
    with Ledger(shrunk.ledger, read_only=True) as ledger:
        assert not unlisted(ledger)
        assert {entry.state for entry in ledger.entries("pack").values()} == {"done"}, "tables count as before"
    pruned(shrunk, labels=True)
    assert [found.relative for found in files_of(shrunk) if found.item_id in (GONE, CLIP)] == []


def test_leftovers_of_older_recipes_of_kills_and_of_the_cache_are_found(shrunk: Workspace) -> None:
    planted = {
        "of an older recipe or source": [f"sources/{next(iter(CLIPS))}.webm", f"clips/{OTHERS[0]}/frames-old/1.jpg"],
        "left half done": ["masks/.part-x.parquet", f".tmp/extract/{OTHERS[0]}/out-1-1/frames/0.jpg"],
        "cached, of stills that are gone": ["label-studio/embeddings/" + "0" * 64 + "-1234.npz"],
    }
    for names in planted.values():
        for name in names:
            (shrunk.root / name).parent.mkdir(parents=True, exist_ok=True)
            (shrunk.root / name).write_bytes(b"old")
    found = why(found_in(shrunk))
    for reason, names in planted.items():
        assert set(names) <= found[reason], reason
    assert found["cached, of stills that are gone"] >= set(planted["cached, of stills that are gone"])
    pruned(shrunk)
    assert not any((shrunk.root / name).exists() for names in planted.values() for name in names)


def test_a_download_that_may_go_on_and_what_a_server_writes_stay(shrunk: Workspace) -> None:
    video_id = next(iter(CLIPS))
    with Ledger(shrunk.ledger) as ledger:
        ledger.drop("fetch", video_id)
    part, being_written = shrunk.tmp / "fetch" / video_id / "scratch" / f"{video_id}.part", "label-studio/.part-1.npz"
    (shrunk.root / being_written).write_bytes(b"half")
    assert part.exists()
    pruned(shrunk)
    assert part.exists() and (shrunk.root / being_written).exists()


def test_without_a_list_nothing_is_called_left_over(workspace: Workspace) -> None:
    """A ledger that forgot what was wanted must not cost the dataset."""
    with Ledger(workspace.ledger) as ledger:
        ledger.replace_wanted([], [])
    with pytest.raises(ConfigError, match="no list and no set"):
        found_in(workspace)


@pytest.mark.slow
def test_killed_at_random_moments_prune_is_completed_by_the_next(shrunk: Workspace, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        shutil.copytree(shrunk.root, tmp_path / name)
        return tmp_path / name

    number = changes_of("-C", copy("undisturbed"), "prune", "--yes")
    expected, rng = tree_hashes(tmp_path / "undisturbed"), random.Random(3)
    assert number > 10 and expected != tree_hashes(shrunk.root)
    for kill, moment in enumerate(sorted(rng.sample(range(1, number), 6))):
        folder = copy(f"killed-{kill}")
        assert die_at(moment, "-C", folder, "prune", "--yes")
        assert avis_data("-C", folder, "prune", "--yes").code == 0
        assert tree_hashes(folder) == expected
        assert not find_all(Workspace(folder)), "nothing is left"


def find_all(workspace: Workspace) -> list[str]:
    return [left.file.relative for left in found_in(workspace).files]


def test_files_of_others_are_never_touched(shrunk: Workspace) -> None:
    (shrunk.root / "notes").mkdir()
    (shrunk.root / "notes" / f"{CLIP}.txt").write_text("mine")
    pruned(shrunk, labels=True)
    assert (shrunk.root / "notes" / f"{CLIP}.txt").exists()


def test_sizes_add_up_to_what_lies_there_and_links_count_once(workspace: Workspace) -> None:
    sizes = {size.group: size for size in sizes_of(workspace)}
    inodes = {path.stat().st_ino: path.stat().st_size for path in workspace.root.rglob("*") if path.is_file()}
    assert sum(size.size_bytes for size in sizes.values()) == sum(inodes.values())
    assert sum(size.files for size in sizes.values()) == sum(path.is_file() for path in workspace.root.rglob("*"))
    (workspace.root / "mine.bin").write_bytes(b"x" * 1000)
    (mine,) = [size for size in sizes_of(workspace) if "avis-data" in size.group]
    assert (mine.files, mine.size_bytes) == (1, 1000)
    told = json.loads(CliRunner().invoke(cli, ["-C", str(workspace.root), "du", "--json"]).output)
    assert told["bytes"] == sum(inodes.values()) + 1000


def test_stills_that_an_export_links_to_are_counted_with_the_clips(whole: Path) -> None:
    sizes = {size.group: size for size in sizes_of(Workspace(whole))}
    stills = sum(path.stat().st_size for path in (whole / "clips").rglob("*.jpg"))
    assert sizes["exports"].linked_bytes == stills and sizes["stills"].size_bytes >= stills
