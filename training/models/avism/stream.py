"""One clip as AVISM watches it frame by frame: ours, the causal form of a model that was made for whole clips.

The tracker hears and sees the frames up to the present one, and of what it says the mask of this frame is kept. Video
queries are learnt, so a query is the same track from frame to frame. What it remembers are the frame queries and the
sounds of the last frames.

Shapes: N frames, Q frame queries, K classes, C channels, A audio channels, h, w cells at stride 4, H, W pixels at
    network size.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from avis_data.errors import DataError
from avis_data.masks.rle import area
from avis_data.training.models.avism.config import AvismConfig
from avis_data.training.models.avism.tracker import Tracker, VideoHead
from avis_data.training.models.frames import padded_size
from avis_data.training.models.inference import MaskCollector, MaskSizes, top_candidates
from avis_data.training.models.online import SeenObject
from avis_data.training.models.spec import PredictOptions

__all__ = ["AvismStream", "LookedAt", "WatchingNetwork"]


@dataclass(frozen=True, kw_only=True)
class LookedAt:
    """What the model finds in frames by themselves."""

    queries_NQC: Tensor
    """Their frame queries."""
    pixels_NChw: Tensor
    """Their part of the map that masks are made of."""
    heard_NK: Tensor
    """How probable each class is in each of them; on the CPU."""


class WatchingNetwork(Protocol):
    """The model, as a stream uses it."""

    tracker: Tracker
    config: AvismConfig

    def look(self, frames_N3HW: Tensor, audio_NA: Tensor | None) -> LookedAt:
        """Some frames by themselves."""


class AvismStream:
    """One clip. Score of a track: its class probability by now, times the mean of its mask scores so far."""

    def __init__(self, network: WatchingNetwork, size_hw: tuple[int, int], options: PredictOptions) -> None:
        """`size_hw`: what masks are wanted at."""
        self._network = network
        self._size = size_hw
        self._options = options
        self._queries: deque[Tensor] = deque(maxlen=options.stream_frames)
        self._sounds: deque[Tensor] = deque(maxlen=options.stream_frames)
        self._identities: dict[int, int] = {}
        """By query and class, in order of their first appearance."""
        self._scores: dict[int, tuple[float, int]] = {}
        """Mask scores of a query added up, and of how many frames."""

    @torch.no_grad()
    def step(self, frame_3HW: Tensor, audio: Tensor | None) -> list[SeenObject]:
        """The objects of the next frame.

        Args:
            frame_3HW: RGB, uint8, not padded.
            audio: its audio vector (A,); None for a model that does not hear.

        Raises:
            DataError: if the model hears, and the frame has no sound.
        """
        device = self._network.tracker.input_proj.weight.device
        audio_1A = self._heard(audio, device)
        frame = self._network.look(frame_3HW[None].to(device), audio_1A)
        self._queries.append(frame.queries_NQC)
        if audio_1A is not None:
            self._sounds.append(audio_1A)
        audio_1TA = torch.cat(list(self._sounds))[None] if self._sounds else None
        head = self._network.tracker(torch.cat(list(self._queries))[None, None], audio_1TA).heads[-1]
        network = (frame_3HW.shape[1], frame_3HW.shape[2])
        sizes = MaskSizes(padded=padded_size(network), network=network, original=self._size)
        return self._seen(head, frame, sizes)

    def _heard(self, audio: Tensor | None, device: torch.device) -> Tensor | None:
        if not self._network.config.needs_audio:
            return None
        if audio is None:
            raise DataError("a frame without sound", hint="AVISM hears all frames, or none")
        return audio[None].to(device)

    def _seen(self, head: VideoHead, frame: LookedAt, sizes: MaskSizes) -> list[SeenObject]:
        options = self._options
        found = top_candidates(head.logits_LBPK[0, 0], options.top_k)
        hopeful = [place for place, sure in enumerate(found.probability) if sure > options.score_threshold]
        queries = sorted({found.query[place] for place in hopeful})
        collector = MaskCollector(head.mask_embed_LBPC[0, 0, queries], sizes)
        collector.add(frame.pixels_NChw)
        shares = {query: self._mask_score(query, collector.score(place)) for place, query in enumerate(queries)}
        seen = []
        for place in hopeful:
            query, label = found.query[place], found.label[place]
            score = found.probability[place] * shares[query]
            mask = collector.masks(queries.index(query))[0]
            if score <= options.score_threshold or not area(mask) or not self._sounds_now(head, frame, query, label):
                continue
            identity = self._identities.setdefault(found.index[place], len(self._identities))
            seen.append(SeenObject(identity=identity, label=label, score=score, mask=mask))
        return seen

    def _mask_score(self, query: int, score: float) -> float:
        """The mean over the frames so far in which the query had a mask."""
        total, count = self._scores.get(query, (0.0, 0))
        if score:
            self._scores[query] = total, count = total + score, count + 1
        return total / max(count, 1)

    def _sounds_now(self, head: VideoHead, frame: LookedAt, query: int, label: int) -> bool:
        gate = self._options.frame_gate
        if gate is None:
            return True
        return float(head.sound_of(query, label, frame.heard_NK, self._options.gate_by)[-1]) > gate
