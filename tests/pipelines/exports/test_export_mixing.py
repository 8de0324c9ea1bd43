"""Stills, sound, embeddings and truth of a clip are of one make, or the export says what is to be done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from avis_data.cli.main import main
from avis_data.errors import ProblemsError, Reason
from avis_data.io import read_json, sha256_tree, write_json
from avis_data.ledger import Done, Failed, Ledger, Output
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from avis_data.pipelines.exports.ytvis import YTVIS
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.stages.adopt import AdoptedVideo
from avis_data.records import Clip, Video
from support.fake_workspace import FakeClip, FakeTrack, make_workspace

ONE = "clip2"
OPTIONS = ExportOptions(split="50/50")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    clips = [
        FakeClip(clip_id=f"clip{index}", video_id=f"v{index}", tracks=(FakeTrack(track_id="t0"),)) for index in range(5)
    ]
    return make_workspace(tmp_path / "ws", [*clips, FakeClip(clip_id="quiet", video_id="q", imported_silent=True)])


def done_again(
    ledger: Ledger, stage: str, clip_id: str, *, key: str | None = None, outputs: Sequence[Output] | None = None
) -> None:
    """An item of the ledger once more, with another key or other outputs."""
    entry = ledger.entries(stage)[clip_id]
    done = Done(
        item_id=clip_id,
        key=key or entry.key,
        facts=json.loads(dict(ledger.facts(stage))[clip_id]),
        inputs=ledger.inputs(stage)[clip_id],
        outputs=entry.outputs() if outputs is None else outputs,
        wall_s=1.0,
        cpu_s=1.0,
    )
    ledger.commit_done(stage, done)


def extracted_again(workspace: Workspace, ledger: Ledger, clip_id: str = ONE) -> None:
    """Ledger and manifests after an extraction that gave what is on the disk now."""
    paths = [workspace.clip_dir(clip_id) / name for name in ("frames", "audio.wav")]
    outputs = [Output(path=workspace.relative(path), sha256=sha256_tree(path), size_bytes=1) for path in paths]
    done_again(ledger, "extract", clip_id, outputs=outputs)
    write_manifests(workspace, ledger)


def other_sound(workspace: Workspace, ledger: Ledger) -> None:
    samples = np.random.default_rng(9).integers(-9000, 9000, 3 * 16_000, dtype=np.int16)
    soundfile.write(workspace.clip_dir(ONE) / "audio.wav", samples, 16_000, subtype="PCM_16")
    extracted_again(workspace, ledger)


def other_stills(workspace: Workspace, ledger: Ledger) -> None:
    Image.new("RGB", (48, 32), "red").save(workspace.frame(ONE, 1))
    extracted_again(workspace, ledger)


def other_stills_of_a_silent_clip(workspace: Workspace, ledger: Ledger) -> None:
    Image.new("RGB", (48, 32), "red").save(workspace.frame("quiet", 1))
    extracted_again(workspace, ledger, "quiet")


def embedded_but_not_packed(_workspace: Workspace, ledger: Ledger) -> None:
    done_again(
        ledger, "embed", ONE, outputs=[Output(path="features/vggish/clips/x.npy", sha256="f" * 64, size_bytes=1)]
    )


def embedding_failed(_workspace: Workspace, ledger: Ledger) -> None:
    ledger.commit_failed("embed", Failed(item_id=ONE, key="k", reason=Reason.TIMEOUT, message=""))


def extracted_by_another_version(_workspace: Workspace, ledger: Ledger) -> None:
    done_again(ledger, "extract", ONE, key="0" * 64)


def killed_while_extracting(_workspace: Workspace, ledger: Ledger) -> None:
    ledger.begin_replacing("extract", ONE)


def source_is_another_file(workspace: Workspace, ledger: Ledger) -> None:
    (video,) = [video for video in read_manifest(workspace.manifest / "videos.jsonl", Video) if video.video_id == "v2"]
    outputs = [Output(path=video.path, sha256="a" * 64, size_bytes=9)]
    facts = video.model_copy(update={"sha256": "a" * 64}).model_dump(mode="json")
    ledger.commit_done(
        "fetch", Done(item_id="v2", key="", facts=facts, inputs={}, outputs=outputs, wall_s=1.0, cpu_s=1.0)
    )
    write_manifests(workspace, ledger)


FEATURES = "clip clip2: features: the embeddings were not made from the sound it has now; avis-data embed"
STILLS = "clip clip2: stills: are not those that the recipe, the list and the source would give now; avis-data extract"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (other_sound, [FEATURES, "clip clip2: truth: it was made for other sound; ", "avis-data import"]),
        (other_stills, ["clip clip2: truth: it was made for other stills; ", "avis-data import --format ytvis TRUTH"]),
        (other_stills_of_a_silent_clip, ["clip quiet: truth: it was made for other stills"]),
        (embedded_but_not_packed, ["clip clip2: features: the embeddings are not in their table yet; avis-data embed"]),
        (embedding_failed, [FEATURES]),
        (extracted_by_another_version, [STILLS]),
        (killed_while_extracting, [STILLS]),
        (source_is_another_file, [STILLS]),
    ],
)
def test_parts_of_two_makes_are_not_published_as_one(
    workspace: Workspace, change: Callable[[Workspace, Ledger], None], expected: list[str]
) -> None:
    plan_export(workspace, YTVIS, OPTIONS)
    with Ledger(workspace.ledger) as ledger:
        change(workspace, ledger)
    with pytest.raises(ProblemsError) as caught:
        plan_export(workspace, YTVIS, OPTIONS)
    for words in expected:
        assert words in str(caught.value)
    named = {problem.where for problem in caught.value.problems}
    assert named == {"clip quiet" if change is other_stills_of_a_silent_clip else "clip clip2"}


def test_embeddings_do_not_matter_where_they_are_left_out(workspace: Workspace) -> None:
    with Ledger(workspace.ledger) as ledger:
        embedding_failed(workspace, ledger)
    assert (
        len(plan_export(workspace, YTVIS.with_options(features=False), ExportOptions(split="50/50")).inputs.clips) == 6
    )


def test_a_recipe_that_was_edited_and_not_carried_out_is_not_certified(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The certificate would hold the text of the new recipe and the stills of the old one."""
    monkeypatch.chdir(workspace.root)
    text = workspace.recipe.read_text()
    workspace.recipe.write_text(f"{text}extract:\n  frame_at: start\n" if "extract:" not in text else edited(text))
    assert main(["export", "--split", "50/50"]) == 3
    message = capsys.readouterr().err
    assert "6 problem(s), so nothing was exported" in message and STILLS in message
    workspace.recipe.write_text(text)
    assert main(["export", "--split", "50/50"]) == 0


