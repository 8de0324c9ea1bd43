"""Read a list of videos: good rows, and everything that is wrong with the others."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Literal, cast

from avis_data.cycles import no_cycle_search
from avis_data.errors import DataError, Problem
from avis_data.io import sha256_text
from avis_data.records import SCENARIOS, Record, SafeId, Scenario, Span, is_safe_id
from avis_data.video_list.rows import Layout, Row, read_rows
from avis_data.video_list.signed import Cutter
from avis_data.video_list.urls import Source, source_from_text

__all__ = ["ClipRow", "DownloadRequest", "VideoList", "clip_id_of", "read_video_list", "seconds_from_text"]

_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,2}):)?(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)
_MAX_ID = 64
_SPLITS = ("train", "val", "test")
Split = Literal["train", "val", "test"]
_Split = Split | None


class DownloadRequest(Record):
    """One source video to be fetched."""

    video_id: SafeId
    url: str
    """http(s), without secrets (`VideoList.signed` has those), or `file://` for a file of this machine."""


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One row of the list: a clip that is wanted, and what the list says of it."""

    span: Span
    categories: tuple[str, ...] = ()
    license: str | None = None
    split: Split | None = None
    uploader: str | None = None
    channel: str | None = None
    upload_date: str | None = None
    """YYYY-MM-DD."""
    scenarios: tuple[Scenario, ...] = ()
    """What it is about; empty: not said."""


@dataclass(frozen=True, slots=True)
class VideoList:
    """What a list asks for, and what is wrong with it. Rows with a problem are in neither tuple."""

    downloads: tuple[DownloadRequest, ...]
    """One per source video, in the order of the list."""
    clips: tuple[ClipRow, ...]
    """One per good row, in the order of the list."""
    lines: tuple[int, ...]
    """The line of each of them."""
    problems: tuple[Problem, ...]
    """The problems by line; `where` is the line, `field` the column."""
    lines_left_out: tuple[int, ...]
    """Lines of the rows with problems; a bad header is no row."""
    category_places: Mapping[str, Problem] = field(default_factory=dict)
    """Where each category is named first, in the good rows: line and column."""
    signed: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Whole addresses that hold secrets, by the cut ones that stand for them everywhere else."""
    signed_cells: Mapping[int, list[tuple[str, str]]] = field(default_factory=dict, repr=False)
    """By line: the cells that hold them, and what stands for them."""

    def without(self, problems: Sequence[Problem]) -> VideoList:
        """The list with more problems: the rows of their lines are good no more."""
        bad = {_line(problem) for problem in problems}
        kept = [(row, line) for row, line in zip(self.clips, self.lines, strict=True) if line not in bad]
        used = {row.span.video_id for row, _ in kept}
        return replace(
            self,
            downloads=tuple(download for download in self.downloads if download.video_id in used),
            clips=tuple(row for row, _ in kept),
            lines=tuple(line for _, line in kept),
            problems=tuple(sorted([*self.problems, *problems], key=_line)),
            lines_left_out=tuple(sorted({*self.lines_left_out, *bad})),
        )


@dataclass(slots=True)
class _Parsed:
    line: int
    layout: Layout
    source: Source
    given_id: str
    start_s: float
    end_s: float | None
    categories: tuple[str, ...]
    license: str | None
    split: Split | None
    uploader: str | None
    channel: str | None
    upload_date: str | None
    scenarios: tuple[Scenario, ...]


@dataclass(slots=True)
class _Seen:
    """What the rows so far have claimed."""

    url_of_id: dict[str, tuple[str, int]] = field(default_factory=dict)
    line_of_clip: dict[str, int] = field(default_factory=dict)
    category_places: dict[str, Problem] = field(default_factory=dict)
    spans_ms: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)
    """Per video: disjoint (start, end, line), sorted; an open end is infinite."""


def read_video_list(
    path: Path,
    *,
    allow_local: bool = False,
    default_duration_s: float | None = None,
    folder: Path | None = None,
    signed: Mapping[str, str] | None = None,
) -> VideoList:
    """Read a list of videos; nothing is downloaded.

    Args:
        path: CSV, UTF-8. The columns are described in `manifests/README.md`.
        allow_local: accept files of this machine.
        default_duration_s: length of a row with a start and no end; None: to the end of the video.
        folder: what relative file names are relative to; None: the list's own folder.
        signed: whole addresses by the cut ones, for a list whose addresses were cut when it was kept.

    Returns:
        The good rows and the problems of the others. Of two rows that claim the same seconds of a video the
        first is good.

    Raises:
        DataError: if the file cannot be read as such a list at all, or holds no row.
    """
    local_folder = str((folder or path.parent).resolve()) if allow_local else None
    with no_cycle_search():
        return _read(path, local_folder, default_duration_s, Cutter(signed or {}))


def seconds_from_text(text: str) -> float:
    """Seconds of `12.5`, `1:02.5` or `1:00:02.5` ([hh:]mm:ss[.s]).

    Raises:
        ValueError: for anything else, negative times and more than 59 minutes or seconds after a colon included.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"must be seconds or [hh:]mm:ss[.s] (found {text!r:.40})")
    hours, minutes, seconds = match.groups()
    if minutes is None:
        return float(seconds)
    if float(seconds) >= 60 or (hours is not None and int(minutes) >= 60):
        raise ValueError(f"more than 59 minutes or seconds (found {text!r:.40})")
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def clip_id_of(video_id: str, start_s: float, end_s: float | None) -> str:
    """`<video_id>` for the whole video, else `<video_id>_<start>_<end>` in milliseconds; at most 64 characters.

    A video id too long for that is cut, and a hash of the full name keeps the clip id unique.
    """
    if start_s == 0 and end_s is None:
        return video_id
    end = "end" if end_s is None else f"{_ms(end_s):06d}"
    span = f"{_ms(start_s):06d}_{end}"
    full = f"{video_id}_{span}"
    if len(full) <= _MAX_ID:
        return full
    digest = sha256_text(full)[:8]
    return f"{video_id[: _MAX_ID - len(span) - len(digest) - 2]}_{digest}_{span}"


