"""Where RCF looks: the last encoder layer between picture and sound, the last decoder layer from the slots that fired.

Source: Li et al., "Online Video Instance Segmentation via Robust Context Fusion" (arXiv 2207.05580), whose figures show
the attention of all heads; which layer they are of is our choice.

Shapes: M heads, Q slots, S tokens, h, w cells at stride 32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from avis_data.training.data.clips import ClipSource
from avis_data.training.models.attention import Attention, AttentionBlock
from avis_data.training.models.attention_maps import AttentionMap, FiredSlot, FrameAttention, Kept, kept_inputs
from avis_data.training.models.frames import padded_size
from avis_data.training.models.inference import MaskSizes
from avis_data.training.models.rcf.model import Rcf
from avis_data.training.models.rcf.network import Heard, SlotOutput
from avis_data.training.models.rcf.stream import RcfStream, fired_slots

__all__ = ["rcf_attention"]


def rcf_attention(model: nn.Module, clip: ClipSource) -> Iterator[FrameAttention]:
    """What an RCF in evaluation mode looks at in each frame of a clip, in order.

    `sound to picture`: how the token of the frame's sound spreads its attention over the cells; `picture to sound`: how
    much of its attention each cell gives to the tokens of sound (both in frames with sound). `slot 3`: how a slot that
    fired spreads its attention; the note says how much of it goes to references and sound instead.

    Raises:
        DataError: if a still is bad.
    """
    assert isinstance(model, Rcf)
    watched = _Watched(model)
    stream = RcfStream(watched, clip.size_hw)
    encoder, decoder = (_attention(blocks) for blocks in (model.network.encoder.attention, model.network.decoder.cross))
    with ExitStack() as stack:
        mixed, asked = (stack.enter_context(kept_inputs(attention)) for attention in (encoder, decoder))
        for place in range(clip.num_frames):
            frame_3HW = clip.frames(place, place + 1)[0]
            stream.step(frame_3HW, None if clip.audio_TA is None else clip.audio_TA[place])
            network = (frame_3HW.shape[1], frame_3HW.shape[2])
            sizes = MaskSizes(padded=padded_size(network), network=network, original=clip.size_hw)
            yield watched.frame(_weights(encoder, mixed), _weights(decoder, asked), sizes)


class _Watched:
    """An RCF for a stream, of which the last frame is remembered."""

    def __init__(self, model: Rcf) -> None:
        self._model = model
        self.config = model.config

    def look(self, frame_3hw: Tensor) -> tuple[Tensor, ...]:
        return self._model.look(frame_3hw)

    def decide(self, target: Sequence[Tensor], references: Sequence[Tensor], heard: Heard | None) -> SlotOutput:
        self._side_hw = (target[-1].shape[2], target[-1].shape[3])
        self._has_sound = heard is not None and bool(heard.valid_BR[0, -1])
        self._output = self._model.decide(target, references, heard)
        return self._output

    def frame(self, mixed_MSS: Tensor, asked_MQS: Tensor, sizes: MaskSizes) -> FrameAttention:
        """What was looked at in the last frame.

        Args:
            mixed_MSS: of the encoder: the cells of the frame first, its sound last.
            asked_MQS: of the decoder, over the same tokens, and over those that it alone sees.
        """
        cells = self._side_hw[0] * self._side_hw[1]
        sounds = slice(mixed_MSS.shape[2] - self.config.references - 1, mixed_MSS.shape[2])
        maps = []
        if self._has_sound:
            maps.append(self._map("sound to picture", mixed_MSS[:, -1, :cells]))
            maps.append(self._map("picture to sound", mixed_MSS[:, :cells, sounds].sum(2)))
        fired = []
        probability_QK, masks = fired_slots(self._output, self.config.slots.least_score, sizes)
        for slot in masks:
            of_slot_MS = asked_MQS[:, slot]
            sound = float(of_slot_MS[:, sounds].sum(1).mean()) if self.config.audio else 0.0
            context = 1.0 - float(of_slot_MS[:, :cells].sum(1).mean()) - sound
            note = f"references {100 * max(context, 0.0):.0f} %"
            note += f", sound {100 * sound:.0f} %" if self.config.audio else ""
            maps.append(self._map(f"slot {slot}", of_slot_MS[:, :cells], note))
            label = int(probability_QK[slot].argmax())
            fired.append(FiredSlot(slot=slot, label=label, probability=float(probability_QK[slot, label])))
        slots = self.config.queries
        return FrameAttention(
            maps=tuple(maps),
            padded_hw=sizes.padded,
            network_hw=sizes.network,
            num_slots=slots,
            fired=tuple(fired),
        )

    def _map(self, title: str, cells_MN: Tensor, note: str = "") -> AttentionMap:
        values_Mhw = torch.unflatten(cells_MN, 1, self._side_hw)
        return AttentionMap(title=title, values_Mhw=values_Mhw.cpu().numpy(), note=note)


def _attention(blocks: nn.ModuleList) -> Attention:
    """Of the last layer."""
    last = blocks[-1]
    assert isinstance(last, AttentionBlock)
    return last.attention


@torch.no_grad()
def _weights(attention: Attention, kept: Kept) -> Tensor:
    """How each query of the one frame looked at each token, for every head, float32 (M, Q, S)."""
    query, key, _, visible = kept.tensors
    assert query is not None and key is not None
    return attention.weights(query, key, visible)[0].float()
