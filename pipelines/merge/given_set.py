"""A set in the AVISeg layout as one side of a merge: adopted into a workspace of its own, with the recipe of A."""

from __future__ import annotations

from pathlib import Path

from avis_data.errors import ConfigError, DataError, ProblemsError
from avis_data.formats.aviseg_folders import STILLS
from avis_data.io import read_json, remove, write_bytes, write_json
from avis_data.paths import Workspace
from avis_data.pipelines.engine.executors import ExecutorFactory
from avis_data.pipelines.engine.runner import StageReport
from avis_data.pipelines.imports.existing_set import import_set, read_set
from avis_data.pipelines.imports.removed import redaction_of
from avis_data.pipelines.merge.alike import did_you_mean
from avis_data.pipelines.merge.plan import MergeChoices
from avis_data.pipelines.merge.side import Side
from avis_data.quality.dataset import truth_files
from avis_data.recipe import load_recipe

__all__ = ["adopt_given_set"]


def adopt_given_set(
    root: Path, scratch: Workspace, first: Side, choices: MergeChoices, *, executors: ExecutorFactory
) -> None:
    """Make a workspace of a set: its stills and sound as clips, its truth as imported; the set is only read.

    Args:
        root: the folder with train.json, val.json, test.json, or one truth file.
        scratch: an empty place; the caller removes it.
        first: the side that it is merged with; what was removed there is left out.
        choices: categories of the set by their names there.
        executors: where stills and sound are read.

    Raises:
        ConfigError: if `--map` names a category that it does not have.
        DataError: if it is no such set, or a video of it cannot be read.
        ProblemsError: with all that is wrong with its truth.
    """
    files_of_set = truth_files(root)
    _check_names(files_of_set, choices)
    remove(scratch.root)
    write_bytes(scratch.recipe, first.workspace.recipe.read_bytes())
    recipe = load_recipe(scratch)
    for truth in files_of_set:
        media = truth.parent / truth.stem if (truth.parent / truth.stem / STILLS).is_dir() else truth.parent
        given = _with_categories(truth, scratch, choices)
        files = read_set(given, media, split=None, redaction=redaction_of(first.workspace, recipe))
        for report in import_set(scratch, recipe, files, executors=executors):
            if isinstance(report, StageReport) and (report.stopped or report.failed):
                reasons = ", ".join(f"{count} {reason.value}" for reason, count in sorted(report.failed.items()))
                hint = f"avis-data validate {root} says which; or avis-data import --media --skip-bad into a workspace"
                raise DataError(f"{truth}: some videos cannot be read ({report.stopped or reasons})", hint=hint)
            if not isinstance(report, StageReport) and report.problems:
                raise ProblemsError(f"{truth}: {len(report.problems)} problem(s)", report.problems)


def _check_names(truths: list[Path], choices: MergeChoices) -> None:
    known = {str(entry.get("name")) for truth in truths for entry in _categories(read_json(truth))}
    missing = sorted(choices.categories.keys() - known)
    if missing:
        message = f"--map {missing[0]}: the set has no category of this name{did_you_mean(missing[0], known)}"
        raise ConfigError(message, hint=f"there are: {', '.join(sorted(known))}")


def _categories(value: object) -> list[dict[str, object]]:
    categories = value.get("categories") if isinstance(value, dict) else None
    return [entry for entry in categories if isinstance(entry, dict)] if isinstance(categories, list) else []


def _with_categories(truth: Path, scratch: Workspace, choices: MergeChoices) -> Path:
    """The truth file, or where it has categories to be renamed, a copy that has them under the new names.

    Two that get one name become one category.
    """
    value = read_json(truth)
    entries = _categories(value)
    if not choices.categories.keys() & {entry.get("name") for entry in entries}:
        return truth
    number_of: dict[object, object] = {}
    kept: dict[str, dict[str, object]] = {}
    for entry in entries:
        name = choices.categories.get(str(entry.get("name")), str(entry.get("name")))
        first = kept.setdefault(name, {**entry, "name": name})
        number_of[entry.get("id")] = first.get("id")
    annotations = value.get("annotations")
    renamed = [
        {**entry, "category_id": number_of.get(entry.get("category_id"), entry.get("category_id"))}
        if isinstance(entry, dict)
        else entry
        for entry in (annotations if isinstance(annotations, list) else [])
    ]
    copy = scratch.tmp / truth.name
    write_json(copy, {**value, "categories": list(kept.values()), "annotations": renamed}, indent=None)
    return copy
