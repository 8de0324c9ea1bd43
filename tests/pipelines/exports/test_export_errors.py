"""Bad states of a workspace end in a message that names what is wrong and what to do, never in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avis_data.errors import AvisError, ConfigError, ItemError
from avis_data.features.store import bucket, part_name, write_part
from avis_data.io import read_json, remove
from avis_data.manifest import read_manifest, write_manifest
from avis_data.masks.table import read_masks, write_masks
from avis_data.paths import Workspace
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.writing import ExportJob
from avis_data.pipelines.exports.ytvis import YTVIS
from avis_data.pipelines.truth_records import LabelledTruth, write_labelled_truth
from avis_data.records import Clip, Track
from support.fake_workspace import FakeClip, FakeTrack, embeddings_of, make_workspace


def clips() -> list[FakeClip]:
    return [
        FakeClip(clip_id=f"clip{index}", video_id=f"v{index}", tracks=(FakeTrack(track_id="t0", sounding=(0, 1)),))
        for index in range(6)
    ]


def no_recipe(workspace: Workspace) -> None:
    workspace.recipe.unlink()


def no_manifests(workspace: Workspace) -> None:
    remove(workspace.manifest)


def no_tracks(workspace: Workspace) -> None:
    (workspace.manifest / "tracks.jsonl").unlink()


def no_truth(workspace: Workspace) -> None:
    no_tracks(workspace)
    remove(workspace.annotations)


def drafts_only(workspace: Workspace) -> None:
    remove(workspace.annotations)
    path = workspace.manifest / "tracks.jsonl"
    write_manifest(path, [track.model_copy(update={"round": "draft"}) for track in list(read_manifest(path, Track))])


def one_draft(workspace: Workspace) -> None:
    no_truth(workspace)
    draft = LabelledTruth(
        state="draft",
        round="draft",
        labelled_by=("ann@example.com",),
        reviewed_by=(),
        labels_sha256="0" * 64,
        num_tracks=1,
        frames_sha256="0" * 64,
        audio_sha256="0" * 64,
    )
    write_labelled_truth(workspace, {"clip0": draft})


def no_videos(workspace: Workspace) -> None:
    (workspace.manifest / "videos.jsonl").write_text("")


def torn_manifest(workspace: Workspace) -> None:
    path = workspace.manifest / "clips.jsonl"
    path.write_text(path.read_text()[:-30])


def no_embeddings(workspace: Workspace) -> None:
    remove(workspace.features)


def one_part_missing(workspace: Workspace) -> None:
    (workspace.features / part_name(bucket("clip3"))).unlink()


def too_many_embeddings(workspace: Workspace) -> None:
    name = bucket("clip3")
    same = sorted(f"clip{index}" for index in range(6) if bucket(f"clip{index}") == name)
    write_part(
        workspace.features / part_name(name),
        [(clip_id, embeddings_of(clip_id, 4 if clip_id == "clip3" else 3)) for clip_id in same],
        weights_sha256="untrained-0",
        front_end="official",
        window_s=0.96,
    )


def torn_embeddings(workspace: Workspace) -> None:
    path = workspace.features / part_name(bucket("clip3"))
    path.write_bytes(path.read_bytes()[:-40])


def other_category(workspace: Workspace) -> None:
    path = workspace.manifest / "tracks.jsonl"
    write_manifest(path, [track.model_copy(update={"category": "kazoo"}) for track in list(read_manifest(path, Track))])


def no_masks(workspace: Workspace) -> None:
    remove(workspace.masks)


def mask_after_the_end(workspace: Workspace) -> None:
    rows = [row for _, of_clip in read_masks(workspace.masks) for row in of_clip]
    last = [row.model_copy(update={"frame": 7}) if row.frame == 1 else row for row in rows]
    write_masks(workspace.masks, last)


def mask_of_another_size(workspace: Workspace) -> None:
    path = workspace.manifest / "clips.jsonl"
    write_manifest(path, [clip.model_copy(update={"width": 50}) for clip in list(read_manifest(path, Clip))])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_recipe, ["no workspace", "avis-data init"]),
        (no_manifests, ["no clips to export", "avis-data run"]),
        (no_truth, ["none of 6 clips has accepted truth", "avis-data import", "--select all"]),
        (no_tracks, ["clip clip0: truth: manifest/tracks.jsonl has 0 of its 1 track(s)", "avis-data import"]),
        (drafts_only, ["none of 6 clips has accepted truth"]),
        (one_draft, ["avis-data review start", "--include draft: 1 clip(s) have labels"]),
        (no_videos, ["clip clip0: video_id: source 'v0' is not in manifest/videos.jsonl; avis-data fetch"]),
        (torn_manifest, ["clips.jsonl:6", "not a Clip record"]),
        (no_embeddings, ["no embeddings", "avis-data embed", "--without-features"]),
        (one_part_missing, ["clip3", "avis-data embed", "--without-features"]),
        (torn_embeddings, ["part-", "avis-data embed"]),
        (too_many_embeddings, ["clip clip3: features: 4 embeddings for 3 stills"]),
        (other_category, ["'kazoo' of track t0 is not in the set 'aviseg-26'"]),
        (no_masks, ["track t0 sounds in 2 stills, the masks table has 0"]),
        (mask_after_the_end, ["still 7 of track t0, but the clip has 3 stills"]),
        (mask_of_another_size, ["mask of 48x32 pixels, stills of 50x32"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, damage: Callable[[Workspace], None], words: list[str]) -> None:
    workspace = make_workspace(tmp_path / "ws", clips())
    damage(workspace)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AvisError) as caught:
        plan_export(workspace, YTVIS, ExportOptions(split="75/25"))
    assert sorted(tmp_path.rglob("*")) == before
    for word in words:
        assert word in str(caught.value)


def test_embeddings_may_be_left_out(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips())
    no_embeddings(workspace)
    export(workspace, YTVIS.with_options(features=False), ExportOptions(split="4/2"))
    root = workspace.exports / "ytvis"
    assert not list(root.rglob("FEATAudios")) and read_json(root / "certificate.json")["embeddings"] is None


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "x" * 65])
def test_a_name_never_leaves_the_folder_of_exports(tmp_path: Path, name: str) -> None:
    workspace = make_workspace(tmp_path / "ws", clips())
    with pytest.raises(AvisError, match="is no id"):
        export(workspace, YTVIS, ExportOptions(split="4/2", name=name))


def test_only_accepted_rounds_are_published_and_review_replaces_import(tmp_path: Path) -> None:
    """Which of the clips are taken, and whose tracks."""
    both = (
        FakeTrack(track_id="old", category="dog", round="import"),
        FakeTrack(track_id="new", category="cat", round="accepted"),
    )
    draft = (FakeTrack(track_id="t0", round="draft"),)
    mixed = (FakeTrack(track_id="t0", category="car", round="import"), FakeTrack(track_id="t1", round="review"))
    workspace = make_workspace(
        tmp_path / "ws",
        [
            FakeClip(clip_id="a", video_id="a", tracks=both),
            FakeClip(clip_id="b", video_id="b", tracks=draft),
            FakeClip(clip_id="c", video_id="c", tracks=mixed),
            FakeClip(clip_id="d", video_id="d", imported_silent=True),
            FakeClip(clip_id="e", video_id="e"),
        ],
    )
    accepted = plan_export(workspace, YTVIS, ExportOptions(split="50/50"))
    found = {item.clip.clip_id: [track.track.category for track in item.tracks] for item in accepted.inputs.clips}
    assert found == {"a": ["cat"], "c": ["car"], "d": []}
    assert accepted.inputs.without_truth == ("b", "e")
    everything = plan_export(workspace, YTVIS, ExportOptions(split="50/50", select="all"))
    assert [item.clip.clip_id for item in everything.inputs.clips] == ["a", "b", "c", "d", "e"]
    assert [item.has_truth for item in everything.inputs.clips] == [True, False, True, True, False]
    assert not everything.inputs.clips[1].tracks


def test_the_list_may_say_the_split_for_all_clips_or_for_none(tmp_path: Path) -> None:
    listed = [
        FakeClip(clip_id=f"c{index}", video_id=f"v{index}", split=split, tracks=(FakeTrack(track_id="t"),))
        for index, split in enumerate(["val", "train", "test", "train"])
    ]
    workspace = make_workspace(tmp_path / "all", listed)
    plan = plan_export(workspace, YTVIS, ExportOptions())
    assert dict(plan.assignment.split_of) == {"c0": "val", "c1": "train", "c2": "test", "c3": "train"}
    asked = plan_export(workspace, YTVIS, ExportOptions(split="3/1"))
    assert asked.assignment.counts() == {"train": 3, "val": 1}
    some = make_workspace(tmp_path / "some", [*listed, FakeClip(clip_id="x", video_id="x", tracks=listed[0].tracks)])
    with pytest.raises(ConfigError, match="names 4 of 5 clips"):
        plan_export(some, YTVIS, ExportOptions())


def test_the_recipe_gives_the_split_where_nothing_else_does(tmp_path: Path) -> None:
    plan = plan_export(make_workspace(tmp_path / "ws", clips()), YTVIS, ExportOptions())
    assert plan.assignment.request == "67/11/22" and sum(plan.assignment.counts().values()) == 6


def test_a_split_file_decides_and_excludes_split(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips())
    path = tmp_path / "division.csv"
    path.write_text("video_id,split\n" + "".join(f"v{n},{'val' if n == 2 else 'train'}\n" for n in range(6)))
    plan = plan_export(workspace, YTVIS, ExportOptions(split_file=path))
    assert plan.assignment.clip_ids("val") == ["clip2"] and plan.assignment.seed is None
    with pytest.raises(ConfigError, match="exclude each other"):
        plan_export(workspace, YTVIS, ExportOptions(split_file=path, split="4/2"))


def test_a_reader_that_gives_something_else_keeps_the_export_back(tmp_path: Path) -> None:
    """The features change between the plan and the writing: what is read back is not what was meant."""
    workspace = make_workspace(tmp_path / "ws", clips())
    plan = plan_export(workspace, YTVIS, ExportOptions(split="4/2"))
    export(workspace, YTVIS, ExportOptions(split="4/2"))
    root = workspace.exports / "ytvis"
    path = next(root.glob("*/FEATAudios/clip0.npy"))
    values = np.load(path)
    values[1, 5] += 1
    np.save(path, values)
    job = ExportJob(workspace=workspace, folder=root, plan=plan)
    with pytest.raises(ItemError, match="the features differ"):
        YTVIS.format.check_clip(job, plan.pieces_of["clip0"])
