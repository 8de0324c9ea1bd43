"""The list of a workspace: taken in once, kept as given, read again by every later fetch."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from avis_data.categories import category_set
from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.io import atomic_path
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Input
from avis_data.pipelines.upkeep.tombstones import Tombstones, read_tombstones
from avis_data.recipe import Recipe
from avis_data.video_list import ClipRow, VideoList, read_video_list
from avis_data.video_list.signed import check_kept, read_signed, without_secrets, write_signed
from avis_data.video_list.urls import local_path

__all__ = [
    "CLIP_ROW",
    "ORIGINAL",
    "ListOptions",
    "adopt_list",
    "list_folder",
    "originals",
    "read_wanted",
    "tell_left_out",
    "wanted_clips",
]

logger = logging.getLogger(__name__)

CLIP_ROW = TypeAdapter(ClipRow)
"""Clip rows as the ledger keeps them: `dump_json`, `validate_json`."""

_FOLDER = "list_folder"
_ALLOW_LOCAL = "allow_local"
_SKIP_BAD_ROWS = "skip_bad_rows"
_SHOWN_PROBLEMS = 1000
"""All, for any list that a person goes through by hand."""
ORIGINAL = "original"
"""Name of the input of a video that is fetched from this machine."""
_GONE = "gone"
_SHOWN_CATEGORIES = 10


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Which list, and how strict to be with it."""

    path: Path | None = None
    """None: the one that the workspace has."""
    allow_local: bool = False
    skip_bad_rows: bool = False


def read_wanted(workspace: Workspace, ledger: Ledger, recipe: Recipe, options: ListOptions) -> VideoList:
    """Read the list; touches nothing.

    Raises:
        ConfigError: if none is given and the workspace has none.
        ProblemsError: with all bad rows, unless `skip_bad_rows`.
        DataError: if it is no list, no row of it is good, or an id of it belongs to a clip of an existing set.
    """
    path = (options.path or workspace.video_list).resolve()
    if options.path is None and not path.exists():
        raise ConfigError(f"{workspace.root}: no list of videos yet", hint="avis-data fetch --list videos.csv")
    if not path.is_file():
        hint = "-C DIR changes to that folder first, as with git: give --list as seen from there, or in full"
        raise DataError(f"{path}: no such file", hint=hint)
    found = read_video_list(
        path,
        allow_local=_holds(_ALLOW_LOCAL, options.allow_local, ledger, options),
        default_duration_s=recipe.clips.default_duration_s,
        folder=_folder(workspace, ledger, options),
        signed=read_signed(workspace.signed_urls) if path == workspace.video_list.resolve() else None,
    )
    found = _without_removed(found, read_tombstones(workspace))
    if found.problems and not _holds(_SKIP_BAD_ROWS, options.skip_bad_rows, ledger, options):
        raise ProblemsError(
            f"{path}: {len(found.problems)} problem(s), nothing was downloaded",
            found.problems,
            hint="mend the rows, or go on without them: --skip-bad-rows",
            shown=_SHOWN_PROBLEMS,
        )
    if not found.clips:
        raise DataError(f"{path}: no good row")
    _check_adopted(path, ledger, found)
    _tell_unknown_categories(found, recipe)
    return found


def _without_removed(found: VideoList, stones: Tombstones) -> VideoList:
    """The list with a problem in place of each row that asks for a removed video, whatever it calls it."""
    urls = {download.video_id: download.url for download in found.downloads}
    problems: list[Problem] = []
    for row, line in zip(found.clips, found.lines, strict=True) if stones else ():
        span = row.span
        for item_id in dict.fromkeys((span.video_id, span.clip_id)):
            problem = stones.refusal(f"line {line}", "video_id", item_id, urls[span.video_id])
            if problem is not None:
                problems.append(problem)
                break
    return found.without(problems) if problems else found


def _tell_unknown_categories(video_list: VideoList, recipe: Recipe) -> None:
    """Log where the list names a category that the recipe's set lacks, with the nearest one that it has.

    Nothing is refused: lists of others name far more than a dataset is about.
    """
    known = [category.name for category in category_set(recipe.categories).categories]
    odd = [place for name, place in video_list.category_places.items() if name not in known]
    lines = []
    for place in odd[:_SHOWN_CATEGORIES]:
        near = difflib.get_close_matches(place.message.lower(), known, n=1)
        parts = "several? they are parted by ; or |" if "," in place.message else ""
        hint = parts or (f"did you mean {near[0]!r}?" if near else "")
        lines.append(f"\n  {place.where}: {place.field}: {place.message!r:.60}" + (f"; {hint}" if hint else ""))
    if odd:
        logger.warning("%d categories of the list are not in %s:%s", len(odd), recipe.categories, "".join(lines))


