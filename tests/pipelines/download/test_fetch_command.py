"""`avis-data fetch` and its list: bad lists, rows that are left out, originals that are gone, no half-made folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from avis_data.errors import ProblemsError
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.kept_video_list import ListOptions, adopt_list, originals, read_wanted
from avis_data.recipe import DEFAULT_RECIPE, parse_shipped_recipe
from avis_data.video_list import VideoList
from support.shell import Ran, avis_data

RECIPE = parse_shipped_recipe(DEFAULT_RECIPE)


def wanted(folder: Path, ledger: Ledger, path: Path | None = None, **options: bool) -> VideoList:
    """Take a list in, as fetch does; without a path, the one that was taken in before."""
    choices = ListOptions(path=path, **options)
    found = read_wanted(Workspace(folder), ledger, RECIPE, choices)
    adopt_list(Workspace(folder), ledger, found, choices)
    return found


def local_list(folder: Path, web_dir: Path, *names: str) -> Path:
    """A list of files beside it, each a copy of a good video."""
    folder.mkdir()
    for name in names:
        shutil.copy(web_dir / "a.mp4", folder / f"{name}.mp4")
    rows = "".join(f"{name}.mp4,{name}\n" for name in names)
    (folder / "videos.csv").write_text(f"url,video_id\n{rows}")
    return folder / "videos.csv"


def fetch_json(workspace: Path, *arguments: object) -> tuple[Ran, dict[str, object]]:
    ran = avis_data("-C", workspace, "fetch", "--json", *arguments)
    (stage,) = ran.json["stages"]
    return ran, stage


def test_all_bad_rows_are_shown_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text("url\n" + "ftp://h.org/x\n" * 75)
    ran = avis_data("-C", tmp_path / "dataset", "fetch", "--list", tmp_path / "videos.csv")
    assert ran.code == 3
    assert [f"line {line}: " in ran.err for line in range(2, 77)] == [True] * 75
    assert "more" not in ran.err
    assert list((tmp_path / "dataset").iterdir()) == []


def test_of_endless_problems_the_first_thousand_are_shown(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text("url\n" + "ftp://h.org/x\n" * 1003)
    with Ledger(tmp_path / "ledger.sqlite") as ledger, pytest.raises(ProblemsError) as caught:
        wanted(tmp_path, ledger, tmp_path / "videos.csv")
    assert "line 1001: " in str(caught.value) and "and 3 more" in str(caught.value)
    assert len(caught.value.problems) == 1003


@pytest.mark.parametrize("command", [["fetch"], ["run", "--untrained"]])
def test_a_list_that_is_not_there_is_named_in_full_and_makes_no_workspace(tmp_path: Path, command: list[str]) -> None:
    ran = avis_data("-C", "dataset", *command, "--list", "videos.csv", cwd=tmp_path)
    assert ran.code == 3
    assert f"{tmp_path}/dataset/videos.csv: no such file" in ran.err
    assert "-C DIR changes to that folder first" in ran.err
    assert list((tmp_path / "dataset").iterdir()) == []


def test_bad_cookies_make_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text("url\nhttp://h.org/x.mp4\n")
    (tmp_path / "cookies.txt").write_text("session=crumbs\n")
    ran = avis_data(
        "-C", tmp_path / "d", "fetch", "--list", tmp_path / "videos.csv", "--cookies", tmp_path / "cookies.txt"
    )
    assert ran.code == 2
    assert "not a Netscape cookies file" in ran.err
    assert list((tmp_path / "d").iterdir()) == []


def test_rows_left_out_are_told_each_time_and_the_choice_is_remembered(tmp_path: Path, web_dir: Path) -> None:
    videos = local_list(tmp_path / "lists", web_dir, "one", "two")
    with videos.open("a") as rows:
        rows.write("ftp://h.org/x.mp4,three\none.mp4,../four\n")
    ran = avis_data("-C", tmp_path / "d", "fetch", "--list", videos, "--allow-local", "--skip-bad-rows")
    assert ran.code == 0, ran.err
    again, stage = fetch_json(tmp_path / "d")
    assert stage["already_done"] == 2
    for said in (ran.err, again.err):
        assert "2 row(s) of the list left out" in said
        assert said.count("line 4: url: ") == said.count("line 5: video_id: ") == 1
    refused = avis_data("-C", tmp_path / "d", "fetch", "--list", videos, "--allow-local")
    assert refused.code == 3, "a list that is given anew is looked at anew"


def test_choices_are_remembered_with_the_list_and_when_they_are_made_later(tmp_path: Path) -> None:
    good, bad = "http://h.org/x.mp4\n", "ftp://h.org/y.mp4\n"
    (tmp_path / "given.csv").write_text("url\n" + good)
    folder = tmp_path / "d"
    folder.mkdir()
    with Ledger(folder / "ledger.sqlite") as ledger:
        wanted(folder, ledger, tmp_path / "given.csv")
        (folder / "videos.csv").write_text(f"url\n{good}{bad}")
        with pytest.raises(ProblemsError):
            wanted(folder, ledger)
        assert len(wanted(folder, ledger, skip_bad_rows=True).problems) == 1
        assert len(wanted(folder, ledger).problems) == 1
        wanted(folder, ledger, tmp_path / "given.csv")
        (folder / "videos.csv").write_text(f"url\n{good}{bad}")
        with pytest.raises(ProblemsError):
            wanted(folder, ledger)


def test_an_original_that_is_gone_leaves_what_is_done_and_costs_only_what_is_not(tmp_path: Path, web_dir: Path) -> None:
    videos = local_list(tmp_path / "lists", web_dir, "one", "two", "three")
    (tmp_path / "lists" / "three.mp4").unlink()
    ran, stage = fetch_json(tmp_path / "d", "--list", videos, "--allow-local")
    assert ran.code == 4
    assert (stage["done"], stage["failed"]) == (2, {"source_missing": 1})
    (tmp_path / "lists" / "one.mp4").unlink()
    ran, stage = fetch_json(tmp_path / "d")
    assert (stage["already_done"], stage["done"], stage["failed"]) == (2, 0, {"source_missing": 1})
    assert (tmp_path / "d" / "sources" / "one.mp4").read_bytes() == (web_dir / "a.mp4").read_bytes()
    # The one that was missing comes, another changes, and the one that is gone comes back as another file.
    shutil.copy(web_dir / "a.mp4", tmp_path / "lists" / "three.mp4")
    for name in ("one", "two"):
        (tmp_path / "lists" / f"{name}.mp4").write_bytes((web_dir / "a.mp4").read_bytes() + bytes(8))
    ran, stage = fetch_json(tmp_path / "d")
    assert (ran.code, stage["done"], stage["already_done"]) == (0, 3, 0)
    shutil.rmtree(tmp_path / "lists")
    ran, stage = fetch_json(tmp_path / "d")
    assert (ran.code, stage["done"], stage["already_done"]) == (0, 0, 3)


def test_a_copy_that_is_gone_with_its_original_is_a_failure(tmp_path: Path, web_dir: Path) -> None:
    videos = local_list(tmp_path / "lists", web_dir, "one")
    fetch_json(tmp_path / "d", "--list", videos, "--allow-local")
    (tmp_path / "lists" / "one.mp4").unlink()
    (tmp_path / "d" / "sources" / "one.mp4").unlink()
    ran, stage = fetch_json(tmp_path / "d")
    assert (ran.code, stage["failed"]) == (4, {"source_missing": 1})
    status = avis_data("-C", tmp_path / "d", "status", "--json").json["failed_items"]
    assert "one.mp4" in status[0]["message"] and str(tmp_path) not in status[0]["message"]


def test_a_folder_in_place_of_a_file_is_a_failure_of_its_item(tmp_path: Path, web_dir: Path) -> None:
    videos = local_list(tmp_path / "lists", web_dir, "one", "two")
    (tmp_path / "lists" / "two.mp4").unlink()
    (tmp_path / "lists" / "two.mp4").mkdir()
    _, stage = fetch_json(tmp_path / "d", "--list", videos, "--allow-local")
    assert (stage["done"], stage["failed"]) == (1, {"source_missing": 1})


def test_web_videos_have_no_original(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text("url\nhttp://h.org/x.mp4\n")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert originals(wanted(tmp_path, ledger, tmp_path / "videos.csv"), ledger) == {}
