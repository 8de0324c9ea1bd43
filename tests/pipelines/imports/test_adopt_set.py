"""A whole set enters: what it becomes, what may be wrong with it, and how it lives with a list in one workspace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.errors import DataError, ProblemsError, Reason
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.masks.rle import Rle, decode
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.pipelines.engine.runner import StageReport
from avis_data.pipelines.engine.worker import Failure, Job
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.exports.ytvis import YTVIS
from avis_data.pipelines.imports.existing_set import import_set, plan_set, read_set
from avis_data.pipelines.kept_video_list import ListOptions, read_wanted
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.stages.adopt import clip_id_of
from avis_data.pipelines.stages.embed import embed_items
from avis_data.pipelines.stages.preview import preview_items
from avis_data.pipelines.status import failed_items, workspace_status
from avis_data.recipe import create_workspace, load_recipe
from avis_data.records import Clip, Video, is_safe_id
from support.adopting import InlineExecutors, enter_set, set_entered
from support.ytvis_world import HEIGHT, SECONDS, WIDTH, truth, write_split


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "dataset")


def clips_of(workspace: Workspace) -> dict[str, Clip]:
    return {clip.clip_id: clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}


def videos_of(workspace: Workspace) -> dict[str, Video]:
    return {video.video_id: video for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_clips_sources_and_status_are_like_those_of_a_list(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"])
    set_entered(workspace, tmp_path, "train")
    clip = clips_of(workspace)["alpha"]
    assert (clip.num_seconds, clip.width, clip.height, clip.split, clip.frame_at) == (
        *(SECONDS, WIDTH, HEIGHT),
        *("train", None),
    )
    video = videos_of(workspace)["alpha"]
    assert (video.url, video.path, video.media, video.license) == ("file:alpha", "clips/alpha", None, None)
    assert [name for name, _ in read_masks(workspace.masks)] == ["alpha", "beta"]
    with Ledger(workspace.ledger) as ledger:
        stages = {status.stage: status for status in workspace_status(ledger, load_recipe(workspace))}
        assert (stages["adopt"].done, stages["adopt"].wanted, stages["embed"].to_do) == (2, 2, 2)
        assert [item.item_id for item in embed_items(ledger).items] == ["alpha", "beta"]
        assert preview_items(ledger).num_waiting == 0  # there is nothing that one could be made from


def test_the_same_again_does_nothing_and_a_changed_file_is_done_again(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"])
    assert enter_set(workspace, tmp_path, "train")[0].done == 2
    again, _ = enter_set(workspace, tmp_path, "train")
    assert (again.done, again.already_done) == (0, 2)
    frames = tmp_path / "train" / "JPEGImages" / "beta"
    (frames / "0.jpg").write_bytes((frames / "1.jpg").read_bytes())
    changed, _ = enter_set(workspace, tmp_path, "train")
    assert (changed.done, changed.already_done) == (1, 1)
    assert workspace.frame("beta", 0).read_bytes() == (frames / "1.jpg").read_bytes()


def test_the_split_is_that_of_the_file_name_or_of_the_option(workspace: Workspace, tmp_path: Path) -> None:
    for split, names in (("val", ["alpha"]), ("some", ["beta"])):
        write_split(tmp_path, split, names)
        set_entered(workspace, tmp_path, split)
    assert {name: clip.split for name, clip in clips_of(workspace).items()} == {"alpha": "val", "beta": None}
    adopted, _ = enter_set(workspace, tmp_path, "some", as_split="test")
    assert adopted.already_done == 1 and clips_of(workspace)["beta"].split == "test"  # nothing is copied for that


def test_another_video_of_the_same_name_takes_no_place(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"], seed=1)
    write_split(tmp_path, "val", ["beta", "gamma"], seed=2)
    set_entered(workspace, tmp_path, "train")
    before = workspace.frame("beta", 0).read_bytes()
    with pytest.raises(ProblemsError, match=r"'beta'.* another video of this name, in train"):
        enter_set(workspace, tmp_path, "val")
    assert workspace.frame("beta", 0).read_bytes() == before and sorted(clips_of(workspace)) == ["alpha", "beta"]
    enter_set(workspace, tmp_path, "val", as_split="train")  # said to be the same split: it is the new state of it
    assert workspace.frame("beta", 0).read_bytes() != before and sorted(clips_of(workspace))[2] == "gamma"


def test_one_bad_video_costs_itself_and_the_truth_waits_for_it(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta", "gamma"])
    wav = tmp_path / "train" / "WAVAudios" / "beta.wav"
    wav.rename(wav.with_suffix(".away"))
    with pytest.raises(ProblemsError) as caught:
        enter_set(workspace, tmp_path, "train")
    assert "'beta' could not be adopted: no WAVAudios/beta.wav" in str(caught.value) and "no_audio" in str(caught.value)
    assert sorted(clips_of(workspace)) == ["alpha", "gamma"] and not list(read_masks(workspace.masks))
    with Ledger(workspace.ledger) as ledger:
        failed = failed_items(ledger, workspace_status(ledger, load_recipe(workspace)))
        assert [(item.stage, item.reason) for item in failed] == [("adopt", Reason.NO_AUDIO)]
    adopted, report = enter_set(workspace, tmp_path, "train", skip_bad=True)
    assert report.skipped_clips == ["beta"] and report.num_clips == 2 and adopted.exit_code == 4
    wav.with_suffix(".away").rename(wav)
    adopted, report = enter_set(workspace, tmp_path, "train")
    assert (adopted.done, adopted.already_done, report.num_clips) == (1, 2, 3)


class FullDisk(InlineExecutors):
    """Has no room for anything."""

    def submit(self, job: Job, timeout_s: float) -> None:
        self._ended.append(Failure(item_id=job.item_id, reason=Reason.DISK_FULL, message="no space left on the disk"))


def test_a_full_disk_ends_the_import_and_the_next_one_tries_again(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"])
    recipe = create_workspace(workspace, "aviseg")
    files = read_set(tmp_path / "train.json", tmp_path / "train", split=None)
    (report,) = import_set(workspace, recipe, files, executors=FullDisk())  # no truth is tried
    assert isinstance(report, StageReport) and report.stopped and "disk is full" in report.stopped
    adopted, truth_report = enter_set(workspace, tmp_path, "train")
    assert (adopted.done, truth_report.num_clips) == (2, 2)


def test_bad_masks_import_nothing_and_the_clips_stay(workspace: Workspace, tmp_path: Path) -> None:
    content = write_split(tmp_path, "train", ["alpha", "beta"])
    content["annotations"][0]["iscrowd"] = 1
    rewrite(tmp_path / "train.json", annotations=content["annotations"])
    with pytest.raises(ProblemsError, match="nothing imported"):
        enter_set(workspace, tmp_path, "train")
    assert sorted(clips_of(workspace)) == ["alpha", "beta"] and not workspace.masks.exists()
    content["annotations"][0]["iscrowd"] = 0
    rewrite(tmp_path / "train.json", annotations=content["annotations"])
    adopted, report = enter_set(workspace, tmp_path, "train")
    assert (adopted.already_done, report.num_clips) == (2, 2)


def test_names_that_are_no_ids_get_one_and_keep_their_masks(workspace: Workspace, tmp_path: Path) -> None:
    names = ["a video (1).mp4", "a video (2).mp4", "é" * 70]
    write_split(tmp_path, "train", names)
    set_entered(workspace, tmp_path, "train")
    ids = [clip_id_of(name) for name in names]
    assert all(is_safe_id(clip_id) for clip_id in ids) and len(set(ids)) == 3 and ids[0].startswith("a_video_1_mp4-")
    assert sorted(clips_of(workspace)) == sorted(ids) and videos_of(workspace)[ids[0]].url == f"file:{names[0]}"
    rows = dict(read_masks(workspace.masks))
    assert sorted(rows) == sorted(ids)
    dog = next(row for row in rows[ids[1]] if row.category == "dog")
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[3:7, 8:12] = True
    np.testing.assert_array_equal(decode(Rle(dog.height, dog.width, dog.counts or "")), expected)
    again, report = enter_set(workspace, tmp_path, "train")
    assert again.already_done == 3 and report.num_clips_without == 0


TWO = [{"id": 1, "name": "CC-BY-4.0"}, {"id": 2, "url": "https://example.org/terms"}]


@pytest.mark.parametrize(
    ("licenses", "of_videos", "expected"),
    [
        ([], (None, None), (None, None)),
        (TWO[:1], (None, None), ("CC-BY-4.0", "CC-BY-4.0")),  # one licence, and no video says otherwise: it is for all
        (TWO[:1], (1, None), ("CC-BY-4.0", None)),
        (TWO, (2, 1), ("https://example.org/terms", "CC-BY-4.0")),
        (TWO, (None, None), (None, None)),
        (TWO, (7, None), (None, None)),
        (["free"], ("free", True), (None, None)),
    ],
)
def test_licences_are_those_of_the_file(
    licenses: list[Any], of_videos: tuple[Any, Any], expected: tuple[Any, Any], workspace: Workspace, tmp_path: Path
) -> None:
    content = write_split(tmp_path, "train", ["alpha", "beta"])
    for video, number in zip(content["videos"], of_videos, strict=True):
        video.update({} if number is None else {"license": number})
    rewrite(tmp_path / "train.json", licenses=licenses, videos=content["videos"])
    set_entered(workspace, tmp_path, "train")
    assert tuple(clip.license for clip in clips_of(workspace).values()) == expected


def test_the_certificate_names_unknown_rights_and_unknown_instants(workspace: Workspace, tmp_path: Path) -> None:
    content = write_split(tmp_path, "train", ["alpha"])
    content["videos"][0]["license"] = 1
    rewrite(tmp_path / "train.json", licenses=TWO[:1], videos=content["videos"])
    write_split(tmp_path, "val", ["beta"], seed=1)
    for split in ("train", "val"):
        set_entered(workspace, tmp_path, split)
    export(workspace, YTVIS.with_options(features=False), ExportOptions())
    said = json.loads((workspace.exports / "ytvis" / "certificate.json").read_text())
    assert said["rights"]["sources_without_license"] == ["beta"] and list(said["rights"]["licenses"]) == ["CC-BY-4.0"]
    assert said["frame_at"] == {"unknown": 2} and [clip["url"] for clip in said["clips"]] == [None, None]
    written = json.loads((workspace.exports / "ytvis" / "train.json").read_text())
    assert written["licenses"] == TWO[:1] and written["videos"][0]["license"] == 1


def test_copies_under_two_names_are_one_source(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"])
    write_split(tmp_path, "val", ["copy"], seed=9)
    shutil.rmtree(tmp_path / "val")
    (tmp_path / "val" / "WAVAudios").mkdir(parents=True)
    shutil.copytree(tmp_path / "train" / "JPEGImages" / "alpha", tmp_path / "val" / "JPEGImages" / "copy")
    shutil.copy(tmp_path / "train" / "WAVAudios" / "alpha.wav", tmp_path / "val" / "WAVAudios" / "copy.wav")
    for split in ("train", "val"):
        set_entered(workspace, tmp_path, split)
    with pytest.raises(ProblemsError, match="alpha"):  # the set's own division has one source on both sides
        plan_export(workspace, YTVIS.with_options(features=False), ExportOptions())
    groups = {
        item.clip.clip_id: item.group
        for item in plan_export(workspace, YTVIS.with_options(features=False), ExportOptions(split="2/1")).inputs.clips
    }
    assert groups == {"alpha": "alpha", "copy": "alpha", "beta": "beta"}


def test_a_list_and_a_set_live_in_one_workspace(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"])
    set_entered(workspace, tmp_path, "train")
    recipe = load_recipe(workspace)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("url,video_id\nhttps://example.org/a.mp4,delta\n")
    bad.write_text("url,video_id\nhttps://example.org/a.mp4,alpha\n")
    with Ledger(workspace.ledger) as ledger:
        with pytest.raises(DataError, match="came with avis-data import --media: alpha"):
            read_wanted(workspace, ledger, recipe, ListOptions(path=bad))
        found = read_wanted(workspace, ledger, recipe, ListOptions(path=good))
        ledger.replace_wanted(["delta"], [(row.span.clip_id, "{}") for row in found.clips])
    write_split(tmp_path, "val", ["delta"])
    with pytest.raises(ProblemsError, match="'delta': the workspace has it from its list"):
        enter_set(workspace, tmp_path, "val")
    with Ledger(workspace.ledger) as ledger:
        ledger.replace_wanted([], [])  # another list: clips of sets stay wanted
        write_manifests(workspace, ledger)
    assert sorted(clips_of(workspace)) == ["alpha", "beta"]


def test_a_changed_clip_is_not_exported_and_verify_makes_it_again(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha"])
    write_split(tmp_path, "val", ["beta"], seed=1)
    for split in ("train", "val"):
        set_entered(workspace, tmp_path, split)
    still = workspace.frame("alpha", 1)
    right = still.read_bytes()
    still.write_bytes(right[:-1])
    with pytest.raises(ProblemsError, match="import --format ytvis TRUTH --media DIR --verify"):
        export(workspace, YTVIS.with_options(features=False), ExportOptions())
    adopted, _ = enter_set(workspace, tmp_path, "train", verify=True)
    assert adopted.done == 1 and still.read_bytes() == right
    export(workspace, YTVIS.with_options(features=False), ExportOptions())


def test_a_plan_touches_nothing_and_says_what_would_be_wrong(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha", "beta"])
    set_entered(workspace, tmp_path, "train")
    content = write_split(tmp_path, "val", ["gamma"], seed=1)
    files = read_set(tmp_path / "val.json", tmp_path / "val", split=None)
    ledger_before, clips_before = workspace.ledger.read_bytes(), clips_of(workspace)
    plan, report = plan_set(workspace, load_recipe(workspace), files, verify=False, skip_bad=False)
    sizes = [path.stat().st_size for path in (tmp_path / "val").rglob("*.[jw][pa][gv]")]
    assert len(plan.todo) == 1 and plan.expected_bytes == sum(sizes) and report.num_masks == 3
    content["annotations"][0]["category_id"] = 99
    rewrite(tmp_path / "val.json", annotations=content["annotations"])
    files = read_set(tmp_path / "val.json", tmp_path / "val", split=None)
    with pytest.raises(ProblemsError, match="no category has the id 99"):
        plan_set(workspace, load_recipe(workspace), files, verify=False, skip_bad=False)
    assert workspace.ledger.read_bytes() == ledger_before and clips_of(workspace) == clips_before


def test_what_is_no_set_is_told_before_anything_is_made(tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha"])
    with pytest.raises(DataError, match="no folder JPEGImages") as caught:
        read_set(tmp_path / "train.json", tmp_path, split=None)
    assert f"--media {tmp_path / 'train'}" in str(caught.value)
    rewrite(tmp_path / "train.json", videos=[{"id": 1}])
    with pytest.raises(ProblemsError, match=r"videos\[0\] \(id 1\): file_names"):
        read_set(tmp_path / "train.json", tmp_path / "train", split=None)


def test_a_name_that_leads_out_of_the_folder_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    write_split(tmp_path, "train", ["alpha"])
    content = truth(["alpha", ".."])
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(ProblemsError, match="unsafe"):
        enter_set(workspace, tmp_path, "train")
    assert [path.name for path in (workspace.root / "clips").iterdir()] == ["alpha"]
