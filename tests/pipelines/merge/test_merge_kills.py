"""Killed at random moments, a merge leaves nothing under its name, and is done by the next call as if undisturbed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from avis_data.paths import Workspace
from support.dying import changes_of, die_at
from support.fake_workspace import FakeClip, make_workspace
from support.full_workspace import full_workspace
from support.shell import avis_data, tree_hashes

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get("AVIS_DATA_KILLS", 3))


def test_random_kills_leave_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    full = full_workspace(tmp_path / "a")
    other = make_workspace(tmp_path / "b", [FakeClip(clip_id="lion", video_id="lion-video")])
    sides = {workspace.root: tree_hashes(workspace.root) for workspace in (full, other)}
    command = ("merge", full.root, other.root, "--out")
    number = changes_of(*command, tmp_path / "undisturbed")
    assert number > 100
    expected, rng, made = tree_hashes(tmp_path / "undisturbed"), random.Random(13), 0
    for kill in range(NUM_KILLS):
        target = tmp_path / f"killed-{kill}"
        assert die_at(rng.randrange(1, number), *command, target)
        made += any(tmp_path.glob(".part-merge-*"))
        assert not target.exists() or tree_hashes(target) == expected, "whole or not there"
        if not target.exists():
            ended = avis_data(*command, target)
            assert ended.code == 0, ended.err
        assert tree_hashes(target) == expected
        assert not list(tmp_path.glob(".part-*"))
    assert made > NUM_KILLS / 2, "most kills were in the work"
    assert {root: tree_hashes(root) for root in sides} == sides
    assert Workspace(tmp_path / "undisturbed").ledger.is_file()
