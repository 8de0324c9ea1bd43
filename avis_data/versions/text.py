"""Changes in words: a table for a terminal, and a page of Markdown that goes with a new version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from avis_data.metrics.text_tables import percent, text_table
from avis_data.versions.changes import IOU_BINS, Changes, TrackChange, VideoChange
from avis_data.versions.scores import ScoreChange

__all__ = ["MOST_LINES", "changes_table", "markdown", "score_table", "track_words", "video_words"]

MOST_LINES = 40
"""Videos that are named on a terminal; `--json`, `--html` and `--save` have all."""


def changes_table(changes: Changes) -> str:
    """What a terminal shows."""
    if changes.is_empty:
        return "both versions say the same"
    parts = [text_table(["", "added", "removed", "changed", "same"], _count_rows(changes))]
    parts += list(_remarks(changes))
    different = [video for video in changes.videos if video.kind != "same"]
    parts += [f"{video.name}: {video_words(video)}" for video in different[:MOST_LINES]]
    if len(different) > MOST_LINES:
        parts.append(f"... and {len(different) - MOST_LINES} more video(s): --json, --html FILE or --save FILE has all")
    return "\n".join(parts)


def score_table(score: ScoreChange) -> str:
    """Figures under both versions, in percent."""
    rows = [
        [name, percent(score.before[name]), percent(score.common_before[name]), percent(score.common_after[name])]
        for name in score.before
    ]
    head = [f"{score.results.name} on {score.split}", f"old ({score.num_old})"]
    return text_table([*head, f"old, common ({score.num_common})", f"new, common ({score.num_common})"], rows)


def markdown(changes: Changes, *, title: str) -> str:
    """The page of changes that goes with a version."""
    lines = [f"# {title}", ""]
    if changes.is_empty:
        return "\n".join([*lines, "The truth is the same.", ""])
    lines += ["| | added | removed | changed | same |", "|---|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join(row) + " |" for row in _count_rows(changes)]
    lines += ["", *(f"- {remark}" for remark in _remarks(changes)), ""]
    for kind in ("added", "removed", "changed"):
        videos = [video for video in changes.videos if video.kind == kind]
        if videos:
            lines += [f"## Videos {kind}", ""]
            lines += [f"- `{video.name}`: {video_words(video)}" for video in videos] + [""]
    return "\n".join(lines)


def video_words(video: VideoChange) -> str:
    """What happened to one video, in one line."""
    if video.kind in ("added", "removed"):
        return f"{video.kind} ({video.new_split or video.old_split}, {len(video.tracks)} track(s))"
    words = []
    if video.old_split != video.new_split:
        words.append(f"moved from {video.old_split} to {video.new_split}")
    words += [f"other {name}" for name in video.fields]
    if not video.compared:
        words.append("masks cannot be compared")
    words += [f"{_listed(old)} became one track ({new})" for old, new in video.merged]
    words += [f"track {old} became {_listed(new)}" for old, new in video.divided]
    words += [track_words(track) for track in video.tracks if track.kind != "same"]
    return "; ".join(words) or "the same"


def track_words(track: TrackChange) -> str:
    """What happened to one track."""
    if track.old_id is None:
        return f"{track.new_category} {track.new_id} added ({track.masks_added} mask(s))"
    if track.new_id is None:
        return f"{track.old_category} {track.old_id} removed ({track.masks_removed} mask(s))"
    words = [f"{track.old_category} {track.old_id}"]
    if track.old_category != track.new_category:
        words.append(f"is {track.new_category}")
    masks = [
        f"{count} {name}"
        for name, count in (
            ("added", track.masks_added),
            ("removed", track.masks_removed),
            ("changed", track.masks_changed),
        )
        if count
    ]
    if masks:
        words.append(f"masks {', '.join(masks)}")
    if track.masks_changed and track.mean_iou is not None:
        words.append(f"mean IoU {track.mean_iou:.2f}")
    words += [
        f"{name} {shift:+g} s"
        for name, shift in (("onset", track.onset_shift_s), ("offset", track.offset_shift_s))
        if shift
    ]
    if track.seconds_added or track.seconds_removed:
        words.append(f"sounds +{track.seconds_added:g}/-{track.seconds_removed:g} s")
    return ", ".join(words) if len(words) > 1 else f"{words[0]} changed"


def _count_rows(changes: Changes) -> list[list[str]]:
    names = {"videos": "videos", "tracks": "tracks", "masks": "masks", "sounding_seconds": "sounding seconds"}
    kinds = ("added", "removed", "changed", "same")
    counts = changes.counts
    return [
        [title, *(f"{counts[name][k]:,g}" if k in counts[name] else "" for k in kinds)] for name, title in names.items()
    ]


def _remarks(changes: Changes) -> Iterator[str]:
    counts = changes.counts
    for what, names in (
        ("categories added", changes.categories_added),
        ("categories removed", changes.categories_removed),
        ("categories with another id", changes.categories_renumbered),
    ):
        if names:
            yield f"{what}: {', '.join(names)}"
    for count, words in (
        (counts["videos"]["moved"], "video(s) are in another split"),
        (counts["tracks"]["other_category"], "track(s) have another category"),
        (counts["tracks"]["merged"], "time(s) several tracks became one"),
        (counts["tracks"]["divided"], "time(s) one track became several"),
    ):
        if count:
            yield f"{count:g} {words}"
    if any(changes.iou_histogram):
        bins = [f"{n / IOU_BINS:.1f}: {count}" for n, count in enumerate(changes.iou_histogram) if count]
        yield f"IoU of changed masks with the old ones, from: {', '.join(bins)}"
    shifts = [abs(track.onset_shift_s) for video in changes.videos for track in video.tracks if track.onset_shift_s]
    if shifts:
        mean_s, most_s = sum(shifts) / len(shifts), max(shifts)
        yield f"onsets: {len(shifts)} shifted, by {mean_s:.2f} s in the mean, {most_s:g} s at most"


def _listed(ids: Iterable[int]) -> str:
    return f"tracks {' and '.join(map(str, ids))}"
