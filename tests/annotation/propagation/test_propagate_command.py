"""`avis-data propagate` on a small synthetic world: what it keeps, resumes, records and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avis_data.annotation.labels.made_masks import made_masks, mask_sha256
from avis_data.annotation.labels.records import (
    Interval,
    LabelledClip,
    LabelledMask,
    LabelledTrack,
    MaskOrigin,
    PreLabels,
    RoundInfo,
    RoundKind,
    Verdict,
)
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.store import (
    prelabels_path,
    read_prelabels,
    write_labelled,
    write_prelabels,
    write_round,
)
from avis_data.cli.main import main
from avis_data.io import sha256_tree
from avis_data.ledger import Ledger
from avis_data.masks.rle import Rle, area, decode
from avis_data.paths import Workspace
from avis_data.records import State
from avis_data.synth.labels import SceneLabels, read_scenes

SECONDS = 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, fetched and extracted."""
    root = tmp_path_factory.mktemp("propagate")
    size = [
        "--num-clips",
        "2",
        "--seconds",
        str(SECONDS),
        "--size",
        "160x90",
        "--video-fps",
        "12",
        "--seed",
        "3",
        "-j",
        "1",
    ]
    videos = str(root / "world" / "videos.csv")
    for arguments in (
        ["synth", *size, "--out", str(root / "world")],
        ["-C", str(root / "ds"), "fetch", "--list", videos, "--allow-local", "--sleep", "0"],
        ["-C", str(root / "ds"), "extract", "-j", "1"],
    ):
        assert main(arguments) == 0
    return root


@pytest.fixture
def workspace(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    shutil.copytree(made / "ds", tmp_path / "ds")
    monkeypatch.chdir(tmp_path / "ds")
    return Workspace(tmp_path / "ds")


@pytest.fixture
def scenes(made: Path) -> list[SceneLabels]:
    return read_scenes(made / "world" / "scenes.json")


def drawn_tracks(scene: SceneLabels, annotator: str = "ann@example.com") -> tuple[LabelledTrack, ...]:
    """Each object on the still that shows most of it; it sounds in the first second."""
    tracks = []
    for track in scene.tracks:
        masks = {t: rle for t in range(SECONDS) if (rle := scene.mask(track, t)) is not None}
        if not masks:
            continue
        second = max(masks, key=lambda t: area(masks[t]))
        rle, spans = masks[second], (Interval(start_s=0, end_s=1),)
        mask = LabelledMask(
            frame=second,
            height=rle.height,
            width=rle.width,
            counts=rle.counts,
            origin=MaskOrigin.CLICKED,
            engine="grabcut",
            annotator=annotator,
        )
        tracks.append(
            LabelledTrack(
                identity=f"{track.category}_{track.track_id}",
                category=track.category,
                intervals=spans,
                states=states(spans, {second}, SECONDS),
                masks=(mask,),
            )
        )
    return tuple(tracks)


def give_prelabels(workspace: Workspace, scene: SceneLabels) -> PreLabels:
    labels = PreLabels(
        clip_id=scene.clip_id,
        fps=1.0,
        num_frames=SECONDS,
        height=scene.height,
        width=scene.width,
        tracks=drawn_tracks(scene),
        source="test",
    )
    write_prelabels(workspace, labels)
    return labels


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["propagate", "--json", *arguments]) == code
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def state_of(report: dict[str, Any]) -> dict[str, str]:
    return {clip["clip_id"]: clip["state"] for clip in report["clips"]}


def iou(a: Rle, b: Rle) -> float:
    one, other = decode(a), decode(b)
    return float((one & other).sum() / (one | other).sum())


