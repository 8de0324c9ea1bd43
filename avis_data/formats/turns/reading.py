"""Files of turns read: RTTM, AVA's active speaker CSV, or a CSV with the columns `clip_id,track,start,end`.

Which of them a file is, its first lines say. A line that cannot be read is a problem with its number; the others go on.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from avis_data.errors import DataError, Problem
from avis_data.formats.turns.records import LONGEST_S, Turn, Turns

__all__ = ["read_turns"]

_RTTM_TYPES = {
    *("SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER"),
    *("EDIT", "SU", "IP", "CB", "A/P", "SPEAKER", "SPKR-INFO"),
}
"""What a line of RTTM may begin with; only SPEAKER is a turn."""
_AVA = ("video_id", "frame_timestamp", "entity_box_x1", "entity_box_y1", "entity_box_x2", "entity_box_y2", "label")
_AVA_COLUMNS = (*_AVA, "entity_id")
_AVA_LABELS = {"SPEAKING_AUDIBLE": True, "SPEAKING_NOT_AUDIBLE": False, "NOT_SPEAKING": False}
_CSV_COLUMNS = ("clip_id", "track", "start", "end")
_LONGEST_GAP_S = 1.0
"""Rows of AVA that are further apart say nothing of the time between them."""
_FORMS = "RTTM (SPEAKER lines), an AVA active speaker CSV, or a CSV with the columns clip_id,track,start,end"
_Row = tuple[int, Sequence[str]]


def read_turns(path: Path) -> Turns:
    """The turns of a file, whichever of the three forms it has.

    Raises:
        DataError: if it cannot be read, or has none of them.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from None
    faults = _Faults(path)
    texts = text.splitlines()
    for number, line in enumerate(texts, start=1):
        if any("\udc80" <= letter <= "\udcff" for letter in line):
            faults.clip = next(iter(line.split()[1:2]), "")
            faults.add(number, "", "holds bytes that are no text in UTF-8")
            texts[number - 1] = ""
    if faults.problems and not any(line.strip() for line in texts):
        raise DataError(f"{path}: cannot be read as text, it is no UTF-8", hint=f"it must be {_FORMS}")
    lines = [(number, line) for number, line in enumerate(texts, start=1) if line.strip()]
    words = next((line.split() for _, line in lines if not line.startswith(";;")), [])
    if words and words[0] in _RTTM_TYPES:
        return _rttm(faults, lines)
    rows = list(_csv_rows(path, texts))
    header = [column.strip() for column in rows[0][1]] if rows else []
    if set(_CSV_COLUMNS) <= set(header):
        return _plain(faults, header, rows[1:])
    if {"frame_timestamp", "label", "entity_id"} <= set(header):
        return _ava(faults, header, rows[1:])
    if len(header) >= len(_AVA_COLUMNS) and header[_AVA_COLUMNS.index("label")] in _AVA_LABELS:
        return _ava(faults, _AVA_COLUMNS, rows)
    found = f"its first line is {lines[0][1]!r:.80}" if lines else "it is empty"
    raise DataError(f"{path}: is no file of turns, {found}", hint=f"it must be {_FORMS}")


