"""The category sets that ship with the tool: `schemas/categories/<name>.json`."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from avis_data.config import validated
from avis_data.errors import ConfigError
from avis_data.records import CategorySet

__all__ = ["category_set", "category_set_names"]


@cache
def category_set(name: str) -> CategorySet:
    """A category set by its name, such as `aviseg-26`.

    Raises:
        ConfigError: if there is none of that name; lists those there are.
    """
    if name not in category_set_names():
        known = ", ".join(category_set_names())
        raise ConfigError(f"no category set {name!r}; there are: {known}", hint="set `categories` in recipe.yaml")
    text = (files("avis_data.schemas.categories") / f"{name}.json").read_text(encoding="utf-8")
    return validated(CategorySet, json.loads(text), where=f"schemas/categories/{name}.json")


def category_set_names() -> list[str]:
    """The names of all sets, sorted."""
    found = files("avis_data.schemas.categories").iterdir()
    return sorted(file.name.removesuffix(".json") for file in found if file.name.endswith(".json"))