def test_masks_are_carried_and_what_was_drawn_stays(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    before = [give_prelabels(workspace, scene) for scene in scenes]
    report = run(capsys)
    assert set(state_of(report).values()) == {"done"} and report["carried"] > 0
    good = []
    for scene, labels in zip(scenes, before, strict=True):
        after = read_prelabels(workspace, scene.clip_id)
        assert after is not None and after.source == "propagate: optical-flow, from pre-labels"
        made = made_masks(workspace, scene.clip_id)
        for old, new in zip(labels.tracks, after.tracks, strict=True):
            by_second = {mask.frame: mask for mask in new.masks}
            assert by_second[old.masks[0].frame] == old.masks[0]
            assert new.intervals == old.intervals
            assert [s is State.HIDDEN for s in new.states] == [t not in by_second for t in range(SECONDS)]
            (track,) = (track for track in scene.tracks if new.identity == f"{track.category}_{track.track_id}")
            for mask in new.masks:
                if mask.origin is not MaskOrigin.PROPAGATED:
                    continue
                assert mask.engine == "optical-flow" and mask.confidence is not None and mask.annotator is None
                rle = Rle(mask.height, mask.width, mask.counts)
                assert made[mask_sha256(rle)].origin is MaskOrigin.PROPAGATED
                truth = scene.mask(track, mask.frame)
                good.append(iou(rle, truth) if truth is not None else 0.0)
    assert len(good) >= 8 and float(np.median(good)) > 0.75, np.round(good, 2)


def test_a_second_run_does_nothing_and_a_change_is_seen(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    for scene in scenes:
        give_prelabels(workspace, scene)
    run(capsys)
    bytes_before = sha256_tree(workspace.annotations / "prelabels")
    again = run(capsys)
    assert set(state_of(again).values()) == {"unchanged"}
    first, second = (scene.clip_id for scene in scenes)
    assert set(state_of(run(capsys, "--video-fps", "2", "--clips", first)).values()) == {"done"}
    run(capsys, "--clips", first)
    assert sha256_tree(workspace.annotations / "prelabels") == bytes_before  # the same masks again give the same bytes
    prelabels_path(workspace, second).unlink()
    assert state_of(run(capsys)) == {first: "unchanged", second: "nothing drawn"}
    give_prelabels(workspace, scenes[1])
    assert state_of(run(capsys)) == {first: "unchanged", second: "done"}
    assert state_of(run(capsys, "--force")) == {first: "done", second: "done"}


def test_a_dry_run_touches_nothing(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    give_prelabels(workspace, scenes[0])
    before = sha256_tree(workspace.root)
    report = run(capsys, "--dry-run")
    assert state_of(report) == {scenes[0].clip_id: "to do", scenes[1].clip_id: "nothing drawn"}
    assert sha256_tree(workspace.root) == before


def test_a_broken_source_is_recorded_and_the_others_go_on(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    for scene in scenes:
        give_prelabels(workspace, scene)
    source = next(workspace.source_dir().glob(f"{scenes[0].video_id}.*"))
    source.write_bytes(b"\0" * 2000)
    report = run(capsys, code=4)
    assert state_of(report) == {scenes[0].clip_id: "failed", scenes[1].clip_id: "done"}
    with Ledger(workspace.ledger, read_only=True) as ledger:
        entry = ledger.entries("propagate")[scenes[0].clip_id]
    assert entry.state == "failed" and entry.reason == "torn_input"
    kept = read_prelabels(workspace, scenes[0].clip_id)
    assert kept is not None and kept.source == "test"
    source.unlink()  # removed after extraction, as a recipe may ask for: then the stills must do
    report = run(capsys)
    assert state_of(report) == {scenes[0].clip_id: "done", scenes[1].clip_id: "unchanged"}
    assert report["clips"][0]["fps"] == 1


def test_masks_of_another_clip_are_refused(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = give_prelabels(workspace, scenes[0])
    track = labels.tracks[0]
    late = track.masks[0].model_copy(update={"frame": SECONDS})
    other = track.model_copy(update={"masks": (late,)})
    write_prelabels(workspace, labels.model_copy(update={"tracks": (other,)}))
    report = run(capsys, "--clips", scenes[0].clip_id, code=4)
    assert "another clip" in report["clips"][0]["message"]


def test_the_labels_of_a_round_are_taken(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    scene = scenes[0]
    write_round(workspace, RoundInfo(name="draft", kind=RoundKind.DRAFT, created_at="2026-01-01", projects=()))

    def said(annotator: str, verdict: Verdict) -> None:
        write_labelled(
            workspace,
            LabelledClip(
                clip_id=scene.clip_id,
                round="draft",
                annotator=annotator,
                fps=1.0,
                num_frames=SECONDS,
                height=scene.height,
                width=scene.width,
                tracks=drawn_tracks(scene, annotator),
                verdict=verdict,
                revision=None,
            ),
        )

    said("ann@example.com", Verdict.DROP)
    said("bob@example.com", Verdict.DONE)
    report = run(capsys, "--round", "draft", "--clips", scene.clip_id)
    assert report["clips"][0]["source"] == "round draft, bob@example.com"
    labels = read_prelabels(workspace, scene.clip_id)
    assert labels is not None and any(mask.annotator == "bob@example.com" for mask in labels.tracks[0].masks)
    assert state_of(run(capsys, "--round", "draft", "--clips", scene.clip_id)) == {scene.clip_id: "unchanged"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--engine", "xmem"], 2, "optical-flow, sam2"),
        (["--clips", "nobody"], 2, "nobody"),
        (["--round", "review"], 3, "no round"),
        (["--engine-weights", "x"], 2, "no weights"),
    ],
)
def test_wrong_options_say_what_is_wrong(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    report = run(capsys, *arguments, code=code)
    assert said in report["error"]


def test_the_printed_summary_names_pages(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    give_prelabels(workspace, scenes[0])
    assert main(["propagate"]) == 0
    out = capsys.readouterr().out
    assert f"{scenes[0].clip_id}: done" in out and "1 done, 1 nothing drawn" in out
    labels = read_prelabels(workspace, scenes[0].clip_id)
    assert labels is not None and bool(labels.flags) == ("Look first at: page" in out)


def test_it_is_a_stage_like_the_others(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    for scene in scenes:
        give_prelabels(workspace, scene)
    first, second = sorted(scene.clip_id for scene in scenes)
    assert "propagate" not in stages_of_status(capsys)
    assert state_of(run(capsys, "--limit", "1")) == {first: "done"}
    source = next(workspace.source_dir().glob(f"{scenes[1].video_id}.*"))
    whole = source.read_bytes()
    source.write_bytes(whole[:5000])
    assert state_of(run(capsys, "--workers", "2", code=4)) == {first: "unchanged", second: "failed"}
    row = stages_of_status(capsys)["propagate"]
    assert (row["done"], row["failed"], row["wanted"]) == (1, {"torn_input": 1}, 2)
    source.write_bytes(whole)
    assert state_of(run(capsys, "--retry-failed")) == {first: "unchanged", second: "done"}
    row = stages_of_status(capsys)["propagate"]
    assert (row["done"], row["stale"], row["to_do"], row["failed"]) == (2, 0, 0, {})


def test_masks_over_other_stills_are_stale(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    give_prelabels(workspace, scenes[0])
    run(capsys)
    text = workspace.recipe.read_text()
    workspace.recipe.write_text(text.replace("frame_at: mid", "frame_at: start"))
    assert main(["extract", "-j", "1"]) == 0
    row = stages_of_status(capsys)["propagate"]
    assert (row["done"], row["stale"], row["to_do"]) == (0, 1, 1)


def test_a_kill_before_the_ledger_costs_no_drawn_mask(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = give_prelabels(workspace, scenes[0])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "commit_done", killed)
        assert main(["propagate"]) == 130
    after = read_prelabels(workspace, labels.clip_id)
    assert after is not None and {mask for track in labels.tracks for mask in track.masks} <= {
        mask for track in after.tracks for mask in track.masks
    }
    assert state_of(run(capsys, "--clips", labels.clip_id)) == {labels.clip_id: "done"}
    carried = [mask for track in after.tracks for mask in track.masks if mask.origin is MaskOrigin.PROPAGATED]
    known = made_masks(workspace, labels.clip_id)
    assert carried and all(mask_sha256(Rle(mask.height, mask.width, mask.counts)) in known for mask in carried)
    assert not any((workspace.tmp / "propagate").rglob("*.json"))


def test_a_damaged_file_of_labels_fails_its_clip_only(
    workspace: Workspace, scenes: list[SceneLabels], capsys: pytest.CaptureFixture[str]
) -> None:
    for scene in scenes:
        give_prelabels(workspace, scene)
    broken, whole = (scene.clip_id for scene in scenes)
    prelabels_path(workspace, broken).write_text("{")
    assert state_of(run(capsys, code=4)) == {broken: "failed", whole: "done"}
    give_prelabels(workspace, scenes[0])
    assert state_of(run(capsys)) == {broken: "done", whole: "unchanged"}


def stages_of_status(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    return {stage["stage"]: stage for stage in json.loads(capsys.readouterr().out)["stages"]}
