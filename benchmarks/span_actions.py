"""What suggested spans of sound cost a person of open-15: to take a wrong one away is two actions, to draw one is one.

    python -m benchmarks.span_actions --media DIR

DIR holds the clips, named by `video_id`. Two kinds of pages: with the masks of the truth, where everybody gets a span,
or only who alone can have been it, or nobody; and without masks, where the first object of the only category that the
list names gets it, or that unless it is people, or nobody. A span counts as right if it begins and ends as the truth.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from avis_data.annotation.labels.states import intervals_from_seconds
from avis_data.annotation.labels.what_is_heard import Heard, Listeners, clip_heard, find_listeners
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.features.sound_classes import is_voice
from avis_data.formats.ytvis import YtvisTrack, read_ytvis
from benchmarks.open15 import TRUTH, prepared

Spans = set[tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    arguments = parser.parse_args()
    truth = read_ytvis(TRUTH)
    names = {item.id: item.name for item in truth.categories}
    print("| heard by | page | who gets a span | spans | right | actions |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        labels = WorkspaceLabels(prepared(Path(folder), arguments.media.resolve()))
        for by, listeners in (("loudness", Listeners()), ("speech too", find_listeners())):
            counts: dict[tuple[str, str], Counter[str]] = {}
            for video in truth.videos:
                clip = labels.clips[video.name]
                heard = clip_heard(
                    labels.workspace,
                    clip.clip_id,
                    clip.num_seconds,
                    categories=labels.categories,
                    listeners=listeners,
                )
                tracks = [track for track in truth.tracks if track.video_id == video.video_id and any(track.masks)]
                for page, given in (
                    ("masks", with_masks(heard, tracks, names)),
                    ("none", without(heard, tracks, names)),
                ):
                    for who, spans in given.items():
                        counts.setdefault((page, who), Counter()).update(cost(spans, tracks))
            for (page, who), count in counts.items():
                print(f"| {by} | {page} | {who} | {count['spans']} | {count['right']} | {count['actions']} |")


def with_masks(heard: Heard, tracks: Sequence[YtvisTrack], names: dict[int, str]) -> dict[str, list[Spans]]:
    """The spans of each track, by who gets one."""
    kinds = [names[track.category_id] for track in tracks]
    found = [
        spans_of([heard.of(kind)[second] and mask is not None for second, mask in enumerate(track.masks)])
        for track, kind in zip(tracks, kinds, strict=True)
    ]
    is_alone = [sum(heard.is_alike(kind, other) for other in kinds) == 1 for kind in kinds]
    alone = [spans if only else set() for spans, only in zip(found, is_alone, strict=True)]
    return {"everybody": found, "who alone can have been it": alone, "nobody": [set() for _ in tracks]}


def without(heard: Heard, tracks: Sequence[YtvisTrack], names: dict[int, str]) -> dict[str, list[Spans]]:
    """The same where no mask is known; the object that is heard first has the first label, which favours a guess."""
    listed = {names[track.category_id] for track in tracks}
    order = sorted(range(len(tracks)), key=lambda place: not any(tracks[place].sounding or ()))
    first: list[Spans] = [set() for _ in tracks]
    if len(listed) == 1:
        first[order[0]] = spans_of(heard.of(*listed))
    nobody: list[Spans] = [set() for _ in tracks]
    things = nobody if any(map(is_voice, listed)) else first
    return {"the first of the only category": first, "the same, but people": things, "nobody": nobody}


def cost(given: Sequence[Spans], tracks: Sequence[YtvisTrack]) -> Counter[str]:
    """Spans that were given, those that are right, and actions until all are."""
    found: Counter[str] = Counter(spans=0, right=0, actions=0)
    for spans, track in zip(given, tracks, strict=True):
        wanted = spans_of([bool(flag) for flag in track.sounding or ()])
        found.update(spans=len(spans), right=len(spans & wanted))
        found.update(actions=2 * len(spans - wanted) + len(wanted - spans))
    return found


def spans_of(heard: Sequence[bool]) -> Spans:
    """Begin and end of each run of seconds."""
    return {(span.start_s, span.end_s) for span in intervals_from_seconds(heard)}


if __name__ == "__main__":
    main()
