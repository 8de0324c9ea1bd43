"""A clip as an AFCV watches it, frame after frame. Of the frames before it knows each track's last detection.

Shapes: D detections of a frame, H, W pixels at network size, M = 64 bands and moments of a slice of sound.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from avis_data.training.models.afcv.config import DetectionOptions
from avis_data.training.models.afcv.detections import found_masks, found_objects
from avis_data.training.models.afcv.fcos_head import FcosOutput
from avis_data.training.models.afcv.tracker import SimilarityTracker
from avis_data.training.models.frames import padded_size
from avis_data.training.models.inference import MaskSizes
from avis_data.training.models.online import SeenObject

__all__ = ["AfcvStream"]

Look = Callable[[Tensor, Tensor | None], tuple[FcosOutput, Tensor]]


class AfcvStream:
    """One clip. The score of a track is the mean of its detections'."""

    def __init__(self, look: Look, size_hw: tuple[int, int], options: DetectionOptions) -> None:
        """`look` gives heads and mask features of a frame; `size_hw` is what masks are wanted at."""
        self._look = look
        self._size = size_hw
        self._options = options
        self._tracker = SimilarityTracker(options.link, options.remembered_tracks)
        self._scores: dict[int, tuple[float, int]] = {}
        """Sum and number of the detections of each track that is remembered."""

    def step(self, frame_3HW: Tensor, audio: Tensor | None) -> list[SeenObject]:
        """The objects of the next frame.

        Args:
            frame_3HW: RGB, uint8, not padded.
            audio: its slice of sound (M, M); None without.
        """
        heads, features = self._look(frame_3HW, audio)
        network = (frame_3HW.shape[1], frame_3HW.shape[2])
        sizes = MaskSizes(padded=padded_size(network), network=network, original=self._size)
        found = found_objects(heads, sizes, self._options)
        tracks = self._tracker.step(found.detections)
        kept = [place for place, track in enumerate(tracks) if track is not None]
        masks = found_masks(heads, features, found.cell_D[kept], sizes)
        seen = []
        for place, mask in zip(kept, masks, strict=True):
            track = tracks[place]
            assert track is not None  # only those were kept
            score = self._mean_score(track, float(found.detections.score_D[place]))
            label = int(found.detections.label_D[place])
            seen.append(SeenObject(identity=track, label=label, score=score, mask=mask))
        self._scores = {track: self._scores[track] for track in self._tracker.known}
        return seen

    def _mean_score(self, track: int, score: float) -> float:
        total, count = self._scores.get(track, (0.0, 0))
        self._scores[track] = (total + score, count + 1)
        return (total + score) / (count + 1)
