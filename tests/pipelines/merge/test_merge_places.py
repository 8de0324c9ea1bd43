"""Every kind of file that a workspace can have comes over, or is left on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.paths import Workspace
from avis_data.pipelines.upkeep.places import PLACES, files_of
from support.fake_workspace import FakeClip, make_workspace
from support.full_workspace import full_workspace

LEFT = {
    "unfinished files": "what a kill left half written",
    "unfinished items": "likewise",
    "damaged files that a repair kept": "nobody reads them",
    "storage": "the new workspace has its files itself",
    "locks": "of commands at work",
    "name of the workspace": "by it a server finds the projects of A, and C has none there",
    "tasks that were pulled": "of the server of A",
    "boxes that are being filled": "for pages on the server of A",
    "cache of the segmenter": "made again",
    "logs of servers": "of A",
    "database and files of the server": "of A, which goes on",
    "settings of the server": "likewise, with its secrets",
    "exports": "published, and named in nothing that comes over",
    "runs": "made from exports",
    "removed videos": "there is none in this workspace; test_merge.py removes one",
}
"""Why, by the name of the place."""
MADE_ANEW = {"fingerprints of clips": "this small workspace has none", "table of fingerprints": "made of those"}


def test_every_place_is_brought_or_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    full = full_workspace(tmp_path / "a")
    make_workspace(tmp_path / "b", [FakeClip(clip_id="lion", video_id="lion-video")])
    assert main(["merge", "a", "b", "--out", "c"]) == 0
    there = {found.place.name for found in files_of(Workspace(tmp_path / "c")) if found.place is not None}
    had = {found.place.name for found in files_of(full) if found.place is not None}
    known = {place.name for place in PLACES}
    assert known >= LEFT.keys() and not there & LEFT.keys() - {"locks"}
    assert known - LEFT.keys() - MADE_ANEW.keys() == there - {"locks"} - MADE_ANEW.keys(), "one that nobody brings"
    assert had - LEFT.keys() - MADE_ANEW.keys() <= there
    for found in files_of(Workspace(tmp_path / "c")):
        before = full.root / found.relative
        if before.is_file() and found.relative.startswith(("clips/", "sources/", "features/vggish/clips")):
            same = before.read_bytes() == found.path.read_bytes()
            assert same, found.relative
