"""Label Studio's results (regions, as JSON) to masks and spans of sound, and back.

Only here its 1-based inclusive ranges and its brush coding meet our clock, on which second t is [t, t+1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Required, TypedDict, TypeGuard

import numpy as np

from avis_data.annotation.labels.records import ClipProblem, Interval, LabelledMask, LabelledTrack, MaskOrigin, Verdict
from avis_data.annotation.labels.states import heard_seconds, intervals_from_seconds, merged, states
from avis_data.annotation.labels.track_problems import split_identity
from avis_data.annotation.labelstudio.configuration import (
    BRUSH,
    IMAGE,
    LABELS,
    NOTE,
    OFF_SCREEN,
    REASON,
    SILENCE,
    TIMELINE,
    VERDICT,
    VIDEO,
)
from avis_data.annotation.labelstudio.strokes import with_strokes
from avis_data.errors import DataError
from avis_data.masks.brush_rle import decode_brush, encode_brush
from avis_data.masks.rle import Rle, decode, encode

__all__ = [
    "DrawnMask",
    "ReadResult",
    "Region",
    "mask_regions",
    "read_result",
    "region_id",
    "regions_from_tracks",
    "sounding_region",
    "tracks_from_regions",
]

SPECK_PX = 16
"""Masks of fewer pixels are kept and reported: a slip of the brush, more often than an object."""

_PROMPT_LEFT = "left out: a point or box that was never turned into a mask"


class _Span(TypedDict):
    """Pages of the timeline, the first and the last one, counted from 1."""

    start: int
    end: int


class _Value(TypedDict, total=False):
    """What a region holds: a mask, or spans of the timeline, and its label."""

    format: str
    rle: list[int]
    labels: list[str]
    ranges: list[_Span]
    timelinelabels: list[str]


class Region(TypedDict, total=False):
    """A region as we write it. What the server sends is read as `object`."""

    id: Required[str]
    type: Required[str]
    from_name: Required[str]
    to_name: Required[str]
    item_index: int
    original_width: int
    original_height: int
    image_rotation: int
    score: float
    value: Required[_Value]


@dataclass(frozen=True)
class DrawnMask:
    """What is left on one still under one label: one region, or the union of several."""

    rle: Rle
    num_regions: int


@dataclass
class ReadResult:
    """What the regions of one annotation say, and what is wrong with them."""

    masks: dict[tuple[str, int], DrawnMask] = field(default_factory=dict)
    """The masks by identity and still; none is empty."""
    intervals: dict[str, tuple[Interval, ...]] = field(default_factory=dict)
    """The intervals by identity; sorted, not touching."""
    off_screen: tuple[Interval, ...] = ()
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    note: str = ""
    problems: list[ClipProblem] = field(default_factory=list)

    def identities(self) -> list[str]:
        """Every label in use, sorted."""
        return sorted({identity for identity, _ in self.masks} | set(self.intervals))


def region_id(identity: str, frame: int) -> str:
    """The id that the mask of an identity on a still gets; an answer with the id of a region replaces that one."""
    return f"{identity}.{frame:05d}"


def mask_regions(
    identity: str, frame: int, rle: Rle, *, score: float | None = None, key: str | None = None
) -> list[Region]:
    """The pair of regions that is one mask on one still: the brush's, and its label's.

    Args:
        identity: the label, `person_1`.
        frame: number of the still, which is the page.
        rle: the mask.
        score: of the engine, 0 to 1, if there is one.
        key: id of the region; None: `region_id`.

    Source: specs of Label Studio, §5.
    """
    drawn = encode_brush(decode(rle))
    brush: Region = {
        "id": region_id(identity, frame) if key is None else key,
        "to_name": IMAGE,
        "item_index": frame,
        "original_width": rle.width,
        "original_height": rle.height,
        "image_rotation": 0,
        "type": "brush",
        "from_name": BRUSH,
        "value": {"format": "rle", "rle": drawn},
    }
    labels: _Value = {"format": "rle", "rle": drawn, "labels": [identity]}
    label: Region = {**brush, "type": "labels", "from_name": LABELS, "value": labels}
    if score is not None:
        brush["score"] = score
    return [brush, label]


def sounding_region(label: str, interval: Interval) -> Region:
    """A span of the timeline; whole seconds, borders rounded to the nearest."""
    first, end = round(interval.start_s), max(round(interval.end_s), round(interval.start_s) + 1)
    return {
        "id": f"{label}.sounding.{first:05d}",
        "type": "timelinelabels",
        "from_name": TIMELINE,
        "to_name": VIDEO,
        "value": {"ranges": [{"start": first + 1, "end": end}], "timelinelabels": [label]},
    }


def regions_from_tracks(
    tracks: Iterable[LabelledTrack], *, off_screen: Iterable[Interval] = (), silence: Iterable[Interval] = ()
) -> list[Region]:
    """All regions of a clip, as a prediction holds them: spans first, then masks by identity and still."""
    ordered = sorted(tracks, key=lambda track: track.identity)
    marks = [(track.identity, track.intervals) for track in ordered]
    marks += [(OFF_SCREEN, tuple(off_screen)), (SILENCE, tuple(silence))]
    regions: list[Region] = []
    for label, intervals in marks:
        heard = heard_seconds(intervals, _end(intervals))
        regions += [sounding_region(label, interval) for interval in intervals_from_seconds(heard)]
    for track in ordered:
        for mask in track.masks:
            regions += _without_double(mask_regions(track.identity, mask.frame, mask.rle, score=mask.confidence))
    return regions


def tracks_from_regions(
    result: Sequence[object], *, num_seconds: int, height: int, width: int
) -> tuple[LabelledTrack, ...]:
    """The tracks that regions stand for; every mask counts as drawn by hand. Inverse of `regions_from_tracks`."""
    read = read_result(result, num_seconds=num_seconds, height=height, width=width)
    tracks = []
    for identity in read.identities():
        found = {frame: drawn for (name, frame), drawn in sorted(read.masks.items()) if name == identity}
        intervals = read.intervals.get(identity, ())
        masks = tuple(
            LabelledMask(
                frame=frame,
                height=drawn.rle.height,
                width=drawn.rle.width,
                counts=drawn.rle.counts,
                origin=MaskOrigin.EDITED,
            )
            for frame, drawn in found.items()
        )
        tracks.append(
            LabelledTrack(
                identity=identity,
                category=split_identity(identity)[0],
                intervals=intervals,
                states=states(intervals, found, num_seconds),
                masks=masks,
            )
        )
    return tuple(tracks)


def read_result(result: Sequence[object], *, num_seconds: int, height: int, width: int) -> ReadResult:
    """Read the regions of one annotation; what cannot be used is left out and told in `problems`, never guessed.

    Args:
        result: the list as received; nothing of it is trusted.
        num_seconds: of the clip, so its number of pages.
        height: of its stills, px.
        width: of its stills, px.
    """
    reader = _Reader(num_seconds, height, width)
    for region in result:
        reader.take(region)
    return reader.finished()


class _Reader:
    """Collects the regions of one annotation."""

    def __init__(self, num_seconds: int, height: int, width: int) -> None:
        self._num_seconds, self._height, self._width = num_seconds, height, width
        self._found = ReadResult()
        self._labels: dict[tuple[str, int], str] = {}
        self._strokes: dict[tuple[str, int], tuple[object, object, object, object]] = {}
        self._spans: dict[str, list[Interval]] = defaultdict(list)

    def take(self, received: object) -> None:
        region = _fields(received)
        value = _fields(region.get("value")) if region is not None else None
        if region is None or value is None:
            self._tell("not_a_region", f"left out, no region: {received!r:.80}")
            return
        kind = region.get("type")
        match kind:
            case "timelinelabels":
                self._take_spans(value)
            case "brush" | "labels" | "brushlabels":
                self._take_stroke(region, value)
            case "choices":
                self._take_choices(region.get("from_name"), value.get("choices"))
            case "textarea":
                self._take_text(region.get("from_name"), value.get("text"))
            case "keypoint" | "rectangle" | "keypointlabels" | "rectanglelabels":
                self._tell("prompt_left", _PROMPT_LEFT, region)
            case _:
                self._tell("foreign_region", f"left out: a region of the type {kind!r:.40}", region)

    def finished(self) -> ReadResult:
        self._merge_strokes()
        self._found.off_screen = merged(self._spans.pop(OFF_SCREEN, ()))
        self._spans.pop(SILENCE, None)
        self._found.intervals = {label: merged(spans) for label, spans in sorted(self._spans.items())}
        return self._found

    def _take_spans(self, value: Mapping[str, object]) -> None:
        label, ranges = _only_text(value.get("timelinelabels")), value.get("ranges")
        if label is None or not isinstance(ranges, list):
            self._tell("span_without_label", "left out: a span of sound without a label")
            return
        for span in ranges:
            first, last = (
                (fields.get("start"), fields.get("end")) if (fields := _fields(span)) is not None else (None, None)
            )
            if not _is_whole(first) or not _is_whole(last) or not 1 <= first <= last or first > self._num_seconds:
                self._tell("bad_span", f"left out: a span from {first!r:.20} to {last!r:.20}", identity=label)
                continue
            self._spans[label].append(Interval(start_s=first - 1, end_s=min(last, self._num_seconds)))

    def _take_stroke(self, region: Mapping[str, object], value: Mapping[str, object]) -> None:
        page = region.get("item_index", 0 if self._num_seconds == 1 else None)
        if not _is_whole(page) or not 0 <= page < self._num_seconds:
            self._tell("bad_page", f"left out: a mask on page {page!r:.20} of {self._num_seconds}", region)
            return
        key = (str(region.get("id")), page)
        label = _only_text(value.get("labels")) or _only_text(value.get("brushlabels"))
        if label is not None:
            self._labels[key] = label
        if "rle" in value or "touches" in value:
            size = region.get("original_height"), region.get("original_width")
            drawn = (*size, value.get("rle", []), value.get("touches", []))
            self._strokes.setdefault(key, drawn)  # a submitted mask comes twice
        elif region.get("type") == "labels" and "width" in value:
            self._tell("prompt_left", _PROMPT_LEFT, region)

    def _merge_strokes(self) -> None:
        masks: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
        for key, drawn in self._strokes.items():
            label, frame = self._labels.get(key), key[1]
            if label is None:
                self._tell("no_label", "left out: a mask without a label", frame=frame)
                continue
            mask_HW = self._decoded(drawn, label, frame)
            if mask_HW is not None:
                masks[label, frame].append(mask_HW)
        for (label, frame), strokes in sorted(masks.items()):
            self._keep(label, frame, strokes)

    def _decoded(self, drawn: tuple[object, object, object, object], label: str, frame: int) -> np.ndarray | None:
        height, width, brush, touches = drawn
        try:
            if (height, width) != (self._height, self._width):
                raise DataError(f"of {height!r:.10} x {width!r:.10}, the still has {self._height} x {self._width}")
            if not isinstance(brush, list):
                raise DataError(f"{brush!r:.40} is no list of bytes")
            is_new = not brush and bool(touches)  # drawn since the page was opened: strokes alone
            empty = np.zeros((self._height, self._width), dtype=np.bool_)
            before = empty if is_new else decode_brush(brush, height=self._height, width=self._width)
            mask_HW: np.ndarray = with_strokes(before, touches)
        except DataError as error:
            self._tell("bad_mask", f"left out, cannot be read: {error}", identity=label, frame=frame)
            return None
        return mask_HW

    def _keep(self, label: str, frame: int, strokes: list[np.ndarray]) -> None:
        filled = [stroke for stroke in strokes if stroke.any()]
        if not filled:
            self._tell("empty_mask", "left out: a mask without any pixel", identity=label, frame=frame)
            return
        if len(filled) > 1:
            message = f"{len(filled)} masks of one object on a still were put together"
            self._tell("several_masks", message, identity=label, frame=frame)
        whole = np.logical_or.reduce(filled)
        if (pixels := int(whole.sum())) < SPECK_PX:
            self._tell("speck", f"a mask of {pixels} pixel(s)", identity=label, frame=frame)
        self._found.masks[label, frame] = DrawnMask(encode(whole), len(filled))

    def _take_choices(self, name: object, choices: object) -> None:
        chosen = [choice for choice in choices if isinstance(choice, str)] if isinstance(choices, list) else []
        if name == REASON:
            self._found.reasons = tuple(dict.fromkeys(chosen))
        elif name == VERDICT and len(chosen) == 1 and chosen[0] in set(Verdict):
            self._found.verdict = Verdict(chosen[0])
        else:
            self._tell("bad_choice", f"left out: {name!r:.40} = {choices!r:.80}")

    def _take_text(self, name: object, text: object) -> None:
        lines = [text] if isinstance(text, str) else text
        if name == NOTE and isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            self._found.note = "\n".join([*([self._found.note] if self._found.note else []), *lines])
        else:
            self._tell("foreign_region", f"left out: text {name!r:.40}")

    def _tell(
        self,
        kind: str,
        message: str,
        region: Mapping[str, object] | None = None,
        *,
        identity: str | None = None,
        frame: int | None = None,
    ) -> None:
        page = region.get("item_index") if region is not None else None
        if frame is None and _is_whole(page):
            frame = max(0, page)
        problem = ClipProblem(kind=kind, identity=identity, frame=frame, message=message)
        if problem not in self._found.problems:  # a prompt comes twice: as itself and as its label
            self._found.problems.append(problem)


def _without_double(pair: list[Region]) -> list[Region]:
    """A prediction whose label regions leave the mask out: half the bytes, and the page opens the same."""
    brush, label = pair
    return [brush, {**label, "value": {"labels": label["value"]["labels"]}}]


def _end(intervals: Iterable[Interval]) -> int:
    return max((int(np.ceil(interval.end_s)) for interval in intervals), default=0)


def _fields(received: object) -> Mapping[str, object] | None:
    return received if isinstance(received, dict) else None


def _only_text(values: object) -> str | None:
    return values[0] if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str) else None


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
