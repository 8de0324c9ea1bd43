"""Versions of an export: their names, their order, and what each says is new since the one before."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.io import read_json
from avis_data.paths import Workspace
from support.fake_workspace import FakeClip, FakeTrack, make_workspace

DOG = (FakeTrack(track_id="t", category="dog"),)
CAT = (FakeTrack(track_id="t", category="cat"),)


def clips(*names: str, cats: tuple[str, ...] = ()) -> list[FakeClip]:
    return [FakeClip(clip_id=name, video_id=f"v{name}", tracks=CAT if name in cats else DOG) for name in names]


def versions(tmp_path: Path, *options: str, format_name: str) -> Workspace:
    """A workspace with version 1.0.0 of four clips, in which one is gone by now, one new, one has another label."""
    kept = tmp_path / "kept"
    for content in (clips("a", "b", "c", "d"), clips("a", "b", "d", "e", cats=("b",))):
        workspace = make_workspace(tmp_path / f"w{len(list(tmp_path.iterdir()))}", content)
        if kept.exists():
            workspace.exports.mkdir(exist_ok=True)
            kept.rename(workspace.exports / f"{format_name}-1-0-0")
            return workspace
        command = ["-C", str(workspace.root), "export", "--format", format_name, "--split", "3/1", *options]
        assert main([*command, "--version", "1.0.0"]) == 0
        (workspace.exports / f"{format_name}-1-0-0").rename(kept)
    raise AssertionError("unreachable")


def export(workspace: Workspace, format_name: str, number: str, *options: str) -> int:
    command = ["-C", str(workspace.root), "export", "--format", format_name, "--split", "3/1"]
    return main([*command, "--version", number, *options])


@pytest.fixture(autouse=True)
def _stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_masks_are_compared_in_the_ytvis_layout(tmp_path: Path) -> None:
    workspace = versions(tmp_path, "--without-features", format_name="ytvis")
    assert export(workspace, "ytvis", "1.1.0", "--without-features") == 0
    root = workspace.exports / "ytvis-1-1-0"
    page = (root / "CHANGES.md").read_text()
    assert page.startswith("# 1.1.0, changes since 1.0.0")
    assert "| videos | 1 | 1 |" in page
    assert "- `b`: " in page and "dog" in page and "is cat" in page
    said = read_json(root / "certificate.json")["version"]
    assert said["number"] == "1.1.0" and said["since"] == {"name": "ytvis-1-0-0", "version": "1.0.0"}
    subprocess.run(["sha256sum", "--quiet", "-c", "files.sha256"], cwd=root, check=True)
    assert "CHANGES.md" in (root / "files.sha256").read_text()
    assert main(["validate", str(root)]) == 0


def test_any_other_format_is_compared_clip_by_clip(tmp_path: Path) -> None:
    workspace = versions(tmp_path, format_name="mots")
    assert export(workspace, "mots", "2.0.0") == 0
    page = (workspace.exports / "mots-2-0-0" / "CHANGES.md").read_text()
    assert "| clips | 4 | 4 |" in page
    assert "- `c`: removed (" in page and "- `e`: added (" in page
    assert "categories: dog -> cat" in page
    assert "`a`" not in page or "moved" in page


def test_order_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = versions(tmp_path, "--without-features", format_name="ytvis")
    for number in ("1", "1.0", "01.0.0", "1.0.0-beta", "../x", "1.0.0.0", ""):
        assert export(workspace, "ytvis", number, "--without-features") == 2
        assert "is no version" in capsys.readouterr().err
    assert export(workspace, "ytvis", "0.9.0", "--without-features") == 2
    assert "1.0.0 is there already" in capsys.readouterr().err
    assert export(workspace, "ytvis", "1.0.0", "--without-features") == 2
    assert "made from other data or options" in capsys.readouterr().err
    assert export(workspace, "ytvis", "1.10.0", "--without-features") == 0
    assert export(workspace, "ytvis", "1.10.0", "--without-features") == 0
    assert "is already there" in capsys.readouterr().out
    assert export(workspace, "ytvis", "1.9.0", "--without-features") == 2, "numbers are compared as numbers"
    assert export(workspace, "ytvis", "1.10.1", "--without-features") == 0
    page = (workspace.exports / "ytvis-1-10-1" / "CHANGES.md").read_text()
    assert page == "# 1.10.1, changes since 1.10.0\n\nThe truth is the same.\n"


def test_a_damaged_certificate_of_an_earlier_version_is_no_version(tmp_path: Path) -> None:
    workspace = versions(tmp_path, "--without-features", format_name="ytvis")
    path = workspace.exports / "ytvis-1-0-0" / "certificate.json"
    for damage in ("{", "[]", json.dumps({"version": 3}), json.dumps(read_json(path) | {"key": None})):
        path.write_text(damage)
        assert export(workspace, "ytvis", "1.1.0", "--without-features", "--force") == 0
        assert (workspace.exports / "ytvis-1-1-0" / "CHANGES.md").read_text() == "# 1.1.0\n\nThe first version.\n"
