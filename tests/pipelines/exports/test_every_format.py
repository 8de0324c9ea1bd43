"""Out of one workspace and into another, in every format that has both ways: the same masks, names and sounding."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from avis_data.cli.main import main
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.compare import differences, kept
from avis_data.formats.sets.registry import SETS, WRITTEN
from avis_data.formats.sets.spec import SetSpec
from avis_data.io import read_json, sha256_file
from avis_data.paths import Workspace
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.labelled_sets import labelled
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from support.fake_workspace import FakeClip, FakeTrack, make_workspace


def cells(chosen: Callable[[SetSpec], bool], kind: str) -> list[ParameterSet]:
    """The formats that can be written; ytvis has an export and an import of its own."""
    names = [name for name in WRITTEN if name != "ytvis" and chosen(SETS[name])]
    return [pytest.param(name, marks=pytest.mark.cell(name, kind)) for name in names]


_PIXELS = ("exact", "painted")
TRACKS = (
    FakeTrack(track_id="dog_1", sounding=(0, 1, 4), silent=(3,)),  # hidden in between, and back
    FakeTrack(track_id="dog_2", sounding=(1, 2)),
    FakeTrack(track_id="person_1", category="person", sounding=(), silent=(0, 1, 2, 3, 4)),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = [
        FakeClip(clip_id=f"c{number}", video_id=f"v{number}", num_seconds=5, tracks=TRACKS[: number % 3 + 1])
        for number in range(5)
    ]
    silent = FakeClip(clip_id="quiet", video_id="q", num_seconds=5, imported_silent=True)
    return make_workspace(tmp_path_factory.mktemp("world"), [*clips, silent]).root


@pytest.mark.parametrize("name", cells(lambda spec: True, "out"))
def test_an_export_is_certified_and_comes_back(
    name: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "here")
    shutil.copytree(world, workspace.root)
    monkeypatch.chdir(workspace.root)
    seen = ["--objects", "visible"] if "visible" in FORMATS[name].objects else []
    assert main(["export", "--format", name, "--split", "60/40", *seen]) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    root = workspace.exports / name
    listed = dict(reversed(line.split("  ", 1)) for line in (root / "files.sha256").read_text().splitlines())
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert there - {"files.sha256", "certificate.json"} == set(listed)
    assert all(sha256_file(root / path) == digest for path, digest in listed.items())
    said = read_json(root / "certificate.json")
    assert said["format"] == name and said["split"]["sources_in_two_splits"] == []
    assert ("overlaps" in said) == (SETS[name].keeps.masks == "painted")
    if contested := said.get("overlaps", {}).get("pixels"):
        assert f"{contested} pixels are of two objects or more: a pixel of two objects belongs to the" in told
    before = {path: digest for path, digest in listed.items() if not path.endswith("certificate.json")}
    assert main(["export", "--format", name, "--split", "60/40", "--name", "again", *seen]) == 0
    again = (workspace.exports / "again" / "files.sha256").read_text().splitlines()
    assert dict(reversed(line.split("  ", 1)) for line in again) == before, "equal bytes"


@pytest.mark.parametrize(
    "name", cells(lambda spec: spec.keeps.masks in ("exact", "painted") and not spec.lengths, "trip")
)
def test_an_import_of_the_export_is_what_was_exported(
    name: str, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SETS[name]
    here, there = Workspace(tmp_path / "here"), Workspace(tmp_path / "there")
    for workspace in (here, there):
        shutil.copytree(world, workspace.root)
    shutil.rmtree(there.masks)
    (there.manifest / "tracks.jsonl").unlink()
    shutil.rmtree(there.annotations)
    monkeypatch.chdir(here.root)
    assert main(["export", "--format", name, "--split", "60/40", "--objects", "visible"]) == 0
    monkeypatch.chdir(there.root)
    more = ["--sounding", "unknown"] if spec.keeps.sounding == "no" else []
    more += [] if spec.keeps.category else ["--map", "unknown=dog"]
    assert main(["import", "--format", name, str(here.exports / name), *more]) == 0, capsys.readouterr()
    meant, found = labels(here), labels(there)
    assert set(found) == set(meant)
    for clip_id, clip in meant.items():
        expected = kept(clip, replace(spec, keeps=replace(spec.keeps, split=False)))
        if not spec.keeps.category:
            expected = replace(expected, tracks=tuple(replace(track, category="dog") for track in expected.tracks))
        bare = replace(spec, keeps=replace(spec.keeps, stills=False, sound=False))  # those of the workspace stay
        assert list(differences(same_facts(found[clip_id], expected), expected, bare)) == [], clip_id


def labels(workspace: Workspace) -> dict[str, LabelledClip]:
    """What an export of all that is seen would hold."""
    plan = plan_export(workspace, FORMATS["coco"], ExportOptions(split="60/40", objects="visible"))
    return {piece.name: labelled(piece) for pieces in plan.pieces_of.values() for piece in pieces}


def same_facts(found: LabelledClip, expected: LabelledClip) -> LabelledClip:
    """Rate, licence and source are of the workspace, whatever a format says of them."""
    return replace(found, fps=expected.fps, license=expected.license, source=expected.source, split=expected.split)


def test_there_are_formats() -> None:
    by_kind: dict[str, list[str]] = defaultdict(list)
    for spec in SETS:
        by_kind[_kind(spec)].append(spec.name)
    assert by_kind["both"], "the tests above run over all of them"


def _kind(spec: SetSpec) -> str:
    return "both" if spec.reader and spec.writer else "in" if spec.reader else "out"