def _read(path: Path, folder: str | None, default_duration_s: float | None, cutter: Cutter) -> VideoList:
    problems: list[Problem] = []
    header: list[Problem] = []
    rows = read_rows(path, problems, header)
    parsed = [found for row in rows if (found := _parse(row, folder, default_duration_s, problems, cutter)) is not None]
    if not parsed and not problems and not header:
        raise DataError(f"{path}: holds no video", hint="manifests/videos-template.csv explains the columns")
    downloads: dict[str, DownloadRequest] = {}
    clips: list[ClipRow] = []
    lines: list[int] = []
    seen = _Seen()
    id_of_url = _ids(parsed)
    for item in parsed:
        video_id = item.given_id or id_of_url[item.source.url]
        clip = _admit(item, video_id, id_of_url, seen, problems)
        if clip is not None:
            clips.append(clip)
            lines.append(item.line)
            if video_id not in downloads:
                downloads[video_id] = DownloadRequest(video_id=video_id, url=item.source.url)
    left_out = tuple(sorted({_line(problem) for problem in problems}))
    every = sorted([*header, *problems], key=_line)
    asked = {download.url for download in downloads.values()}
    return VideoList(
        tuple(downloads.values()),
        tuple(clips),
        tuple(lines),
        tuple(every),
        left_out,
        seen.category_places,
        signed={url: whole for url, whole in cutter.whole.items() if url in asked},
        signed_cells=cutter.cells,
    )


