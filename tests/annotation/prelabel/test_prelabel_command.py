"""`avis-data prelabel` on a small synthetic world with a toy that hears and a toy that sees; and what becomes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from avis_data.annotation.labels.first_labels import first_labels
from avis_data.annotation.labels.made_masks import made_masks, mask_sha256
from avis_data.annotation.labels.records import LabelledClip, MaskOrigin, RoundInfo, RoundKind, Verdict
from avis_data.annotation.labels.store import machine_path, read_machine_labels, write_labelled, write_round
from avis_data.annotation.labels.tables import bring_up_to_date
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.prelabel.engine import Box, TaggerSpec
from avis_data.annotation.prelabel.engines import TAGGERS
from avis_data.annotation.prelabel.prelabel import PrelabelChoices
from avis_data.annotation.prelabel.results import write_machine_results
from avis_data.annotation.propagation.start import start_of
from avis_data.cli.main import main
from avis_data.formats.ytvis import read_ytvis
from avis_data.ledger import Ledger
from avis_data.masks.rle import box
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors.here import HereExecutors
from avis_data.pipelines.engine.planner import Selection
from avis_data.pipelines.engine.runner import StageReport
from avis_data.pipelines.engine.spec import Choices
from avis_data.pipelines.steps import StepRequest, do_steps
from avis_data.recipe import load_recipe
from avis_data.records import State
from avis_data.synth.labels import SceneLabels, read_scenes
from support.toy_engines import Hears, Sees, picture_key, toy_engines

SECONDS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips, fetched and extracted, and what the toys know."""
    root = tmp_path_factory.mktemp("prelabel")
    size = ["--num-clips", "2", "--seconds", str(SECONDS), "--size", "96x64", "--video-fps", "4", "--seed", "3"]
    videos = str(root / "world" / "videos.csv")
    for arguments in (
        ["synth", *size, "-j", "1", "--out", str(root / "world")],
        ["-C", str(root / "ds"), "fetch", "--list", videos, "--allow-local", "--sleep", "0"],
        ["-C", str(root / "ds"), "extract", "-j", "1"],
    ):
        assert main(arguments) == 0
    (root / "weights").mkdir()
    (root / "weights" / "toy.json").write_text("{}")
    return root


