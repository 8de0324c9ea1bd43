"""Tools that keep one JSON file for each still (ISAT, labelme, X-AnyLabeling): the files put together into clips.

A clip is a folder of label files; in a folder that says no name, what stands before the numbers of the files' names.
A picture without a label file is a still that nobody labelled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, Media, Still, UnreadClip
from avis_data.formats.sets.files import natural, numbered, opened_set, picture_size
from avis_data.formats.sets.layout import clip_of_name, pictures_in, set_name
from avis_data.formats.tools.objects import Objects
from avis_data.formats.tools.stills import Pictures, clips_by_folder, one_size, size_problem
from avis_data.io import read_json
from avis_data.masks.rle import check_size

__all__ = ["Entry", "LabelTool", "read_stills"]

Entry = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class LabelTool:
    """What differs from tool to tool."""

    name: str
    is_ours: Callable[[Entry], bool]
    """Whether a JSON object is one of its files."""
    said: Callable[[Entry], tuple[object, object, object]]
    """Width, height and the name of the picture, as they stand in the file."""
    draw: Callable[[Objects, int, Entry, str, tuple[int, int]], None]
    """Takes in the shapes of a still: objects, number of the still, file, where, width and height."""
    picture_inside: Callable[[Path, dict[str, object]], Media | None] = lambda _file, _raw: None
    """Takes the picture that the label file itself holds out of what was read; it may be large."""
    covers: bool = False
    """Whether what is drawn later, or in a higher layer, takes its pixels from what lies below."""
    missing_is_empty: bool = False
    """Whether a picture without a label file was looked at."""
    remark: Callable[[LabelledClip], str | None] = lambda _clip: None
    """What people should know of how a clip was read."""


@dataclass(kw_only=True)
class _Found:
    """A still of a clip: its label file, its picture, or both."""

    name: str
    where: str
    file: Path | None = None
    raw: Entry | None = None
    picture: Media | None = None
    size_wh: tuple[int, int] | None = None


def read_stills(path: Path, tool: LabelTool) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a file, folder or archive of label files, in the order of their names.

    Raises:
        DataError: if no file is one of the tool's.
    """
    with opened_set(path) as root:
        files = [root] if root.is_file() else [file for file in root.rglob("*.json") if file.is_file()]
        files = [file for file in files if not file.name.startswith(".")]
        number = 0
        for name, of_clip in sorted(_clips(root, files, path).items()):
            clip = _clip(name, sorted(of_clip, key=lambda file: natural(file.stem)), tool, files)
            if clip is not None:
                number += 1
                yield clip
        if not number:
            raise DataError(f"{path}: holds no label file of {tool.name}", hint="one JSON file for each still")


def _clips(root: Path, files: Sequence[Path], given: Path) -> dict[str, list[Path]]:
    """The label files of each clip, by its name."""
    usual = set_name(given)
    if root.is_file():
        return {clip_of_name(PurePosixPath(root.name)) or set_name(root.parent): [root]}
    paths = [PurePosixPath(file.relative_to(root).as_posix()) for file in files]
    groups: dict[str, list[Path]] = defaultdict(list)
    for folder, places in clips_by_folder(paths, "").items():
        for place in places:
            groups[folder or clip_of_name(PurePosixPath(paths[place].name)) or usual].append(files[place])
    return groups


