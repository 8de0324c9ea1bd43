"""What is said of a whole set, counted while its clips go by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.spec import Clips

__all__ = ["UNDIVIDED", "Counted"]

UNDIVIDED = "clips"
"""What clips of no split are called."""


@dataclass(kw_only=True)
class Counted:
    """Sums over the clips that were added."""

    splits: dict[str, Counter[str]] = field(default_factory=dict)
    """For each split: clips, stills, tracks, masks, and masks that are of something that sounds, is silent, or of
    which nobody said so."""
    categories: Counter[str] = field(default_factory=Counter)
    """Tracks of each."""
    licenses: Counter[str] = field(default_factory=Counter)
    """Clips of each; "": of which nobody said it."""
    num_without_truth: int = 0
    num_without_sound: int = 0

    def over(self, clips: Clips) -> Iterator[LabelledClip]:
        """The clips, each added as it goes by."""
        for clip in clips():
            self.add(clip)
            yield clip

    def add(self, clip: LabelledClip) -> None:
        """Count a clip."""
        counts = self.splits.setdefault(clip.split or "", Counter())
        flags = [
            track.sounding[place] for track in clip.tracks for place, mask in enumerate(track.masks) if mask is not None
        ]
        counts["clips"] += 1
        counts["stills"] += len(clip.stills)
        counts["tracks"] += len(clip.tracks)
        counts["masks"] += len(flags)
        counts["sounding"] += flags.count(True)
        counts["silent"] += flags.count(False)
        self.categories.update(track.category or "unknown" for track in clip.tracks)
        self.licenses[clip.license or ""] += 1
        self.num_without_truth += not clip.has_truth
        self.num_without_sound += clip.sound is None

    def total(self, name: str) -> int:
        """A count over all splits."""
        return sum(counts[name] for counts in self.splits.values())