def edited(recipe: str) -> str:
    """The stills at the start of each second instead of its middle."""
    assert "frame_at: mid" in recipe
    return recipe.replace("frame_at: mid", "frame_at: start")


def test_truth_of_which_nobody_knows_the_stills_is_not_published(workspace: Workspace) -> None:
    (record,) = workspace.annotations.glob("import-*/import.json")
    content = read_json(record)
    del content["clips"][ONE]
    write_json(record, content)
    with pytest.raises(ProblemsError, match="clip clip2: truth: it is not known for which stills it was made"):
        plan_export(workspace, YTVIS, OPTIONS)


def test_a_clip_whose_source_was_lost_leaves_the_manifest_with_it(workspace: Workspace) -> None:
    with Ledger(workspace.ledger) as ledger:
        ledger.commit_failed("fetch", Failed(item_id="v2", key="k", reason=Reason.REMOVED, message="gone"))
        write_manifests(workspace, ledger)
    assert "v2" not in {video.video_id for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}
    assert ONE not in {clip.clip_id for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip)}
    assert len(plan_export(workspace, YTVIS, OPTIONS).inputs.clips) == 5


def test_categories_of_the_list_that_the_set_lacks_are_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [("dog", "kazoo"), ("kazoo",), ("Dog",), ("dog",)]
    clips = [
        FakeClip(clip_id=f"c{index}", video_id=f"v{index}", tracks=(FakeTrack(track_id="t0"),), categories=categories)
        for index, categories in enumerate(said)
    ]
    make_workspace(tmp_path / "ws", clips)
    monkeypatch.chdir(tmp_path / "ws")
    assert main(["export", "--split", "50/50"]) == 0
    assert "that the set 'aviseg-26' lacks, in clip(s): 'Dog' 1, 'kazoo' 2" in capsys.readouterr().out
    assert main(["export", "--split", "50/50", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unknown_categories"] == {"Dog": 1, "kazoo": 2}


@pytest.mark.parametrize(
    ("sound", "interrupted", "words"),
    [
        ("short", False, "clip of_a_set: sound: is short, which the recipe takes no more; avis-data import"),
        ("complete", True, "clip of_a_set: sound: was not copied to its end; avis-data import"),
    ],
)
def test_adopted_clips_are_asked_too(workspace: Workspace, sound: str, interrupted: bool, words: str) -> None:
    """The media of `quiet` as those of a clip that came from a set, under another name."""
    folder = workspace.clip_dir("quiet").rename(workspace.clip_dir("of_a_set"))
    outputs = [Output(f"clips/of_a_set/{path.name}", sha256_tree(path), 1) for path in sorted(folder.iterdir())]
    with Ledger(workspace.ledger) as ledger:
        ledger.adopt([("of_a_set", AdoptedVideo(name="of_a_set").model_dump_json())])
        facts = json.loads(dict(ledger.facts("extract"))["quiet"]) | {"sound": sound}
        facts |= {"source_sha256": "b" * 64, "source_bytes": 7, "adopted_on": "2026-01-02"}
        done = Done(item_id="of_a_set", key="k", facts=facts, inputs={}, outputs=outputs, wall_s=1.0, cpu_s=1.0)
        ledger.commit_done("adopt", done)
        write_manifests(workspace, ledger)
        if interrupted:
            ledger.begin_replacing("adopt", "of_a_set")
    with pytest.raises(ProblemsError) as caught:
        plan_export(workspace, YTVIS.with_options(features=False), ExportOptions(split="50/50", select="all"))
    assert [words in str(problem) for problem in caught.value.problems] == [True]
