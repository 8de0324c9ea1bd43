"""Recipes and workspaces: what ships is valid, and what a person writes wrong is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.categories import category_set
from avis_data.config import apply_settings
from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.paths import Workspace, checked_id
from avis_data.recipe import create_workspace, load_recipe, parse_shipped_recipe
from avis_data.splits import parse_split
from support.shell import avis_data

SHIPPED = {"aviseg": 26, "avis-20": 20, "avsbench-s4": 23, "avsbench-ms3": 23}


@pytest.mark.parametrize(("name", "num_categories"), SHIPPED.items())
def test_every_shipped_recipe_makes_a_workspace(tmp_path: Path, name: str, num_categories: int) -> None:
    recipe = create_workspace(Workspace(tmp_path), name)
    assert recipe.name == name == load_recipe(Workspace(tmp_path)).name
    assert len(category_set(recipe.categories).categories) == num_categories
    assert recipe.split is not None
    parse_split(recipe.split)


def test_the_five_second_recipes_take_five_seconds_and_the_end_of_each() -> None:
    recipe = parse_shipped_recipe("avsbench-ms3")
    assert (recipe.clips.default_duration_s, recipe.extract.frame_at) == (5.0, "end")


def test_a_workspace_keeps_its_recipe(tmp_path: Path) -> None:
    create_workspace(Workspace(tmp_path), "aviseg")
    with pytest.raises(ConfigError, match="has the recipe 'aviseg' already"):
        create_workspace(Workspace(tmp_path), "avis-20")
    with pytest.raises(ConfigError, match="there are: avis-20, aviseg"):
        create_workspace(Workspace(tmp_path / "other"), "no-such")


def test_all_mistakes_of_a_recipe_are_named_together(tmp_path: Path) -> None:
    Workspace(tmp_path).recipe.write_text(
        "name: mine\ndescription: x\ncategories: aviseg-26\n"
        "extract: {frame_at: middle, jpeg: 3}\nfetch: {sleep_s: -1}\n"
    )
    with pytest.raises(ProblemsError) as caught:
        load_recipe(Workspace(tmp_path))
    text = str(caught.value)
    assert "3 bad value(s)" in text
    assert "extract.frame_at" in text and "'middle'" in text
    assert "extract.jpeg: unknown key" in text and "fetch.sleep_s" in text


def test_settings_override_without_touching_the_rest() -> None:
    values = {"extract": {"frame_at": "mid", "jpeg_quality": 2}, "name": "a"}
    changed = apply_settings(values, ["extract.frame_at=start", "new.key=[1, 2]"])
    assert changed == {"extract": {"frame_at": "start", "jpeg_quality": 2}, "name": "a", "new": {"key": [1, 2]}}
    assert values["extract"] == {"frame_at": "mid", "jpeg_quality": 2}
    with pytest.raises(ConfigError, match="must be key=value"):
        apply_settings(values, ["extract.frame_at"])


@pytest.mark.parametrize("name", ["../up", "a/b", "", "a" * 65, "a b", "ü", "a\n"])
def test_unsafe_ids_never_become_paths(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="is no id"):
        Workspace(tmp_path).clip_dir(checked_id(name))


def test_commands_outside_a_workspace_say_how_to_make_one(tmp_path: Path) -> None:
    for command in (["extract"], ["status"], ["embed", "--untrained"], ["export", "--split", "75/25"]):
        ran = avis_data("-C", tmp_path, *command)
        assert ran.code == 2 and "avis-data init" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_init_writes_a_recipe_to_read_and_edit(tmp_path: Path) -> None:
    ran = avis_data("-C", tmp_path / "new", "init", "--recipe", "avis-20")
    assert ran.code == 0 and "avis-20" in ran.out
    assert "# " in (tmp_path / "new" / "recipe.yaml").read_text()
