"""Label Studio's JSON exports: tasks put together into clips.

A task is a still, or a clip with a page for each still (our own projects are of this kind). Of a still, `clip` (or
`clip_id`, `video`) and `second` (or `frame`) in its data say which it is; else the folder and the name of its picture.
What counts is the newest annotation that was submitted and not cancelled; drafts and predictions are no truth.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, Media, Still, UnreadClip
from avis_data.formats.sets.files import natural, numbered, opened_set, picture_size
from avis_data.formats.sets.layout import clip_called, set_name
from avis_data.formats.tools.choices import Choices
from avis_data.formats.tools.label_studio_regions import Entry, FoundRegion, Span, choose, regions_of
from avis_data.formats.tools.objects import Drawn, Objects, heard, named_identity
from avis_data.formats.tools.stills import Pictures, clips_by_folder, one_size, size_problem
from avis_data.io import read_json
from avis_data.masks.rle import check_size

__all__ = ["read_label_studio"]

_CLIP = ("clip", "clip_id", "video_id", "video")
_NUMBER = ("second", "frame", "frame_id", "frame_index", "index")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What the server puts before the name of an uploaded picture."""
_MIN = {"annotation_id", "annotator", "lead_time"}
"""Keys of JSON-MIN beside a task's data."""


@dataclass(kw_only=True)
class _Page:
    """One still of a task."""

    where: str
    path: PurePosixPath
    number: int | None
    regions: list[FoundRegion] = field(default_factory=list)
    is_labelled: bool = False


@dataclass(kw_only=True)
class _Clip:
    """The stills of a clip, with all that is wrong with them."""

    pages: list[_Page] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    several: int = 0
    """Tasks of which several annotations were submitted."""
    is_own: bool = False
    """A project of ours: labels are identities, spans of the timeline say when they sound."""
    said_wh: list[tuple[str, tuple[int, int]]] = field(default_factory=list)


