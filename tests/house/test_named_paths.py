"""Every path that the map, the recipes and the tree of the README name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import ROOT

PAGES = ["docs/architecture.md", "CONTRIBUTING.md"]
ROOMS = (
    "avis_data/",
    "pipelines/",
    "annotation/",
    "training/",
    "schemas/",
    "manifests/",
    "tests/",
    "docs/",
    "benchmarks/",
)
THEIRS = re.compile(r"\b(NAME|TOY)\b")
"""What a person who adds something chooses."""


def named_paths(text: str) -> set[str]:
    """Paths in backticks, and those that links lead to."""
    words = set(re.findall(r"`([\w./-]+)`", text))
    return {word for word in words if word.startswith(ROOMS)}


def tree_paths(text: str) -> Iterator[str]:
    """The paths of a tree: two spaces for each level, folders end in a slash."""
    folders: list[str] = []
    for line in text.splitlines():
        match = re.match(r"( *)([\w./-]+)  +\S", line)
        if match is None:
            continue
        level = len(match[1]) // 2
        folders[level:] = [match[2]]
        yield "".join(folders)


@pytest.mark.parametrize("page", PAGES)
def test_every_path_on_the_page_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = named_paths(text)
    assert len(found) > 10
    missing = [path for path in sorted(found) if not THEIRS.search(path) and not (ROOT / path).exists()]
    assert not missing, f"{page} names what is not there: {missing}"
    homes = [path for path in found if THEIRS.search(path)]
    lost = [path for path in homes if not (ROOT / THEIRS.split(path)[0]).is_dir()]
    assert not lost, f"{page}: no folder for {lost}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_on_the_page_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_the_tree_of_the_readme_is_the_tree() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"^```\n(avis_data/ .*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    found = list(tree_paths(tree))
    assert 15 <= len(found) <= 30
    assert [path for path in found if not (ROOT / path).exists()] == []
    rooms = {
        path.name for top in ("pipelines", "annotation", "training") for path in (ROOT / top).iterdir() if path.is_dir()
    }
    named = {Path(path).name for path in found} | set(re.findall(r"\w+", tree))
    assert {room for room in rooms if not room.startswith("_")} <= named


def test_a_recipe_touches_as_many_files_as_it_says() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    recipes = re.findall(
        r"^### (An? [^\n]+): (\d+) files?( and a folder)?\n(.*?)(?=^#)", text, flags=re.MULTILINE | re.DOTALL
    )
    assert len(recipes) == 5
    for title, count, folder, body in recipes:
        files = re.findall(r"^\d\. `([\w./-]+)`", body, flags=re.MULTILINE)
        assert len(files) == int(count) + bool(folder), title
        assert re.search(r"\[tests/[\w/]+\.py\]", body), f"{title}: no test that does it"
