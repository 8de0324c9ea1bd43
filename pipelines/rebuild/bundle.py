"""A set as it was published without media: everything in it is a stranger's, and is checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from avis_data.config import problems_from_validation
from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.format_numbers import CERTIFICATE, check_export
from avis_data.formats.ytvis import YtvisDataset, read_ytvis
from avis_data.io import csv_text, read_json, sha256_file, write_private, write_text
from avis_data.paths import Workspace
from avis_data.quality.dataset import truth_files
from avis_data.quality.published import FILE_LIST, published_without_media
from avis_data.recipe import Recipe, load_recipe
from avis_data.records import is_safe_id
from avis_data.versions.media_prints import VIDEO_LIST, ClipPrint, print_path
from avis_data.video_list import read_video_list
from avis_data.video_list.rows import COLUMNS, read_rows
from avis_data.video_list.signed import read_signed

__all__ = ["Bundle", "make_workspace_of", "read_bundle", "write_list_with_own_links"]


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What is published."""

    root: Path
    recipe_text: str
    files: Mapping[str, Path]
    """Truth file of each split."""
    splits: Mapping[str, YtvisDataset]
    video_of: Mapping[str, str]
    """The video of each clip that the published list leads to."""
    sha256: str
    """Of its list of files."""

    @property
    def video_list(self) -> Path:
        """The list to fetch by."""
        return self.root / VIDEO_LIST

    def is_listed_in(self, workspace: Workspace) -> bool:
        """Whether the workspace has a list of the same clips already; its links may be others."""
        if not workspace.video_list.is_file():
            return False
        kept = read_video_list(workspace.video_list, signed=read_signed(workspace.signed_urls))
        return {row.span.clip_id: row.span.video_id for row in kept.clips} == dict(self.video_of)

    def print_of(self, clip_id: str) -> ClipPrint:
        """What is kept of the media of a clip.

        Raises:
            DataError: if the file is missing or damaged.
            ProblemsError: with every field that is wrong.
        """
        path = print_path(self.root, clip_id)
        try:
            found = ClipPrint.model_validate(read_json(path))
        except ValidationError as error:
            raise ProblemsError(f"{path}: is no print", problems_from_validation(error, where=str(path))) from None
        if found.clip_id != clip_id:
            raise DataError(f"{path}: is the print of {found.clip_id}")
        return found


def read_bundle(root: Path) -> Bundle:
    """Read a published set.

    Raises:
        DataError: if the folder is none, or was published with its media, or a file of it is damaged.
        ProblemsError: if a truth file has bad entries.
    """
    files = truth_files(root)
    check_export(root)
    if not root.is_dir():
        raise DataError(f"{root}: is a file", hint="give the folder of a set that was exported with --without-media")
    said = read_json(root / CERTIFICATE)
    recipe = said.get("recipe") if isinstance(said, dict) else None
    text = recipe.get("text") if isinstance(recipe, dict) else None
    if not isinstance(said, dict) or not published_without_media(root) or not isinstance(text, str):
        hint = "avis-data export --without-media writes such a set; one with media needs no rebuilding"
        raise DataError(f"{root}: was not published without media", hint=hint)
    missing = [name for name in (VIDEO_LIST, FILE_LIST) if not (root / name).is_file()]
    if missing:
        raise DataError(f"{root}: {missing[0]} is missing", hint="get the published set again")
    splits = {file.stem: read_ytvis(file) for file in files}
    names = [video.name for dataset in splits.values() for video in dataset.videos]
    bad = [name for name in names if not is_safe_id(name)]
    if bad:
        raise DataError(f"{root}: {bad[0]!r:.80} is no name of a clip")
    return Bundle(
        root=root,
        recipe_text=text,
        files={file.stem: file for file in files},
        splits=splits,
        video_of={row.span.clip_id: row.span.video_id for row in read_video_list(root / VIDEO_LIST).clips},
        sha256=sha256_file(root / FILE_LIST),
    )


def make_workspace_of(bundle: Bundle, workspace: Workspace) -> Recipe:
    """Give a folder the recipe of the published set, where it has none.

    Raises:
        ConfigError: if it is a workspace of another recipe.
        DataError, ProblemsError: if the published recipe is none.
    """
    if not workspace.recipe.exists():
        workspace.root.mkdir(parents=True, exist_ok=True)
        write_text(workspace.recipe, bundle.recipe_text)
    elif workspace.recipe.read_text(encoding="utf-8") != bundle.recipe_text:
        raise ConfigError(f"{workspace.root}: is a workspace of another recipe", hint="give --out a folder of its own")
    return load_recipe(workspace)


def write_list_with_own_links(bundle: Bundle, own: Path, target: Path) -> None:
    """Write the published list with the links of another one, by the id of the video; only its owner may read it.

    Args:
        bundle: the published set.
        own: a list with the columns `url` and `video_id`: links that hold a token, or say where a video is now.
        target: the file to write.

    Raises:
        DataError: if it is no list.
        ProblemsError: if rows of it are wrong, or name videos that the published list does not have.
    """
    problems = list(read_video_list(own).problems)
    known = set(bundle.video_of.values())
    links: dict[str, str] = {}
    for row in read_rows(own, [], []):
        video_id, where = row.cells.get("video_id", ""), f"line {row.line}"
        if video_id not in known:
            text = f"{video_id!r:.80} is no video of the published list" if video_id else "says not of which video"
            problems.append(Problem(where, "video_id", text))
        elif links.setdefault(video_id, row.cells["url"]) != row.cells["url"]:
            problems.append(Problem(where, "url", f"{video_id} has another link above"))
    if problems:
        hint = f"its rows need url and video_id, as in {bundle.video_list}"
        raise ProblemsError(f"{own}: {len(problems)} problem(s), nothing was fetched", problems, hint=hint)
    rows: list[list[str]] = [list(COLUMNS)]
    for row in read_rows(bundle.video_list, [], []):
        cells = row.cells | {"url": links.get(row.cells.get("video_id", ""), row.cells["url"])}
        rows.append([cells.get(column, "") for column in COLUMNS])
    write_private(target, csv_text(rows))