def _csv_rows(path: Path, texts: Sequence[str]) -> Iterator[_Row]:
    reader = csv.reader(texts)
    try:
        for row in reader:
            if any(value.strip() for value in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: cannot be read as CSV ({error})") from None


class _Faults:
    """The problems of a file, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.of_clips: dict[str, list[Problem]] = defaultdict(list)
        self.clip = ""
        """That the line which is read now names."""

    def where(self, number: int) -> str:
        return f"{self.path}:{number}"

    def add(self, number: int, name: str, message: str) -> None:
        self.problems.append(Problem(self.where(number), name, message))
        self.of_clips[self.clip].append(self.problems[-1])

    def seconds(self, number: int, name: str, text: str) -> float | None:
        """A time; None, with a problem, where it is none."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if 0 <= value <= LONGEST_S:  # so that NaN is refused too
            return value
        self.add(number, name, f"must be seconds of 0 or more (found {text!r:.40})")
        return None


def _rttm(faults: _Faults, lines: list[tuple[int, str]]) -> Turns:
    turns = []
    for number, line in lines:
        words = line.split()
        if line.startswith(";;") or words[0] in _RTTM_TYPES - {"SPEAKER"}:
            continue
        faults.clip = words[1] if words[0] == "SPEAKER" and len(words) > 1 else ""
        if words[0] != "SPEAKER" or not 8 <= len(words) <= 10:
            told = f"must be `SPEAKER file channel onset duration <NA> <NA> name <NA> <NA>` (found {line!r:.80})"
            faults.add(number, "", told)
            continue
        start_s, duration_s = (faults.seconds(number, n, t) for n, t in (("onset", words[3]), ("duration", words[4])))
        if start_s is not None and duration_s is not None:
            turns.append(_turn(words[1], words[7], start_s, start_s + duration_s, faults.where(number)))
    return Turns(form="rttm", turns=tuple(turns), problems=tuple(faults.problems), faults=dict(faults.of_clips))


def _plain(faults: _Faults, header: Sequence[str], rows: Sequence[_Row]) -> Turns:
    turns = []
    for number, row in rows:
        if len(row) != len(header):
            faults.add(number, "", f"has {len(row)} values for {len(header)} columns")
            continue
        said = {column: value.strip() for column, value in zip(header, row, strict=True)}
        missing = [name for name in ("clip_id", "track") if not said[name]]
        for name in missing:
            faults.add(number, name, "is empty")
        start_s, end_s = (faults.seconds(number, name, said[name]) for name in ("start", "end"))
        if start_s is None or end_s is None or missing:
            continue
        if end_s < start_s:
            faults.add(number, "end", f"{end_s} is before the start, {start_s}")
        else:
            turns.append(_turn(said["clip_id"], said["track"], start_s, end_s, faults.where(number)))
    return Turns(form="csv", turns=tuple(turns), problems=tuple(faults.problems))


def _ava(faults: _Faults, header: Sequence[str], rows: Sequence[_Row]) -> Turns:
    """One turn for each row: it stands for the time to the next row of its entity, if that is not far."""
    found: dict[tuple[str, str], dict[float, tuple[int, bool]]] = defaultdict(dict)
    for number, row in rows:
        if len(row) < len(header):
            faults.add(number, "", f"has {len(row)} values for {len(header)} columns")
            continue
        said = {column: value.strip() for column, value in zip(header, row, strict=False)}
        if said["label"] not in _AVA_LABELS:
            faults.add(number, "label", f"must be one of {', '.join(_AVA_LABELS)} (found {said['label']!r:.40})")
            continue
        time_s = faults.seconds(number, "frame_timestamp", said["frame_timestamp"])
        of_entity = found[said.get("video_id", ""), said["entity_id"]]
        if time_s is None:
            continue
        if time_s in of_entity:
            told = f"{time_s} of {said['entity_id']!r:.60} is also line {of_entity[time_s][0]}"
            faults.add(number, "frame_timestamp", told)
        of_entity[time_s] = (number, _AVA_LABELS[said["label"]])
    turns = [
        Turn(clip=clip, track=track, start_s=start_s, end_s=end_s, is_sounding=heard, where=faults.where(number))
        for (clip, track), of_entity in found.items()
        for start_s, end_s, number, heard in _ava_spans(of_entity)
    ]
    return Turns(form="ava", turns=tuple(turns), problems=tuple(faults.problems))


def _ava_spans(of_entity: dict[float, tuple[int, bool]]) -> Iterator[tuple[float, float, int, bool]]:
    """Start, end, line and label of each row of an entity."""
    times = sorted(of_entity)
    gaps = [after - before for before, after in pairwise(times)]
    usual_s = min([gap for gap in gaps if gap > 0], default=_LONGEST_GAP_S)
    for place, time_s in enumerate(times):
        gap_s = gaps[place] if place < len(gaps) and gaps[place] <= _LONGEST_GAP_S else min(usual_s, _LONGEST_GAP_S)
        number, heard = of_entity[time_s]
        yield time_s, time_s + gap_s, number, heard


def _turn(clip: str, track: str, start_s: float, end_s: float, where: str) -> Turn:
    return Turn(clip=clip, track=track, start_s=start_s, end_s=end_s, where=where)