@pytest.fixture
def workspace(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A copy of it; the toys are there by their names."""
    shutil.copytree(made / "ds", tmp_path / "ds")
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "ds")
    with toy_engines(*_toys(Workspace(tmp_path / "ds"), read_scenes(made / "world" / "scenes.json"))):
        yield Workspace(tmp_path / "ds")


def _toys(workspace: Workspace, scenes: Sequence[SceneLabels]) -> tuple[Hears, Sees]:
    """All categories are heard, and every true mask has its box."""
    boxes: dict[int, list[tuple[str, Box]]] = {}
    for scene in scenes:
        for second in range(SECONDS):
            with Image.open(workspace.frame(scene.clip_id, second)) as still:
                key = picture_key(np.asarray(still.convert("RGB")))
            for track in scene.tracks:
                if (mask := scene.mask(track, second)) is not None:
                    x, y, width, height = box(mask)
                    boxes.setdefault(key, []).append((track.category, (x, y, x + width, y + height)))
    return Hears(sorted({track.category for scene in scenes for track in scene.tracks})), Sees(boxes)


@pytest.fixture
def scenes(made: Path) -> list[SceneLabels]:
    return read_scenes(made / "world" / "scenes.json")


def prelabel(workspace: Workspace, made: Path, *, force: bool = False, **choices: Any) -> StageReport:
    weights = {"tagger_weights": made / "weights", "detector_weights": made / "weights"}
    engines = {"tagger": "hears", "detector": "sees", "engine": "grabcut"}
    chosen = PrelabelChoices(**(engines | weights | choices))
    request = StepRequest(
        steps=["prelabel"],
        executors=lambda _: HereExecutors(),
        selection=Selection(force=force),
        choices=Choices(chosen),
    )
    (report,) = do_steps(workspace, load_recipe(workspace), request, command="test")
    return report


def test_what_is_heard_and_seen_gets_masks_that_say_who_made_them(
    workspace: Workspace, made: Path, scenes: list[SceneLabels]
) -> None:
    report = prelabel(workspace, made)
    assert (report.done, report.failed) == (2, {})
    for scene in scenes:
        labels = read_machine_labels(workspace, scene.clip_id)
        assert labels is not None and labels.tracks and labels.source.startswith("prelabel: hears, sees, grabcut,")
        kept = made_masks(workspace, scene.clip_id)
        for track in labels.tracks:
            assert track.identity.startswith(f"{track.category}_")
            assert State.SOUNDING in track.states[:-1] and track.states[-1] is not State.SOUNDING
            for mask in track.masks:
                assert mask.origin is MaskOrigin.PRELABELLED and mask.annotator is None and mask.round is None
                assert mask.engine in ("grabcut", "optical-flow")
                assert kept[mask_sha256(mask.rle)].origin is MaskOrigin.PRELABELLED
        for category in {track.category for track in labels.tracks}:
            at_once = zip(*(track.states for track in labels.tracks if track.category == category), strict=True)
            assert all(states.count(State.SOUNDING) <= 1 for states in at_once), "one of several, the largest"
    assert prelabel(workspace, made).already_done == 2
    assert prelabel(workspace, made, video_fps=2).done == 2, "other pictures, other labels"


def test_a_clip_that_cannot_be_read_costs_itself_and_nothing_is_seen_in_silence(
    workspace: Workspace, made: Path, scenes: list[SceneLabels]
) -> None:
    (workspace.frame(scenes[0].clip_id, 1)).write_bytes(b"torn")
    with TAGGERS.with_added(TaggerSpec(name="deaf", load=lambda _: Hears([]))):
        assert prelabel(workspace, made, tagger="deaf").done == 2, "no picture is looked at where nothing is heard"
    for scene in scenes:
        labels = read_machine_labels(workspace, scene.clip_id)
        assert labels is not None and labels.tracks == ()
    report = prelabel(workspace, made)
    assert (report.done, sum(report.failed.values())) == (1, 1)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        entry = ledger.entries("prelabel")[scenes[0].clip_id]
    assert entry.state == "failed" and "extract makes it again" in str(entry.message)


def test_the_page_of_an_annotator_begins_with_them_and_a_certificate_counts_what_nobody_changed(
    workspace: Workspace, made: Path, scenes: list[SceneLabels]
) -> None:
    prelabel(workspace, made)
    labels = WorkspaceLabels(workspace)
    clip = labels.clips[scenes[0].clip_id]
    found = read_machine_labels(workspace, clip.clip_id)
    assert found is not None
    page = first_labels(labels, clip)
    assert [track.masks for track in page.tracks] == [track.masks for track in found.tracks]
    assert page.note.startswith("masks from prelabel: hears, sees") and page.media is not None
    assert start_of(labels, clip, None) is None, "nobody drew anything that could be carried on"
    said = LabelledClip(
        clip_id=clip.clip_id,
        round="draft",
        annotator="ann@example.com",
        fps=1,
        num_frames=SECONDS,
        height=clip.height,
        width=clip.width,
        tracks=page.tracks,
        verdict=Verdict.DONE,
        media=page.media,
        revision=None,
    )
    write_round(workspace, RoundInfo(name="draft", kind=RoundKind.DRAFT, projects=(), created_at="2026-01-01"))
    write_labelled(workspace, said)
    bring_up_to_date(workspace, command="test")
    assert start_of(WorkspaceLabels(workspace), clip, "draft") is None, "left as they were they are nobody's drawing"
    assert main(["export", "--split", "100/0", "--include", "draft", "--name", "e", "--without-features"]) == 0
    truth = json.loads((workspace.exports / "e" / "certificate.json").read_text())["truth"]
    assert truth["origins"] == {"prelabelled:draft": len(page.tracks)}


def test_a_result_file_has_the_ids_of_the_truth_and_masks_only_in_sounding_seconds(
    workspace: Workspace, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prelabel(workspace, made)
    truth = made / "world" / "truth.json"
    written = write_machine_results(workspace, truth, tmp_path / "results.json")
    entries = json.loads((tmp_path / "results.json").read_text())
    assert (written.num_clips, written.missing) == (2, ()) and written.num_tracks == len(entries) > 0
    known = read_ytvis(truth)
    names = {item.id: item.name for item in known.categories}
    for entry in entries:
        (video,) = (video for video in known.videos if video.video_id == entry["video_id"])
        labels = read_machine_labels(workspace, video.name)
        assert labels is not None and entry["score"] == pytest.approx(0.8)
        empty = {"size": [video.height, video.width], "counts": entry["segmentations"][-1]["counts"]}
        tracks = [track for track in labels.tracks if track.category == names[entry["category_id"]]]
        states = [[mask != empty for mask in entry["segmentations"]]]
        assert states[0] in [[state is State.SOUNDING for state in track.states] for track in tracks]
    capsys.readouterr()
    assert main(["evaluate", "--truth", str(truth), "--pred", str(tmp_path / "results.json"), "--json"]) == 0
    machine_path(workspace, known.videos[0].name).unlink()
    assert write_machine_results(workspace, truth, tmp_path / "less.json").missing == (known.videos[0].name,)


def test_what_is_missing_is_said_with_the_command_that_brings_it(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prelabel", "-j", "1"]) == 5
    assert "avis-data weights get yamnet" in capsys.readouterr().err
    assert main(["prelabel", "--out", "results.json"]) == 2
    assert "--out and --data go together" in capsys.readouterr().err
    assert main(["prelabel", "--data", "exports/none", "--out", "results.json"]) == 2
    assert "exports/none/test.json: no such file" in capsys.readouterr().err
    assert main(["prelabel", "--tagger", "ears"]) == 2
    assert "no tagger 'ears'" in capsys.readouterr().err


def test_the_command_plans_works_and_says_what_it_found(
    workspace: Workspace, made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = str(made / "weights")
    engines = ["--tagger", "hears", "--tagger-weights", weights, "--detector", "sees", "--detector-weights", weights]
    capsys.readouterr()
    assert main(["prelabel", *engines, "--engine", "grabcut", "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["dry_run"] and planned["clips"] == [] and not (workspace.annotations / "machine").exists()
    prelabel(workspace, made)
    capsys.readouterr()
    assert main(["prelabel", *engines, "--engine", "grabcut", "-j", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["clips"]) == 2 and report["better_with"] == ["avis-data weights get silero-vad"]
    assert all(clip["num_masks"] > 0 and clip["heard"] for clip in report["clips"])