def _clip(
    name: str, files: Sequence[Path], tool: LabelTool, all_files: Sequence[Path]
) -> LabelledClip | UnreadClip | None:
    """One clip; None where none of the files is one of the tool's."""
    objects = Objects(num_stills=0, covers=tool.covers)
    pictures = Pictures()
    found = [still for file in files if (still := _label_file(file, tool, objects, pictures)) is not None]
    if not found:
        return None
    for still, other in pairwise(found):
        if still.name == other.name:
            objects.problem(other.where, "", f"{still.where} is of the same still")
    found += _unlabelled(found, [file.stem for file in all_files])
    found.sort(key=lambda still: natural(still.name))
    objects.num_stills = len(found)
    size_wh = _size(found, objects)
    for place, still in enumerate(found):
        own_wh = still.size_wh or size_wh
        if still.raw is not None and own_wh is not None:
            tool.draw(objects, place, still.raw, still.where, own_wh)
    tracks = objects.tracks()
    if objects.problems or size_wh is None:
        return UnreadClip(name=name, problems=tuple(objects.problems))
    stills = tuple(
        Still(
            name=still.name,
            number=numbered(still.name),
            picture=still.picture,
            is_labelled=still.raw is not None or tool.missing_is_empty,
        )
        for still in found
    )
    clip = LabelledClip(
        name=name,
        width=size_wh[0],
        height=size_wh[1],
        stills=stills,
        tracks=tracks,
        has_identity=objects.has_identity,
        label_files=tuple(still.file for still in found if still.file is not None),
    )
    unlabelled = sum(not still.is_labelled for still in stills)
    if unlabelled:
        objects.remarks.append(f"{unlabelled} pictures have no label file; looked at and empty: --missing-is-empty")
    remark = tool.remark(clip)
    objects.remarks += [remark] if remark is not None else []
    return replace(clip, remarks=tuple(objects.remarks))


def _label_file(file: Path, tool: LabelTool, objects: Objects, pictures: Pictures) -> _Found | None:
    """What a file says of its still, but for the shapes; None: it is none of the tool's."""
    where = str(file)
    try:
        raw = read_json(file)
    except DataError as error:
        objects.problems.append(Problem(where, "", str(error.args[0]).removeprefix(f"{where}: ")))
        return _Found(name=file.stem, where=where, file=file)
    if not isinstance(raw, dict) or not tool.is_ours(raw):
        return None
    width, height, picture = tool.said(raw)
    still = _Found(name=file.stem, where=where, file=file, raw=raw)
    names = [PurePosixPath(f"{file.stem}.jpg")]
    if isinstance(picture, str) and picture and "\0" not in picture:
        names.append(PurePosixPath(PurePosixPath(picture.replace("\\", "/")).name or "still"))
    folders = [file.parent, *_beside(file.parent)]
    still.picture = next((media for name in names if (media := pictures.named(folders, name)) is not None), None)
    inside = tool.picture_inside(file, raw)
    still.picture = still.picture or inside
    try:
        if width is None and height is None and still.picture is not None:
            still.size_wh = picture_size(still.picture)
        elif type(width) is not int or type(height) is not int:
            raise DataError(f"must be whole numbers (found {width!r:.40} and {height!r:.40})")
        else:
            check_size(height, width)
            still.size_wh = width, height
    except DataError as error:
        objects.problem(where, "width and height", str(error))
    return still


def _beside(folder: Path) -> list[Path]:
    """Where pictures of a folder of labels may be."""
    root = folder.parent
    return [root / "images", root / "images" / folder.name, root]


def _unlabelled(found: Sequence[_Found], named: Sequence[str]) -> list[_Found]:
    """Stills of which there is only a picture, in the folders where the others of the clip lie."""
    folders = {still.picture.path.parent for still in found if still.picture is not None and still.picture.path}
    prefixes = {clip_of_name(PurePosixPath(still.name)) for still in found}
    known = {still.name for still in found} | set(named)
    pictures = [picture for folder in sorted(folders) for picture in pictures_in(folder)]
    return [
        _Found(name=picture.stem, where=str(picture), picture=Media(name=picture.name, path=picture))
        for picture in pictures
        if picture.stem not in known and clip_of_name(PurePosixPath(picture.stem)) in prefixes
    ]


def _size(found: Sequence[_Found], objects: Objects) -> tuple[int, int] | None:
    """Width and height of all stills."""
    said = [(still.where, still.size_wh) for still in found if still.size_wh is not None]
    size_wh, faults = one_size(said)
    if said or not objects.problems:
        objects.problems += faults
    if size_wh is not None:
        told = [size_problem(still.picture, size_wh, still.where) for still in found]
        objects.problems += [fault for fault in told if fault is not None]
    return size_wh