def read_label_studio(path: Path, choices: Choices) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of an export, of a folder or of an archive with one, in the order of their names.

    Raises:
        DataError: if there is no export, or one is of another form (JSON-MIN) or cut off.
    """
    with opened_set(path) as root:
        files = [root] if root.is_file() else sorted(root.rglob("*.json"), key=lambda file: natural(str(file)))
        files = [file for file in files if not file.name.startswith(".")]
        clips: dict[str, _Clip] = defaultdict(_Clip)
        used = []
        for file in files:
            try:
                tasks = _tasks(file, alone=len(files) == 1)
            except DataError as error:
                if len(files) == 1:
                    raise
                clips[file.stem].problems.append(Problem(str(file), "", str(error).removeprefix(f"{file}: ")))
                continue
            if tasks is not None:
                used.append(file)
                _gather(clips, tasks, file, set_name(path), choices)
        if not used:
            raise DataError(f"{path}: holds no export of Label Studio", hint="export the project as JSON")
        folders = [folder for file in used for folder in (file.parent / "images", file.parent)]
        for name in sorted(clips):
            yield _made(name, clips[name], used, list(dict.fromkeys(folders)), choices)


def _tasks(file: Path, *, alone: bool) -> list[object] | None:
    """The tasks of a file; None: it is none of Label Studio's.

    Raises:
        DataError: if it is JSON-MIN, or cannot be read and is the only file.
    """
    raw = read_json(file)
    if isinstance(raw, dict) and "result" in raw and isinstance(raw.get("task"), dict):
        raw = [{**raw["task"], "annotations": [raw]}]  # one annotation, as the server stores it elsewhere
    if isinstance(raw, dict) and ("annotations" in raw or "completions" in raw) and "data" in raw:
        raw = [raw]
    if not isinstance(raw, list) or (not alone and not any(isinstance(task, dict) and "data" in task for task in raw)):
        if alone:
            raise DataError(f"{file}: is no export of Label Studio", hint="export the project as JSON")
        return None
    first = next((task for task in raw if isinstance(task, dict)), {})
    if "annotations" not in first and "completions" not in first and _MIN & first.keys():
        hint = "export the project as JSON, not as JSON-MIN"
        raise DataError(f"{file}: is JSON-MIN, which leaves out which choices belong to which region", hint=hint)
    if raw and not any(isinstance(task, dict) and "data" in task for task in raw):
        raise DataError(f"{file}: is no export of Label Studio: no task has data", hint="export the project as JSON")
    return raw


def _gather(clips: dict[str, _Clip], tasks: Sequence[object], file: Path, usual: str, choices: Choices) -> None:
    """Divide the tasks of a file among the clips."""
    stills: list[tuple[str, Entry, PurePosixPath]] = []
    for number, task in enumerate(tasks):
        where = f"{file}: [{number}]"
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(task, dict) or not isinstance(data, dict):
            clips[usual].problems.append(Problem(where, "data", f"must be an object (found {data!r:.40})"))
            continue
        frames = next((value for value in data.values() if _is_pages(value)), None)
        if frames is None:
            stills.append((where, task, _picture(task, data)))
            continue
        paths = [_foreign(text) for text in frames]
        name = _text(data, _CLIP[:3]) or next(iter(clips_by_folder(paths[:1], usual)), usual)
        clip = clips[name]
        if clip.pages:
            clip.problems.append(Problem(where, "", "another task is of the same clip"))
            continue
        clip.is_own = isinstance(data.get("clip_id"), str) and isinstance(data.get("labels"), list)
        clip.pages = [
            _Page(where=f"{where}: page {place}", path=path, number=place) for place, path in enumerate(paths)
        ]
        _take(clip, task, where, clip.pages)
    folders = clips_by_folder([path for _, _, path in stills], usual)
    folder_of = {place: name for name, places in folders.items() for place in places}
    for place, (where, task, path) in enumerate(stills):
        data = task["data"]
        assert isinstance(data, Mapping)  # as was found
        clip = clips[_text(data, _CLIP) or folder_of[place]]
        page = _Page(where=where, path=path, number=_whole(data, _NUMBER, path))
        clip.pages.append(page)
        _take(clip, task, where, [page])


def _take(clip: _Clip, task: Entry, where: str, pages: Sequence[_Page]) -> None:
    """Give the regions of a task to its stills."""
    data = task["data"]
    assert isinstance(data, Mapping)  # as was found
    width, height = data.get("width"), data.get("height")
    if type(width) is int and type(height) is int:
        clip.said_wh.append((where, (width, height)))
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list):
        clip.problems.append(Problem(where, "annotations", f"must be a list (found {annotations!r:.40})"))
        return
    annotation = choose(annotations)
    if annotation is None:
        return
    clip.several += sum(isinstance(one, dict) and one.get("was_cancelled") is not True for one in annotations) > 1
    place = f"{where}.annotations[{next(n for n, one in enumerate(annotations) if one is annotation)}]"
    regions, spans = regions_of(annotation.get("result"), place, problems=clip.problems, left_out=clip.left_out)
    clip.spans += spans
    for page in pages:
        page.is_labelled = True
    for region in regions:
        if region.page < len(pages):
            pages[region.page].regions.append(region)
        else:
            message = f"is on page {region.page}, there are {len(pages)}"
            clip.problems.append(Problem(region.where, "item_index", message))


def _made(
    name: str, clip: _Clip, files: Sequence[Path], folders: Sequence[Path], choices: Choices
) -> LabelledClip | UnreadClip:
    """The clip, or all that is wrong with it."""
    if all(page.number is not None for page in clip.pages):
        clip.pages.sort(key=lambda page: page.number or 0)
    else:
        clip.pages.sort(key=lambda page: natural(page.path.stem))
    objects = Objects(num_stills=len(clip.pages), problems=clip.problems)
    for number, times in Counter(page.number for page in clip.pages).items():
        if number is not None and times > 1:
            objects.problem(clip.pages[0].where, "", f"{times} tasks of the clip are of still {number}")
    there = Pictures()
    pictures = [there.named(folders, PurePosixPath(page.path.name)) for page in clip.pages]
    size_wh = _size(clip, pictures, objects)
    for place, page in enumerate(clip.pages):
        own_wh = next((region.size_wh for region in page.regions if region.size_wh is not None), None)
        for region in page.regions:
            if region.size_wh in (None, own_wh):  # others are told as a size of their own
                _draw(objects, clip, place, region, choices)
    tracks = objects.tracks()
    if objects.problems or size_wh is None:
        return UnreadClip(name=name, problems=tuple(objects.problems))
    for kind, number in sorted(clip.left_out.items()):
        objects.remarks.append(f"{number} {kind} left out: no area of an object")
    if clip.several:
        objects.remarks.append(f"{clip.several} tasks have several annotations: the newest was taken")
    stills = [
        Still(name=page.path.stem, number=page.number, picture=picture, is_labelled=page.is_labelled)
        for page, picture in zip(clip.pages, pictures, strict=True)
    ]
    return LabelledClip(
        name=name,
        width=size_wh[0],
        height=size_wh[1],
        stills=tuple(stills),
        tracks=tracks,
        has_truth=any(still.is_labelled for still in stills),
        has_identity=objects.has_identity,
        label_files=tuple(files),
        remarks=tuple(objects.remarks),
    )


def _draw(objects: Objects, clip: _Clip, place: int, region: FoundRegion, choices: Choices) -> None:
    """Take in one region."""
    if clip.is_own and not any(kind == "brush" for kind, _ in region.drawn):
        clip.left_out["box that was never turned into a mask"] += 1
        return
    faults = len(objects.problems)
    if len(region.labels) != 1:
        said = f"{len(region.labels)} labels ({', '.join(region.labels)[:60]})" if region.labels else "no label"
        objects.problem(region.where, "", f"the region has {said}, must have one")
    sounding = None
    try:
        mask = region.mask(choices, is_own=clip.is_own)
    except DataError as error:
        objects.problem(region.where, "", str(error))
    try:
        sounding = heard(region.said.get(choices.sounding_attribute))
    except ValueError as error:
        objects.problem(region.where, choices.sounding_attribute, str(error))
    if len(objects.problems) > faults:
        return
    label = region.labels[0]
    category, identity = label, named_identity(region.identity_words(), choices.attribute)
    if clip.is_own:
        category, identity = re.sub(r"_\d+$", "", label) or label, label
        sounding = _spanned(clip, label, place)
    elif clip.spans and sounding is None:
        sounding = _spanned(clip, label, place)
    objects.add(
        Drawn(
            still=place,
            mask=mask,
            category=category,
            where=region.where,
            identity=None if choices.identity == "none" else identity,
            sounding=sounding,
        )
    )


def _spanned(clip: _Clip, label: str, page: int) -> bool:
    """Whether a span of the timeline under this label covers a page."""
    return any(span.label == label and span.first <= page <= span.last for span in clip.spans)


def _size(clip: _Clip, pictures: Sequence[Media | None], objects: Objects) -> tuple[int, int] | None:
    said = [(region.where, region.size_wh) for page in clip.pages for region in page.regions if region.size_wh]
    sizes = [*clip.said_wh, *said]
    found = [(page.where, picture) for page, picture in zip(clip.pages, pictures, strict=True) if picture is not None]
    if not sizes and found:
        try:
            sizes = [(found[0][0], picture_size(found[0][1]))]
        except DataError as error:
            objects.problem(found[0][0], "", str(error))
    size_wh, faults = one_size(sizes)
    if sizes or not objects.problems:
        objects.problems += faults
    if size_wh is None:
        return None
    try:
        check_size(size_wh[1], size_wh[0])
    except DataError as error:
        objects.problem(sizes[0][0], "size", str(error))
        return None
    told = [size_problem(picture, size_wh, where) for where, picture in found]
    objects.problems += [fault for fault in told if fault is not None]
    return size_wh


def _is_pages(value: object) -> bool:
    """Whether a value of a task's data is a list of pictures."""
    return isinstance(value, list) and len(value) > 0 and all(isinstance(text, str) and text for text in value)