def _line(problem: Problem) -> int:
    return int(problem.where.removeprefix("line "))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _parse(
    row: Row, folder: str | None, default_duration_s: float | None, problems: list[Problem], cutter: Cutter
) -> _Parsed | None:
    """One row's cells as values; None, and every reason among the problems, where a cell is bad."""
    cells, layout = row.cells, row.layout
    bad: list[tuple[str, str]] = []
    source = _source(cutter.cut(cells["url"], row.line), folder, bad)
    given_id = cells.get("video_id", "")
    if given_id and not is_safe_id(given_id):
        bad.append(("video_id", f"must be 1 to 64 letters, digits, '_' or '-' (found {given_id!r:.80})"))
    start_s = _seconds(cells, "start", bad)
    end_s = _seconds(cells, "end", bad)
    duration_s = layout.duration_s or default_duration_s
    if start_s is not None and duration_s is not None and not cells.get("end"):
        end_s = start_s + duration_s
    start_s = start_s or 0.0
    if end_s is not None and _ms(end_s) <= _ms(start_s):
        bad.append(("end", f"must be later than the start, {start_s:g} s (found {end_s:g} s)"))
    split = cells.get("split", "").lower() or None
    if split is not None and split not in _SPLITS:
        bad.append(("split", f"must be train, val or test (found {cells['split']!r:.40})"))
    upload_date = cells.get("upload_date") or None
    if upload_date is not None and not _is_day(upload_date):
        bad.append(("upload_date", f"must be a day, as 2026-01-31 (found {upload_date!r:.40})"))
    scenarios = layout.categories(cells.get("scenario", "").lower())
    if odd := [name for name in scenarios if name not in SCENARIOS]:
        bad.append(("scenario", f"must be {', '.join(SCENARIOS)}, several parted by ; (found {odd[0]!r:.40})"))
    if bad or source is None:
        problems += [Problem(f"line {row.line}", layout.shown(column), message) for column, message in bad]
        return None
    categories = layout.categories(cells.get("categories", ""))
    license_text = cells.get("license") or None
    who = (cells.get("uploader") or None, cells.get("channel") or None, upload_date)
    about = tuple(name for name in SCENARIOS if name in scenarios)
    said = (categories, license_text, cast(_Split, split), *who, about)
    return _Parsed(row.line, layout, source, given_id, start_s, end_s, *said)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _source(text: str, folder: str | None, bad: list[tuple[str, str]]) -> Source | None:
    try:
        if text:
            return source_from_text(text, folder=folder)
        bad.append(("url", "is empty"))
    except ValueError as error:
        bad.append(("url", str(error)))
    return None


def _seconds(cells: dict[str, str], column: str, bad: list[tuple[str, str]]) -> float | None:
    text = cells.get(column)
    try:
        return seconds_from_text(text) if text else None
    except ValueError as error:
        bad.append((column, str(error)))
        return None


def _ids(parsed: Sequence[_Parsed]) -> dict[str, str]:
    """The video id of every URL: the first that a row gives for it, else its own."""
    given: dict[str, str] = {}
    for item in parsed:
        if item.given_id:
            given.setdefault(item.source.url, item.given_id)
    return {item.source.url: given.get(item.source.url, item.source.video_id) for item in parsed}


def _admit(
    item: _Parsed, video_id: str, id_of_url: dict[str, str], seen: _Seen, problems: list[Problem]
) -> ClipRow | None:
    """The row as a clip, if it agrees with the rows before it; else a problem that names the other line."""
    clip_id = clip_id_of(video_id, item.start_s, item.end_s)
    conflict = _conflict(item, video_id, clip_id, id_of_url, seen)
    if conflict is not None:
        column, message = conflict
        problems.append(Problem(f"line {item.line}", item.layout.shown(column), message))
        return None
    for name in item.categories:
        seen.category_places.setdefault(name, Problem(f"line {item.line}", item.layout.shown("categories"), name))
    span = Span(clip_id=clip_id, video_id=video_id, start_s=item.start_s, end_s=item.end_s)
    who = (item.uploader, item.channel, item.upload_date)
    return ClipRow(span, item.categories, item.license, item.split, *who, item.scenarios)


def _conflict(
    item: _Parsed, video_id: str, clip_id: str, id_of_url: dict[str, str], seen: _Seen
) -> tuple[str, str] | None:
    """Column and message of a contradiction with earlier rows; None, and the row is remembered, where there is none."""
    url_id = id_of_url[item.source.url]
    if url_id != video_id:
        return "video_id", f"another row gives the same url the id {url_id!r}"
    url, line = seen.url_of_id.setdefault(video_id, (item.source.url, item.line))
    if url != item.source.url:
        return "video_id", f"{video_id!r} stands for another url in line {line}"
    start_ms = _ms(item.start_s)
    end_ms = math.inf if item.end_s is None else _ms(item.end_s)
    spans = seen.spans_ms.setdefault(video_id, [])
    place = bisect.bisect(spans, (start_ms, end_ms, item.line))
    for other_start_ms, other_end_ms, other_line in spans[max(place - 1, 0) : place + 1]:
        if start_ms < other_end_ms and other_start_ms < end_ms:
            return "start", f"the same seconds of {video_id!r} are in line {other_line}"
    line = seen.line_of_clip.setdefault(clip_id, item.line)
    if line != item.line:
        return "video_id", f"gives the clip id {clip_id!r}, which line {line} has already"
    spans.insert(place, (start_ms, end_ms, item.line))
    return None
