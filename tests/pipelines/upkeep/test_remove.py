"""A removed video is gone from every byte of a workspace, and nothing else is changed."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import BusyError, ConfigError
from avis_data.features.store import bucket, read_embeddings
from avis_data.ledger import Ledger
from avis_data.links.put_folders import put
from avis_data.manifest import read_manifest
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.doctor.examination import examine_workspace
from avis_data.pipelines.engine.lock import REMOVE, open_for_work
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.input_checks import check_features
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.upkeep.places import Holds, files_of
from avis_data.pipelines.upkeep.remove import RemovalReport, RemovalRequest, plan_removal, remove_videos
from avis_data.pipelines.upkeep.tombstones import Tombstones, read_tombstones, tasks_left
from avis_data.pipelines.upkeep.verify import traces_of
from avis_data.quality.findings import Findings
from avis_data.quality.published import check_published
from avis_data.recipe import load_recipe
from avis_data.records import Clip, Track
from support.full_workspace import CLIPS, GONE
from support.shell import tree_hashes

CLIP = CLIPS[GONE]
OTHERS = [clip_id for clip_id in CLIPS.values() if clip_id != CLIP]


def request(*video_ids: str, exports: bool = False, reason: str | None = "takedown") -> RemovalRequest:
    return RemovalRequest(video_ids=video_ids, reason=reason, by="me", today="2026-02-03", exports=exports)  # type: ignore[arg-type]


def no_server(_: Tombstones) -> int:
    return 0


def remove(workspace: Workspace, *video_ids: str, **how: bool) -> RemovalReport:
    with open_for_work(workspace, REMOVE) as ledger:
        return remove_videos(workspace, ledger, request(*video_ids, **how), on_server=no_server)


def everything(root: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file, packed ones unpacked, tables as text; an oracle of its own."""
    for path in root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet":
                data = json.dumps(
                    pq.read_table(path)
                    .drop_columns([name for name in ("embedding",) if name in pq.read_schema(path).names])
                    .to_pylist(),
                    default=repr,
                ).encode()
            elif path.suffix == ".gz":
                data = gzip.decompress(data)
            yield path.relative_to(root).as_posix(), data


def where(root: Path, *names: str) -> list[str]:
    """Files that hold one of these, followed by nothing that would make it another id."""
    wanted = [re.compile(re.escape(name.encode()) + rb"(?![0-9])") for name in names]
    return sorted(
        name for name, data in everything(root) if any(w.search(data) or w.search(name.encode()) for w in wanted)
    )


def test_a_removed_video_is_in_no_file(workspace: Workspace) -> None:
    before = where(workspace.root, GONE, CLIP)
    assert len(before) > 30
    report = remove(workspace, GONE, exports=True)
    assert (report.videos, report.clips) == (1, 1) and [entry.now for entry in report.rewritten] == ["ytvis"]
    assert where(workspace.root, GONE, CLIP) == []
    assert traces_of(workspace, [GONE, CLIP])[1] == [] and traces_of(workspace)[1] == []
    assert len(where(workspace.root, "zebra-video-10", "zebra-clip-10")) > 30, "the other one, which begins alike"


def test_nothing_else_is_changed(workspace: Workspace) -> None:
    own = [found.relative for found in files_of(workspace) if found.item_id not in (GONE, CLIP)]
    shared = {
        Holds.LIST,
        Holds.LINES,
        Holds.ENTRIES,
        Holds.RECEIVED,
        Holds.SPLIT,
        Holds.MASKS,
        Holds.EMBEDDINGS,
        Holds.FINGERPRINTS,
        Holds.ADDRESSES,
    }
    may_change = {
        found.relative
        for found in files_of(workspace)
        if found.place is not None
        and found.place.holds in (shared | {Holds.LEDGER, Holds.LOG, Holds.STILL, Holds.UNFINISHED})
    }
    before = tree_hashes(workspace.root)
    embeddings = {clip_id: rows.tobytes() for clip_id, rows in read_embeddings(workspace.features, OTHERS)}
    masks = {clip_id: rows for clip_id, rows in read_masks(workspace.masks, OTHERS)}
    tracks = [t for t in read_manifest(workspace.manifest / "tracks.jsonl", Track) if t.clip_id != CLIP]
    remove(workspace, GONE)
    after = tree_hashes(workspace.root)
    for name in own:
        if name in before and name not in may_change:
            assert after[name] == before[name], name
    assert {clip_id: rows.tobytes() for clip_id, rows in read_embeddings(workspace.features)} == embeddings
    assert {clip_id: rows for clip_id, rows in read_masks(workspace.masks)} == masks
    assert list(read_manifest(workspace.manifest / "tracks.jsonl", Track)) == tracks
    assert [clip.clip_id for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)] == sorted(OTHERS)
    assert [place.clip_id for place in WorkspaceLabels(workspace).places()] == sorted(OTHERS)
    lines = workspace.video_list.read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("url,") and not any(f"{GONE}," in line for line in lines)


