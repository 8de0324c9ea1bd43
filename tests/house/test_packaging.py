"""What is installed is what is in the folders."""

from __future__ import annotations

import tomllib

from support.places import ROOT

UNDER_OUR_NAME = ("pipelines", "annotation", "training", "schemas", "manifests")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    found = set()
    for top in ("avis_data", *UNDER_OUR_NAME):
        for init in (ROOT / top).rglob("__init__.py"):
            name = ".".join(init.parent.relative_to(ROOT).parts)
            found.add(name if top == "avis_data" else f"avis_data.{name}")
    return found


def test_every_package_is_listed_once() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(packages_on_disk())


def test_type_checkers_of_users_see_our_types() -> None:
    assert (ROOT / "avis_data" / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["avis_data"]


def test_every_root_folder_ships_under_our_name() -> None:
    mapped = PROJECT["tool"]["setuptools"]["package-dir"]
    assert mapped == {"avis_data": "avis_data"} | {f"avis_data.{name}": name for name in UNDER_OUR_NAME}


def test_the_constraints_name_every_dependency() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    needed = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    names = {
        requirement.split(";")[0].split("=")[0].split(">")[0].split("[")[0].strip().lower() for requirement in needed
    }
    assert names - pinned == set()


def test_python_mypy_and_editors_see_one_tree() -> None:
    for name in UNDER_OUR_NAME:
        link = ROOT / "avis_data" / name
        assert link.is_symlink() and link.resolve() == ROOT / name, f"{link} is no link: see CONTRIBUTING.md"
