"""Near-duplicates and clips of one channel are on one side, the certificate says so, and validate proves it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.io import read_json, write_json
from avis_data.manifest import read_manifest, write_manifest
from avis_data.paths import Workspace
from avis_data.quality import validate
from avis_data.records import Video
from support.fake_workspace import FakeClip, FakeTrack, make_workspace


def clips() -> list[FakeClip]:
    """Eight sources; `b` is a copy of `a`, `d` of `c`."""
    copies = {"b": "a", "d": "c"}
    return [
        FakeClip(
            clip_id=name,
            video_id=f"v_{name}",
            num_seconds=6,
            tracks=(FakeTrack(track_id="t"),),
            copy_of=copies.get(name),
        )
        for name in "abcdefgh"
    ]


def grouped(root: Path, *group_by: str) -> Workspace:
    workspace = make_workspace(root, clips())
    text = workspace.recipe.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("split:")]
    split = f"split: {{numbers: 50/50, group_by: [{', '.join(group_by)}]}}"
    workspace.recipe.write_text("\n".join([*lines, split]) + "\n")
    return workspace


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = grouped(tmp_path_factory.mktemp("kept") / "ws", "source", "near_duplicate", "channel")
    videos = list(read_manifest(workspace.manifest / "videos.jsonl", Video))
    said = {"v_e": "C1", "v_f": "C1", "v_g": "C1"}
    at = ["-C", str(workspace.root)]
    assert main([*at, "fingerprint", "--workers", "1"]) == 0
    videos = [video.model_copy(update={"channel": said.get(video.video_id)}) for video in videos]
    write_manifest(workspace.manifest / "videos.jsonl", videos)
    assert main([*at, "export", "--format", "ytvis"]) == 0
    return workspace.exports / "ytvis"


def split_of(root: Path) -> dict[str, str]:
    return {clip["clip_id"]: clip["split"] for clip in read_json(root / "certificate.json")["clips"]}


def test_copies_and_channels_are_on_one_side(exported: Path) -> None:
    sides = split_of(exported)
    assert sides["a"] == sides["b"] and sides["c"] == sides["d"] and sides["e"] == sides["f"] == sides["g"]
    assert set(sides.values()) == {"train", "val"}
    division = read_json(exported / "certificate.json")["split"]
    assert division["group_by"] == ["source", "near_duplicate", "channel"]
    assert division["near_duplicates"]["groups"] == [["a", "b"], ["c", "d"]]
    assert division["channels"] == {"C1": ["e", "f", "g"]} and division["sources_in_two_splits"] == []


def test_the_proof_is_made_again_from_the_files(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(exported), "--certificate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proof"] == {"clips": 8, "links": 4, "divided": 0}


EDITS = {
    "a group is taken out": ("certificate-differs", lambda said: said["split"]["near_duplicates"]["groups"].pop()),
    "the groups are gone": ("certificate-differs", lambda said: said["split"]["near_duplicates"].pop("groups")),
    "another method": ("certificate-differs", lambda said: said["split"]["near_duplicates"].update(method="x")),
    "a clip on the other side": (
        "certificate-differs",
        lambda said: said["clips"][0].update(split={"train": "val", "val": "train"}[said["clips"][0]["split"]]),
    ),
    "a clip is left out": ("certificate-differs", lambda said: said["clips"].pop()),
    "a channel that is divided": (
        "channel-divided",
        lambda said: said["split"]["channels"].update(C2=[clip["clip_id"] for clip in said["clips"]]),
    ),
    "a group that is divided": (
        "near-duplicate-divided",
        lambda said: said["split"]["near_duplicates"]["groups"].append([clip["clip_id"] for clip in said["clips"]]),
    ),
    "no object": ("certificate-unreadable", None),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_certificate_is_found(exported: Path, tmp_path: Path, edit: str) -> None:
    root = Path(shutil.copytree(exported, tmp_path / "set"))
    code, change = EDITS[edit]
    said = read_json(root / "certificate.json")
    if change is not None:
        change(said)
    write_json(root / "certificate.json", said if change is not None else [])
    report = validate(root, certificate=True)
    assert code in {finding.code for finding in report.findings.kept} and not report.is_clean


def test_a_near_duplicate_that_was_divided_is_found_in_the_files_alone(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", clips())
    (tmp_path / "splits.csv").write_text(
        "clip_id,split\n" + "".join(f"{name},{'train' if name in 'aceg' else 'val'}\n" for name in "abcdefgh")
    )
    at = ["-C", str(workspace.root)]
    assert main([*at, "export", "--format", "ytvis", "--split-file", str(tmp_path / "splits.csv")]) == 0
    report = validate(workspace.exports / "ytvis", certificate=True)
    assert report.proof == {"clips": 8, "links": 4, "divided": 4} and report.is_clean, "nothing of it was promised"
    found = [finding for finding in report.findings.kept if finding.code == "near-duplicate-divided"]
    assert len(found) == 4 and "a and b" in found[0].message


def test_without_fingerprints_nothing_is_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = grouped(tmp_path / "ws", "source", "near_duplicate")
    assert main(["-C", str(workspace.root), "export", "--format", "ytvis"]) == 3
    assert "avis-data fingerprint" in capsys.readouterr().err and not workspace.exports.exists()


@pytest.mark.parametrize("group_by", ["[near_duplicate]", "[source, source]", "[source, colour]", "[]"])
def test_a_recipe_that_groups_by_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], group_by: str
) -> None:
    workspace = grouped(tmp_path / "ws", group_by.strip("[]"))
    assert main(["-C", str(workspace.root), "export", "--format", "ytvis"]) == 3
    assert "split" in capsys.readouterr().err