def test_clips_that_share_a_table_with_it_count_as_before(workspace: Workspace) -> None:
    assert {bucket(clip_id) for clip_id in OTHERS} & {bucket(CLIP)}, "none shares a part with the one that goes"
    remove(workspace, GONE)
    with Ledger(workspace.ledger) as ledger:
        clips = list(read_manifest(workspace.manifest / "clips.jsonl", Clip))
        assert list(check_features(ledger, load_recipe(workspace), clips)) == []
        for stage in ("pack", "pack-fingerprints"):
            assert {entry.state for entry in ledger.entries(stage).values()} <= {"done"}, stage


def test_the_export_that_is_written_anew_divides_the_others_as_before(workspace: Workspace) -> None:

    def division() -> dict[str, str]:
        said = json.loads((workspace.exports / "ytvis" / "certificate.json").read_text())
        return {clip["clip_id"]: clip["split"] for clip in said["clips"]}

    before, old = division(), (workspace.exports / "ytvis" / "certificate.json").read_text()
    report = remove(workspace, GONE)
    assert report.exports == ["ytvis"] and division() == before, "named, and left as it is"
    again = remove(workspace, exports=True)
    assert [(entry.name, entry.now, entry.problem) for entry in again.rewritten] == [("ytvis", "ytvis", None)]
    assert division() == {clip_id: before[clip_id] for clip_id in OTHERS}
    said = json.loads((workspace.exports / "ytvis" / "certificate.json").read_text())
    assert said["replaces"] == json.loads(old)["files"]["sha256"]
    findings = Findings()
    check_published(workspace.exports / "ytvis", findings=findings, deep=True)
    assert findings.kept == []
    remove(workspace, *[video_id for video_id in CLIPS if video_id != GONE], exports=True)
    assert not (workspace.exports / "ytvis").exists(), "no clip of it was left"


def test_what_is_not_there_is_named_and_nothing_is_removed(workspace: Workspace) -> None:
    before = tree_hashes(workspace.root)
    with pytest.raises(ConfigError, match=r"'zebra-video-2'.*nothing was removed") as caught:
        remove(workspace, GONE, "zebra-video-2")
    assert "did you mean" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        remove(workspace, CLIP)
    assert f"its video is {GONE}" in str(caught.value)
    with open_for_work(workspace, REMOVE) as ledger, pytest.raises(ConfigError, match="--reason"):
        remove_videos(workspace, ledger, request(GONE, reason=None), on_server=no_server)
    assert tree_hashes(workspace.root) == before


def test_a_dry_run_counts_and_changes_nothing(workspace: Workspace) -> None:
    before = tree_hashes(workspace.root)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        report = plan_removal(workspace, ledger, request(GONE))
    assert (report.videos, report.clips, report.exports) == (1, 1, ["ytvis"]) and report.files["stills"] == 6
    assert tree_hashes(workspace.root) == before


