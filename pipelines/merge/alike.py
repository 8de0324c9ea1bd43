"""What must be the same on both sides before they can be one dataset: what makes media, and the names of categories."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping

from avis_data.categories import category_set
from avis_data.errors import Problem
from avis_data.pipelines.merge.side import Side
from avis_data.recipe import Recipe
from avis_data.records import Record

__all__ = ["category_problems", "did_you_mean", "recipe_problems"]

_MUST_AGREE = ("truth", "rights", "clips", "extract", "preview", "embed")
"""Parts of a recipe that change media, labels or what may be published; of `fetch` the height does."""


def recipe_problems(a: Recipe, b: Recipe) -> Iterator[Problem]:
    """Fields that must be the same; of the others those of A are taken."""
    for part in _MUST_AGREE:
        here, there = getattr(a, part), getattr(b, part)
        if here == there:
            continue
        names = list(type(here).model_fields) if isinstance(here, Record) else [""]
        for name in names:
            mine, theirs = (getattr(here, name), getattr(there, name)) if name else (here, there)
            if mine != theirs:
                yield Problem("recipe.yaml", f"{part}.{name}".rstrip("."), f"A has {mine}, B has {theirs}")
    if a.fetch.max_height_px != b.fetch.max_height_px:
        message = f"A has {a.fetch.max_height_px}, B has {b.fetch.max_height_px}"
        yield Problem("recipe.yaml", "fetch.max_height_px", message)


def category_problems(a: Side, b: Side, said: Mapping[str, str]) -> Iterator[Problem]:
    """Categories of B that A does not have under the names that `said` gives them."""
    known = [category.name for category in category_set(a.recipe.categories).categories]
    of_b = {category.name for category in category_set(b.recipe.categories).categories}
    used = {track.category for track in b.tracks}
    for old, new in said.items():
        if old not in used | of_b:
            yield Problem("--map", old, f"B has no category of this name{did_you_mean(old, sorted(used | of_b))}")
        if new not in known:
            yield Problem("--map", new, f"A has no category of this name{did_you_mean(new, known)}")
    for name in sorted(used):
        if said.get(name, name) not in known:
            hint = f"{did_you_mean(name, known)}; --map {name}=NAME says which it is"
            yield Problem("B", "category", f"{name!r} is not in {a.recipe.categories}{hint}")


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The end of a sentence that names the nearest of those that there are; empty where none is near."""
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
