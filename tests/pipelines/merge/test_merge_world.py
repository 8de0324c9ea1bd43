"""A world that was cut in two, fetched from a real server and labelled apart: merged it is what the whole gives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from avis_data.cli.main import main
from avis_data.io import read_json, write_json
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.merge.origins import Origin, origins_path
from support.fetched_world import fetched, served_world, well
from support.shell import tree_hashes

CLIPS = ("synth5-0000", "synth5-0001", "synth5-0003_001000_004000")
HALVES = {"whole": (0, 1, 3), "a": (0, 1), "b": (3,)}


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`whole` with all three videos, `a` with two and `b` with one of them; all stages done, truth imported."""
    root = tmp_path_factory.mktemp("merge")
    with served_world(root) as base:
        for name, numbers in HALVES.items():
            workspace = fetched(root, name, base, numbers)
            for stage in (["embed", "--untrained"], ["fingerprint"]):
                well("-C", workspace, *stage, "-j", 1, cwd=root)
            write_json(root / f"{name}.json", part_of(read_json(root / "world" / "truth.json"), numbers))
            well("-C", workspace, "import", "--format", "ytvis", root / f"{name}.json", cwd=root)
    return root


def part_of(truth: dict[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """The truth of some videos."""
    videos = [truth["videos"][i] for i in numbers]
    ids = {video["id"] for video in videos}
    return {**truth, "videos": videos, "annotations": [one for one in truth["annotations"] if one["video_id"] in ids]}


def to_do(workspace: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Of each stage, by `--dry-run`."""
    found = {}
    for stage in (["run", "--untrained"], ["fingerprint"]):
        capsys.readouterr()
        assert run("-C", workspace, *stage, "--dry-run", "--json") == 0
        found |= {plan["stage"]: plan["to_do"] for plan in json.loads(capsys.readouterr().out)["stages"]}
    return found


def exported(workspace: Path) -> dict[str, str]:
    """The hashes of an export's files, but for the certificate, which names imports and days."""
    assert run("-C", workspace, "export", "--split", "1/1/1", "--name", "x") == 0
    hashes = tree_hashes(workspace / "exports" / "x")
    return {name: digest for name, digest in hashes.items() if name not in ("certificate.json", "files.sha256")}


def test_halves_give_the_whole(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: tree_hashes(made / name) for name in ("a", "b")}
    merged = tmp_path / "merged"
    assert run("merge", made / "a", made / "b", "--out", merged) == 0
    assert "3 video(s), 3 clip(s)" in capsys.readouterr().out
    assert {name: tree_hashes(made / name) for name in before} == before
    assert list(tmp_path.iterdir()) == [merged]
    assert set(to_do(merged, capsys).values()) == {0}
    assert run("-C", merged, "doctor", "--workspace") == 0
    whole = Path(shutil.copytree(made / "whole", tmp_path / "whole"))
    for name in ("manifest/videos.jsonl", "manifest/clips.jsonl"):
        assert tree_hashes(merged)[name] == tree_hashes(whole)[name]
    for folder in ("features", "fingerprints", "clips"):
        assert tree_hashes(merged / folder) == tree_hashes(whole / folder)
    mine, theirs = exported(merged), exported(whole)
    assert len(mine) > 10
    assert mine == theirs
    origins = list(read_manifest(origins_path(Workspace(merged)), Origin))
    assert [(line.clip_id, line.workspace) for line in origins] == list(zip(CLIPS, "aab", strict=True))