def test_folders_that_lie_elsewhere_are_searched_and_emptied_too(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    for name in ("sources", "clips"):
        (workspace.root / name).rename(tmp_path / name)
    put(workspace.root, {name: tmp_path / name for name in ("sources", "clips")})
    assert traces_of(workspace)[1] == []
    remove(workspace, GONE, exports=True)
    assert where(workspace.root, GONE, CLIP) == []
    assert where(tmp_path / "sources", GONE) == where(tmp_path / "clips", CLIP) == []
    assert len(list((tmp_path / "clips").iterdir())) == 2


def test_an_export_with_a_version_is_written_as_the_next(workspace: Workspace) -> None:
    for number, options in (("1.0.0", {"split": "1/1/1"}), ("1.1.0", {"split": "2/0/1"})):
        export(workspace, FORMATS["ytvis"], ExportOptions(version=number, **options))
    remove(workspace, GONE, exports=True)
    assert sorted(path.name for path in workspace.exports.iterdir()) == ["ytvis", "ytvis-1-0-0", "ytvis-1-1-1"]
    assert where(workspace.root, GONE, CLIP) == []
    assert "In place of 1.1.0" in (workspace.exports / "ytvis-1-1-1" / "CHANGES.md").read_text()
    with Ledger(workspace.ledger, read_only=True) as ledger:
        assert sorted(ledger.entries("export")) == ["ytvis", "ytvis-1-0-0", "ytvis-1-1-1"]


def test_removing_again_says_that_it_was_removed(workspace: Workspace) -> None:
    remove(workspace, GONE)
    before = tree_hashes(workspace.root)
    report = remove(workspace, GONE)
    assert (report.videos, report.known) == (0, [GONE])
    assert tree_hashes(workspace.root) == before
    (stone,) = read_tombstones(workspace).all
    assert (stone.reason, stone.removed_on, stone.removed_by) == ("takedown", "2026-02-03", "me")


def test_a_command_at_work_is_not_disturbed(workspace: Workspace) -> None:
    with open_for_work(workspace, "avis-data extract"), pytest.raises(BusyError, match="avis-data extract"):
        remove(workspace, GONE)


def test_while_a_removal_is_broken_off_nothing_else_works_here(workspace: Workspace) -> None:
    workspace.removed.mkdir()
    workspace.removal.write_text('{"new": [], "exports": null}')
    with pytest.raises(ConfigError, match="broken off"), open_for_work(workspace, "avis-data fetch"):
        pass
    remove(workspace)
    assert not workspace.removal.exists()


def test_tasks_of_a_server_that_is_down_are_left_for_later(workspace: Workspace) -> None:
    from avis_data.annotation.work.removed_tasks import delete_removed_tasks

    with open_for_work(workspace, REMOVE) as ledger:
        report = remove_videos(
            workspace,
            ledger,
            request(GONE, exports=True),
            on_server=lambda stones: delete_removed_tasks(workspace, stones),
        )
    assert "does not answer" in (report.tasks_left or "") and tasks_left(workspace).exists()
    assert not workspace.removal.exists(), "all that lies here is done"
    assert where(workspace.root, GONE, CLIP) == []


def test_a_video_called_like_a_category_takes_no_labels_of_others_with_it(tmp_path: Path) -> None:
    from support.fake_workspace import FakeClip, FakeTrack, make_workspace

    clips = [FakeClip(clip_id=name, video_id=name, tracks=(FakeTrack(track_id="t1"),)) for name in ("dog", "other")]
    workspace = make_workspace(tmp_path / "ds", clips)
    remove(workspace, "dog")
    assert [row.category for _, rows in read_masks(workspace.masks) for row in rows] == ["dog", "dog"]
    assert [t.clip_id for t in read_manifest(workspace.manifest / "tracks.jsonl", Track)] == ["other"]
    assert traces_of(workspace)[1] == []


@pytest.mark.parametrize(
    "plant",
    [
        lambda root: (root / "clips" / CLIP).mkdir(),
        lambda root: (root / "notes.txt").write_text(f"see {CLIP}, it is good"),
        lambda root: (root / f"{GONE}.bak").write_bytes(b"x"),
        lambda root: (root / "copy.bin").write_bytes(f"the film of {GONE}".encode() * 50),
        lambda root: (root / "packed.gz").write_bytes(gzip.compress(f"a {CLIP} b".encode())),
        lambda root: (root / "glued.bin").write_bytes(b"\0abc" + GONE.encode() + b"def\0"),
        lambda root: sqlite3.connect(root / "other.sqlite").executescript(
            f"CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('x', 'of {CLIP}');"
        ),
        lambda root: (
            (root / "annotations" / "draft" / "received" / CLIP).mkdir(parents=True)
            or (root / "annotations" / "draft" / "received" / CLIP / "1.json.gz").write_bytes(b"x")
        ),
    ],
    ids=["empty folder", "text", "name", "bytes", "packed", "glued", "database", "folder"],
)
def test_verify_finds_whatever_is_left(workspace: Workspace, plant: object) -> None:
    remove(workspace, GONE, exports=True)
    assert traces_of(workspace, [GONE])[1] == []
    assert callable(plant)
    plant(workspace.root)
    assert len({trace.path for trace in traces_of(workspace, [GONE])[1]}) == 1


def test_what_was_rewritten_is_not_called_damaged(workspace: Workspace) -> None:
    def damaged() -> dict[str, str]:
        return {found.path: found.problem or "" for found in examine_workspace(workspace) if found.is_bad}

    before, kept = damaged(), next(workspace.annotations.glob("import-*/truth.json"))
    received = kept.read_text()
    remove(workspace, GONE)
    assert kept.read_text() != received
    assert damaged().keys() <= before.keys()
    kept.write_text(received)
    assert "is not the file that was imported" in damaged()[workspace.relative(kept.parent / "import.json")]
