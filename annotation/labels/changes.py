"""What is different between two states of a clip's labels, track by track and still by still."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from avis_data.annotation.labels.matching import match_tracks
from avis_data.annotation.labels.records import Interval, LabelledClip, LabelledTrack
from avis_data.masks.rle import Rle, decode

__all__ = ["LabelChanges", "TrackChange", "changes_between"]


@dataclass(frozen=True, kw_only=True)
class TrackChange:
    """One object before and after; only what differs is said."""

    identity: str
    """Its name after, or where it was removed, before."""
    change: str
    """`added`, `removed` or `changed`."""
    renamed_from: str | None
    """Its name before, where that is another."""
    masks_added: tuple[int, ...]
    """Stills."""
    masks_removed: tuple[int, ...]
    masks_changed: Mapping[int, float]
    """Still -> IoU of the two masks, for those that are not the same pixel by pixel."""
    sounding_before_s: tuple[tuple[float, float], ...]
    """Spans; both are empty where nothing changed."""
    sounding_after_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class LabelChanges:
    """All that differs between two states of a clip."""

    tracks: tuple[TrackChange, ...]
    off_screen_before_s: tuple[tuple[float, float], ...] | None
    """None where it is the same."""
    off_screen_after_s: tuple[tuple[float, float], ...] | None

    def __bool__(self) -> bool:
        return bool(self.tracks) or self.off_screen_after_s is not None

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """One line for each track, for people to read; pages count from 1."""
        lines = [_line(track) for track in self.tracks]
        if self.off_screen_before_s is not None and self.off_screen_after_s is not None:
            lines.append(f"off-screen sound {_text(self.off_screen_before_s)} -> {_text(self.off_screen_after_s)}")
        return lines


def changes_between(before: LabelledClip, after: LabelledClip) -> LabelChanges:
    """What somebody changed.

    Tracks of one name and category are the same object; the others are matched by their masks and sound, so a new name
    is told as such.

    Raises:
        DataError: if the clips differ in length or size, or a mask is corrupt.
    """
    pairs, removed, added = _same_tracks(before, after)
    found = [_changed(old, new) for old, new in pairs]
    found += [_whole(track, "removed") for track in removed]
    found += [_whole(track, "added") for track in added]
    same_off_screen = before.off_screen == after.off_screen
    return LabelChanges(
        tracks=tuple(sorted((item for item in found if item is not None), key=lambda item: item.identity)),
        off_screen_before_s=None if same_off_screen else _spans(before.off_screen),
        off_screen_after_s=None if same_off_screen else _spans(after.off_screen),
    )


def _same_tracks(
    before: LabelledClip, after: LabelledClip
) -> tuple[list[tuple[LabelledTrack, LabelledTrack]], list[LabelledTrack], list[LabelledTrack]]:
    old = {(track.identity, track.category): track for track in before.tracks}
    new = {(track.identity, track.category): track for track in after.tracks}
    pairs = [(old[key], new[key]) for key in old if key in new]
    rest_old = before.model_copy(update={"tracks": tuple(old[key] for key in old if key not in new)})
    rest_new = after.model_copy(update={"tracks": tuple(new[key] for key in new if key not in old)})
    found = match_tracks(rest_old, rest_new)
    pairs += [(rest_old.tracks[i], rest_new.tracks[j]) for i, j in found.pairs]
    return pairs, [rest_old.tracks[i] for i in found.only_a], [rest_new.tracks[j] for j in found.only_b]


def _changed(old: LabelledTrack, new: LabelledTrack) -> TrackChange | None:
    before, after = old.rle_by_frame(), new.rle_by_frame()
    differing = {frame: _iou(before[frame], after[frame]) for frame in sorted(before.keys() & after.keys())}
    same_sound = old.intervals == new.intervals
    change = TrackChange(
        identity=new.identity,
        change="changed",
        renamed_from=old.identity if old.identity != new.identity else None,
        masks_added=tuple(sorted(after.keys() - before.keys())),
        masks_removed=tuple(sorted(before.keys() - after.keys())),
        masks_changed={frame: iou for frame, iou in differing.items() if iou < 1},
        sounding_before_s=() if same_sound else _spans(old.intervals),
        sounding_after_s=() if same_sound else _spans(new.intervals),
    )
    is_same = same_sound and not (
        change.renamed_from or change.masks_added or change.masks_removed or change.masks_changed
    )
    return None if is_same else change


def _whole(track: LabelledTrack, change: str) -> TrackChange:
    seconds = tuple(sorted(mask.frame for mask in track.masks))
    was_there = change == "removed"
    return TrackChange(
        identity=track.identity,
        change=change,
        renamed_from=None,
        masks_added=() if was_there else seconds,
        masks_removed=seconds if was_there else (),
        masks_changed={},
        sounding_before_s=_spans(track.intervals) if was_there else (),
        sounding_after_s=() if was_there else _spans(track.intervals),
    )


def _iou(a: Rle, b: Rle) -> float:
    if a == b:
        return 1.0
    a_HW, b_HW = decode(a), decode(b)
    return float((a_HW & b_HW).sum() / (a_HW | b_HW).sum())


def _spans(intervals: Iterable[Interval]) -> tuple[tuple[float, float], ...]:
    return tuple((span.start_s, span.end_s) for span in intervals)


def _line(track: TrackChange) -> str:
    parts = []
    if track.renamed_from:
        parts.append(f"was {track.renamed_from}")
    for seconds, what in ((track.masks_added, "added"), (track.masks_removed, "removed")):
        if seconds:
            parts.append(f"{len(seconds)} mask(s) {what} (page {_pages(seconds)})")
    if track.masks_changed:
        mean = sum(track.masks_changed.values()) / len(track.masks_changed)
        parts.append(f"{len(track.masks_changed)} mask(s) changed (page {_pages(track.masks_changed)}, IoU {mean:.2f})")
    if track.sounding_before_s != track.sounding_after_s:
        parts.append(f"sounds {_text(track.sounding_before_s)} -> {_text(track.sounding_after_s)}")
    return f"{track.identity} {track.change}" + (f": {'; '.join(parts)}" if parts else "")


def _pages(seconds: Iterable[int]) -> str:
    """`1-4, 7` of the seconds 0, 1, 2, 3, 6."""
    runs: list[list[int]] = []
    for frame in sorted(seconds):
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(f"{first + 1}" if first == last else f"{first + 1}-{last + 1}" for first, last in runs)


def _text(spans: Iterable[tuple[float, float]]) -> str:
    return ", ".join(f"{start_s:g}-{end_s:g} s" for start_s, end_s in spans) or "never"
