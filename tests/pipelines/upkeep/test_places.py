"""The table of places has a row for every file that a workspace can hold, and for every path that the code names."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from avis_data.links.check import NEVER_ELSEWHERE
from avis_data.paths import Workspace
from avis_data.pipelines.upkeep.places import PLACES, Holds, files_of, place_of
from support.full_workspace import CLIPS
from support.places import ROOT

NOT_OURS = {"world"}
"""Folders that the code makes beside a workspace's own: the films of the documented example."""


def test_every_file_of_a_workspace_is_of_a_known_kind(workspace: Workspace) -> None:
    found = list(files_of(workspace))
    assert [file.relative for file in found if file.place is None] == []
    used = {file.place.holds for file in found if file.place is not None}
    assert used == set(Holds), "the workspace of this test lacks a kind of file"


def test_a_path_of_one_video_says_which(workspace: Workspace) -> None:
    known = {*CLIPS, *CLIPS.values()}
    of_one = [file for file in files_of(workspace) if file.place is not None and file.place.holds is Holds.ONE]
    assert {file.item_id for file in of_one} == known
    named = [file for file in files_of(workspace) if any(name in file.relative for name in known)]
    unsaid = [f.relative for f in named if f.item_id is None and not f.relative.startswith("exports/")]
    assert unsaid == []


def paths_of_the_workspace() -> list[str]:
    """What the properties and methods of `Workspace` give, relative to it."""
    workspace, found = Workspace(Path("/w")), []
    for name, member in inspect.getmembers(Workspace):
        if isinstance(member, property):
            found.append(getattr(workspace, name))
        elif inspect.isfunction(member) and not name.startswith("_") and name != "relative":
            needed = list(inspect.signature(member).parameters)[1:]
            found.append(member(workspace, *({"clip_id": "a", "frame": 0}[argument] for argument in needed)))
    return [path.relative_to("/w").as_posix() for path in found]


@pytest.mark.parametrize("path", paths_of_the_workspace())
def test_what_workspace_names_has_a_place(path: str) -> None:
    assert (
        place_of(path)[0] or any(place.pattern.startswith(f"{path}/") for place in PLACES) or place_of(f"{path}/x")[0]
    )


def folders_in_code() -> set[str]:
    """Every X of `workspace.root / "X"` in the product, and the folders that are searched for links."""
    found = set(NEVER_ELSEWHERE)
    for top in ("avis_data", "pipelines", "annotation", "training"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                    left, right = ast.unparse(node.left), node.right
                    if left in ("workspace.root", "self._workspace.root") and isinstance(right, ast.Constant):
                        found.add(str(right.value))
    return found


def test_what_code_names_below_a_workspace_has_a_place() -> None:
    named = folders_in_code()
    assert {"label-studio", "clips"} <= named
    tops = {place.pattern.partition("/")[0] for place in PLACES}
    assert named - tops - NOT_OURS == set()


def test_the_folders_of_the_workspace_are_not_taken_for_one_another() -> None:
    for place in PLACES:
        example = place.pattern.replace("{id}", "abc").replace("**", "x/y").replace("*", "x")
        found, _ = place_of(example)
        assert found is not None and found.holds is place.holds, f"{example} is taken for {found}"
