"""The page of what changed between two versions of a dataset."""

from __future__ import annotations

from pathlib import Path

from avis_data import __version__
from avis_data.io import write_text
from avis_data.report.html import document, large_figures, share_bar, table, text
from avis_data.versions.changes import IOU_BINS, Changes, VideoChange
from avis_data.versions.scores import ScoreChange
from avis_data.versions.text import video_words

__all__ = ["write_changes_page"]

_COLOURS = {"added": "var(--train)", "removed": "var(--test)", "changed": "var(--val)", "same": "var(--other)"}


def write_changes_page(changes: Changes, out: Path, *, score: ScoreChange | None = None) -> None:
    """Write one HTML file with all that changed, those videos first whose masks changed most.

    Raises:
        DataError: if the file cannot be written.
    """
    sections = [_header(changes), _counts(changes), _histogram(changes)]
    if score is not None:
        sections.append(_score(score))
    sections += [_videos(changes), f"<footer>Written by avis-data {text(__version__)}.</footer>"]
    write_text(out, document(f"{changes.new.name} · changes", sections))


def _header(changes: Changes) -> str:
    counts = changes.counts
    figures = [
        (f"{counts[what][kind]:,g}", f"{what} {kind}")
        for what in ("videos", "tracks", "masks")
        for kind in ("added", "removed", "changed")
    ]
    return (
        f"<header><h1>{text(changes.new.name)}</h1>"
        f'<p class="soft">What changed since {text(changes.old.name)}.</p>{large_figures(figures)}</header>'
    )


def _counts(changes: Changes) -> str:
    kinds = ("added", "removed", "changed", "same")
    rows = [
        (name.replace("_", " "), *(f"{of_kind[kind]:,g}" if kind in of_kind else "" for kind in kinds))
        for name, of_kind in changes.counts.items()
    ]
    categories = [
        (kind, ", ".join(names))
        for kind, names in (
            ("added", changes.categories_added),
            ("removed", changes.categories_removed),
            ("other id", changes.categories_renumbered),
        )
        if names
    ]
    more = table(("categories", "which"), categories, ends_in_words=True) if categories else ""
    return f"<h2>Counts</h2>{table(('', *kinds), rows)}{more}"


def _histogram(changes: Changes) -> str:
    most = max(changes.iou_histogram)
    if not most:
        return ""
    rows = "".join(
        f"<tr><td>{n / IOU_BINS:.1f} to {(n + 1) / IOU_BINS:.1f}</td><td>{count:,}</td>"
        f'<td style="width:60%">{share_bar([(count / most, _COLOURS["changed"], f"{count} masks")])}</td></tr>'
        for n, count in enumerate(changes.iou_histogram)
    )
    head = "<thead><tr><th>IoU with the old mask</th><th>masks</th><th></th></tr></thead>"
    return f'<h2>Changed masks</h2><div class="scroll"><table>{head}<tbody>{rows}</tbody></table></div>'


def _score(score: ScoreChange) -> str:
    rows = [
        (name, *(_percent(column[name]) for column in (score.before, score.common_before, score.common_after)))
        for name in score.before
    ]
    head = (
        "figure",
        f"old, {score.num_old} videos",
        f"old, {score.num_common} common",
        f"new, {score.num_common} common",
    )
    return f"<h2>Figures of {text(score.results.name)} on {text(score.split)}</h2>{table(head, rows)}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f}"


def _videos(changes: Changes) -> str:
    different = sorted(
        (video for video in changes.videos if video.kind != "same"), key=lambda video: (_worst_iou(video), video.name)
    )
    if not different:
        return "<h2>Videos</h2><p>Both versions say the same.</p>"
    rows = [
        (video.name, video.kind, video.new_split or video.old_split or "", video_words(video)) for video in different
    ]
    return f"<h2>Videos</h2>{table(('video', '', 'split', 'what'), rows, ends_in_words=True)}"


def _worst_iou(video: VideoChange) -> float:
    """Of its tracks; 1 for a video of which no mask is in both versions."""
    return min((track.mean_iou for track in video.tracks if track.mean_iou is not None), default=1.0)
