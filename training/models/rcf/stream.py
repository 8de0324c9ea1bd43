"""One clip as RCF watches it: what it remembers is the context, the last masks, and a few numbers per slot.

Shapes: C channels of stage 4, A values of an audio vector, Q slots, K classes, h, w cells, H, W pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avis_data.masks.rle import encode
from avis_data.training.models.frames import padded_size
from avis_data.training.models.inference import MaskSizes, original_masks
from avis_data.training.models.online import SeenObject
from avis_data.training.models.points import at_least_float32
from avis_data.training.models.rcf.config import RcfConfig
from avis_data.training.models.rcf.identities import SlotIdentities
from avis_data.training.models.rcf.network import Heard, SlotOutput

__all__ = ["FrameNetwork", "RcfStream", "fired_slots"]

Floats = NDArray[np.float64]


def fired_slots(
    output: SlotOutput, least_score: float, sizes: MaskSizes
) -> tuple[Floats, dict[int, NDArray[np.bool_]]]:
    """Class probabilities of all slots of one frame (Q, K), and the masks of those that fired.

    A slot fires if its highest class probability is at least the score; one with an empty mask does not.

    Source: RCF, inference; its specification, section 9.
    """
    probability_QK = at_least_float32(output.logits_LBQK[-1, 0]).softmax(-1)[:, :-1]
    fired = (probability_QK.amax(1) >= least_score).nonzero()[:, 0].tolist()
    found = original_masks(output.masks_LBQHW[-1, 0, fired], sizes).cpu().numpy()
    masks = {slot: mask for slot, mask in zip(fired, found, strict=True) if mask.any()}
    return probability_QK.double().cpu().numpy(), masks


class FrameNetwork(Protocol):
    """The model, as a stream uses it."""

    config: RcfConfig

    def look(self, frame_3hw: Tensor) -> tuple[Tensor, ...]:
        """The backbone's four maps of one frame, fine to coarse, each (1, C, h, w)."""

    def decide(self, target: Sequence[Tensor], references: Sequence[Tensor], heard: Heard | None) -> SlotOutput:
        """Classes and masks of one frame, from its maps and stage 4 of the references, the nearest first."""


class RcfStream:
    """One clip. Class and score of an object are those of the mean of its class probabilities so far."""

    def __init__(self, network: FrameNetwork, size_hw: tuple[int, int]) -> None:
        """`size_hw`: what masks are wanted at."""
        self._network = network
        self._config = network.config
        self._size = size_hw
        self._maps: deque[Tensor] = deque(maxlen=self._config.references)
        self._sounds: deque[Tensor | None] = deque(maxlen=self._config.references + 1)
        self._identities = SlotIdentities(self._config.slots.link)
        self._sums: dict[int, tuple[Floats, int]] = {}
        """Class probabilities of each identity added up, and of how many frames."""

    @torch.no_grad()
    def step(self, frame_3HW: Tensor, audio: Tensor | None) -> list[SeenObject]:
        """The objects of the next frame.

        Args:
            frame_3HW: RGB, uint8, not padded.
            audio: its audio vector (A,); None without sound.
        """
        maps = self._network.look(frame_3HW)
        output = self._network.decide(maps, self._references(maps[-1]), self._heard(audio, maps[-1].device))
        self._maps.append(maps[-1])
        network = (frame_3HW.shape[1], frame_3HW.shape[2])
        sizes = MaskSizes(padded=padded_size(network), network=network, original=self._size)
        probability, masks = fired_slots(output, self._config.slots.least_score, sizes)
        return self._seen(masks, {slot: probability[slot] for slot in masks})

    def _references(self, own: Tensor) -> list[Tensor]:
        """Stage 4 of the frames before, the nearest first; before the first frame the clip stood still."""
        known = [*reversed(self._maps)] or [own]
        return [known[min(back, len(known) - 1)] for back in range(self._config.references)]

    def _heard(self, audio: Tensor | None, device: torch.device) -> Heard | None:
        if not self._config.audio:
            return None
        self._sounds.append(audio)
        known = [self._sounds[0]] * (self._config.references + 1 - len(self._sounds)) + [*self._sounds]
        silence = torch.zeros(self._config.audio_channels)
        return Heard(
            audio_BRA=torch.stack([(silence if sound is None else sound).to(device) for sound in known])[None],
            valid_BR=torch.tensor([[sound is not None for sound in known]], device=device),
        )

    def _seen(self, masks: dict[int, NDArray[np.bool_]], probability: dict[int, Floats]) -> list[SeenObject]:
        identities = self._identities.step(masks)
        seen = []
        for slot, identity in identities.items():
            total, count = self._sums.get(identity, (np.zeros_like(probability[slot]), 0))
            self._sums[identity] = (total + probability[slot], count + 1)
            mean_K = (total + probability[slot]) / (count + 1)
            label = int(mean_K.argmax())
            score, mask = float(mean_K[label]), encode(masks[slot])
            seen.append(SeenObject(identity=identity, label=label, score=score, mask=mask))
        self._sums = {identity: self._sums[identity] for identity in self._identities.known}
        return seen
