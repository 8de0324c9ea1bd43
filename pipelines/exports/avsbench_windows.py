"""Clips of five seconds, cut from longer ones, for an export in AVSBench's layout.

A clip is gone through from its start: the first five seconds that are fit become one, and the search goes on after
them. So windows do not overlap, and what is between them is left out. Fit is, for MS3, five seconds in which something
sounds; for S4, five seconds in which exactly one category sounds, and sounds in the first, the only one that is
labelled in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from avis_data.formats.avsbench import NUM_FRAMES, AvsbenchClip, AvsbenchName
from avis_data.pipelines.exports.inputs import ExportClip
from avis_data.splits import SplitClip

__all__ = ["Window", "windows_of"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """Seconds [start, start + 5) of a clip."""

    item: ExportClip
    start: int
    categories: tuple[str, ...]
    """What sounds in it, sorted."""

    @property
    def name(self) -> str:
        """The clip's id and the second that it starts with."""
        return f"{self.item.clip.clip_id}_{self.start}"

    @property
    def seconds(self) -> range:
        """Of the clip."""
        return range(self.start, self.start + NUM_FRAMES)

    def row(self, dataset: AvsbenchName, split: str) -> AvsbenchClip:
        """Its row of the table."""
        return AvsbenchClip(
            name=self.name,
            start_s=self.item.clip.start_s + self.start,
            category=self.categories[0] if dataset == "avsbench-s4" else "",
            split=split,
        )

    def for_split(self) -> SplitClip:
        """What the division into splits looks at."""
        sounding = [sum(track.masks[t] is not None for track in self.item.tracks) for t in self.seconds]
        return SplitClip(
            clip_id=self.name,
            video_id=self.item.clip.video_id,
            group=self.item.group,
            categories=self.categories,
            num_tracks=sum(any(track.masks[t] is not None for t in self.seconds) for track in self.item.tracks),
            seconds=(sounding.count(0), sounding.count(1), sum(number > 1 for number in sounding)),
        )


def windows_of(item: ExportClip, dataset: AvsbenchName) -> Iterator[Window]:
    """The windows of a clip, in order; a clip of less than five seconds, or where nothing sounds, has none."""
    start = 0
    while start + NUM_FRAMES <= item.clip.num_seconds:
        heard = [
            {track.track.category for track in item.tracks if track.masks[second] is not None}
            for second in range(start, start + NUM_FRAMES)
        ]
        categories = set().union(*heard)
        fit = bool(categories) if dataset == "avsbench-ms3" else len(categories) == 1 and bool(heard[0])
        if fit:
            yield Window(item=item, start=start, categories=tuple(sorted(categories)))
        start += NUM_FRAMES if fit else 1