def adopt_list(workspace: Workspace, ledger: Ledger, video_list: VideoList, options: ListOptions) -> None:
    """Make the list the workspace's own: a copy as given, and its videos and clips as the wanted ones.

    Addresses that hold secrets are cut in the copy; the whole ones stand in `signed_urls.json`.

    Raises:
        DataError: if the list is written in a way in which they cannot be cut.
    """
    if options.path is not None:
        if options.path.resolve() != workspace.video_list.resolve():
            _keep(workspace, options.path, video_list)
        folder = os.path.relpath(options.path.resolve().parent, workspace.root.resolve())
        ledger.set(_FOLDER, Path(folder).as_posix())
    for name, chosen in ((_ALLOW_LOCAL, options.allow_local), (_SKIP_BAD_ROWS, options.skip_bad_rows)):
        if chosen or options.path is not None:
            ledger.set(name, "yes" if chosen else "no")
    ledger.replace_wanted(
        (download.video_id for download in video_list.downloads),
        ((row.span.clip_id, CLIP_ROW.dump_json(row).decode()) for row in video_list.clips),
    )


def _keep(workspace: Workspace, given: Path, video_list: VideoList) -> None:
    """Write the copy. Killed at any moment, the whole addresses of the list that is there are there."""
    text, signed = given.read_bytes().decode("utf-8"), dict(video_list.signed)
    before = read_signed(workspace.signed_urls)
    with atomic_path(workspace.video_list) as part:
        cut = without_secrets(text, video_list.signed_cells)
        part.write_bytes(cut.encode())
        if cut != text:
            check_kept(given, part, signed)
        if signed != before:
            write_signed(workspace.signed_urls, {**before, **signed})
    if signed != before:
        write_signed(workspace.signed_urls, signed)


def tell_left_out(video_list: VideoList) -> None:
    """Log (to stderr, at any verbosity) what of the list is passed over: the number of rows, and all problems."""
    if video_list.problems:
        problems = "".join(f"\n  {problem}" for problem in video_list.problems)
        logger.warning("%d row(s) of the list left out (--skip-bad-rows):%s", len(video_list.lines_left_out), problems)


def wanted_clips(ledger: Ledger) -> Iterator[tuple[str, ClipRow]]:
    """Id and row of every clip that the list asks for, by id."""
    yield from ledger.read_wanted(CLIP_ROW.validate_json)


def originals(video_list: VideoList, ledger: Ledger) -> dict[str, Input]:
    """The files of this machine that the list names, by video id, with what changes when they do.

    A file that is gone is as it was when its video was fetched: the workspace has a copy, and nothing is left to do.
    One that is gone and never was fetched is a failure of that item.
    """
    found: dict[str, Input] = {}
    gone: dict[str, Path] = {}
    for download in video_list.downloads:
        path = local_path(download.url)
        if path is None:
            continue
        try:
            status = path.stat()
        except OSError:
            gone[download.video_id] = path
        else:
            found[download.video_id] = Input(path=str(path), sha256=f"{status.st_size}-{status.st_mtime_ns}")
    fetched = ledger.inputs("fetch") if gone else {}
    for video_id, path in gone.items():
        found[video_id] = Input(path=str(path), sha256=fetched.get(video_id, {}).get(ORIGINAL, _GONE))
    return found


def _check_adopted(path: Path, ledger: Ledger, found: VideoList) -> None:
    ids = {row.span.clip_id for row in found.clips} | {download.video_id for download in found.downloads}
    taken = sorted(clip_id for clip_id, _ in ledger.adopted() if clip_id in ids)
    if taken:
        raise DataError(
            f"{path}: {len(taken)} id(s) are those of clips that came with avis-data import --media: "
            + ", ".join(taken[:5]),
            hint="give the rows another video_id, or use a workspace of its own (-C DIR)",
        )


def _folder(workspace: Workspace, ledger: Ledger, options: ListOptions) -> Path:
    """Where the list's relative file names start: where it was when it was given."""
    return options.path.resolve().parent if options.path is not None else list_folder(workspace, ledger)


def list_folder(workspace: Workspace, ledger: Ledger) -> Path:
    """Where relative file names of the list that the workspace has start."""
    return workspace.root / (ledger.get(_FOLDER) or ".")


def _holds(name: str, chosen: bool, ledger: Ledger, options: ListOptions) -> bool:
    """True if a person chose so now, or when giving the list that the workspace has."""
    return chosen or (options.path is None and ledger.get(name) == "yes")
