"""Removed videos do not come back: by lists, by files of labels, by sets with media."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.errors import DataError, ProblemsError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import REMOVE, open_for_work
from avis_data.pipelines.imports.truth import import_ytvis
from avis_data.pipelines.kept_video_list import ListOptions, read_wanted
from avis_data.pipelines.upkeep.remove import RemovalRequest, remove_videos
from avis_data.pipelines.upkeep.verify import traces_of
from avis_data.recipe import load_recipe
from support.adopting import enter_set, set_entered
from support.full_workspace import CLIPS, GONE
from support.ytvis_world import write_split

HEAD = "url,video_id"


def remove(workspace: Workspace, *video_ids: str) -> None:
    request = RemovalRequest(video_ids=video_ids, reason="rights", by="me", today="2026-02-03", exports=True)
    with open_for_work(workspace, REMOVE) as ledger:
        remove_videos(workspace, ledger, request, on_server=lambda _: 0)


def problems_of(workspace: Workspace, *rows: str, skip: bool = False) -> list[str]:
    """What is wrong with a list; with `skip` the videos that are left of it."""
    path = workspace.root.parent / "list.csv"
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    options = ListOptions(path=path, skip_bad_rows=skip, allow_local=True)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        if skip:
            found = read_wanted(workspace, ledger, load_recipe(workspace), options)
            return [download.video_id for download in found.downloads]
        with pytest.raises(ProblemsError) as caught:
            read_wanted(workspace, ledger, load_recipe(workspace), options)
    return [str(problem) for problem in caught.value.problems]


def test_a_list_that_asks_for_it_is_refused_by_line(workspace: Workspace) -> None:
    remove(workspace, GONE)
    rows = ("https://example.org/new.mp4,new", f"https://example.org/other.mp4,{GONE}")
    (problem,) = problems_of(workspace, *rows)
    assert "line 3" in problem and GONE in problem and "removed on 2026-02-03 (rights)" in problem
    assert problems_of(workspace, *rows, skip=True) == ["new"]


def test_another_name_for_the_same_address_does_not_help(workspace: Workspace) -> None:
    remove(workspace, GONE)
    (problem,) = problems_of(workspace, f"https://example.org/{GONE}.mp4,fresh")
    assert "'fresh'" in problem and "does not come back" in problem


def test_a_youtube_video_is_known_by_every_link_to_it(workspace: Workspace) -> None:
    text = workspace.video_list.read_text().replace(f"https://example.org/{GONE}.mp4", "https://youtu.be/dQw4w9WgXcQ")
    workspace.video_list.write_text(text)
    remove(workspace, GONE)
    (problem,) = problems_of(workspace, "https://www.youtube.com/shorts/dQw4w9WgXcQ?t=3,short")
    assert "'short'" in problem


def truth(workspace: Workspace) -> Path:
    return workspace.root.parent / "ds-truth.json"


@pytest.fixture
def received(workspace: Workspace) -> Path:
    """The file that was imported, as somebody still has it."""
    (folder,) = [path.parent for path in workspace.annotations.glob("import-*/truth.json")]
    path = truth(workspace)
    path.write_bytes((folder / "truth.json").read_bytes())
    return path


def test_a_file_of_labels_is_imported_without_it_and_says_how_many(workspace: Workspace, received: Path) -> None:
    remove(workspace, GONE)
    with open_for_work(workspace, "avis-data import") as ledger:
        report = import_ytvis(workspace, received, ledger=ledger)
    assert (report.num_clips, report.num_removed, report.problems) == (2, 1, [])
    assert traces_of(workspace, [GONE])[1] == [], "also not in the copy that is kept"
    with open_for_work(workspace, "avis-data import") as ledger:
        assert import_ytvis(workspace, received, ledger=ledger).as_dict() == report.as_dict()


def test_a_file_of_nothing_else_is_refused(workspace: Workspace, received: Path) -> None:
    remove(workspace, *CLIPS)
    with (
        open_for_work(workspace, "avis-data import") as ledger,
        pytest.raises(DataError, match=r"no clips|were removed"),
    ):
        import_ytvis(workspace, received, ledger=ledger)


def test_a_set_with_media_comes_without_it(tmp_path: Path) -> None:
    """Also where its name is none that could be an id."""
    write_split(tmp_path, "train", ["a good one", "a bad one"])
    target = set_entered(Workspace(tmp_path / "target"), tmp_path, "train")
    (bad,) = [path.name for path in (target.root / "clips").iterdir() if "bad" in path.name]
    remove(target, bad)
    assert "a bad one" not in "".join(path.read_text() for path in target.annotations.rglob("*.json"))
    _, report = enter_set(target, tmp_path, "train")
    assert (report.num_clips, report.num_removed) == (1, 1)
    assert [path.name for path in (target.root / "clips").iterdir() if "bad" in path.name] == []