def _picture(task: Entry, data: Entry) -> PurePosixPath:
    """The picture of a task that is one still."""
    texts = [value for value in data.values() if isinstance(value, str)]
    pictures = [text for text in texts if re.search(r"\.(jpe?g|png|webp|bmp|tiff?)(\?|$)", text, re.IGNORECASE)]
    upload = task.get("file_upload")
    given = pictures or ([upload] if isinstance(upload, str) and upload else [f"task_{task.get('id')!s:.20}"])
    return _foreign(given[0])


def _foreign(text: str) -> PurePosixPath:
    """Folder and name of a picture that a URL or path names, without what the server put there."""
    path = re.sub(r"^.*[?&]d=", "", text).partition("&")[0] if "d=" in text else text.partition("?")[0]
    parts = [
        part for part in unquote(path).replace("\\", "/").replace("\0", "").split("/") if part not in ("", ".", "..")
    ]
    name = _UPLOADED.sub("", parts[-1]) if parts else "still"
    folders = parts[2 if "://" in path else 0 : -1]  # without the scheme and the host or bucket
    return PurePosixPath(*([] if "upload" in parts else folders), name)


def _text(data: Entry, names: Sequence[str]) -> str | None:
    """What says of which clip a task is; of the path of a video, its name without the ending."""
    for name in names:
        value = data.get(name)
        if isinstance(value, str) and value.strip():
            return _foreign(value).stem if "/" in value or "\\" in value else clip_called(value.strip())
        if type(value) is int:
            return str(value)
    return None


def _whole(data: Entry, names: Sequence[str], path: PurePosixPath) -> int | None:
    for name in names:
        value = data.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) < 10:
            return int(value)
        if type(value) is int and abs(value) < 1e9:
            return value
    return numbered(path.stem)
