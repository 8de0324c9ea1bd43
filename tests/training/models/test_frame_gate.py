"""The frame gate: a track is silent in the frames whose own queries do not hear its class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from avis_data.masks.rle import area, decode, encode
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.models.inference import gated_tracks
from avis_data.training.models.spec import PredictOptions
from support.tiny_avism import tiny_model, whole_clip

ALL = PredictOptions(top_k=12, score_threshold=0.05)


def track(label: int, frames: int = 3) -> PredictedTrack:
    mask = encode(np.eye(4, 6, dtype=bool))
    return PredictedTrack(label=label, score=0.5, query=label, masks=(mask,) * frames)


def test_masks_go_where_the_class_is_not_heard() -> None:
    heard_TK = torch.tensor([[0.9, 0.1], [0.3, 0.1], [0.31, 0.1]])
    (kept,) = gated_tracks([track(0), track(1)], [heard_TK[:, 0], heard_TK[:, 1]], 0.3)
    assert kept.label == 0, "a track that is never heard is left out"
    assert [area(mask) for mask in kept.masks] == [4, 0, 4], "exactly the threshold is not heard"
    assert {(mask.height, mask.width) for mask in kept.masks} == {(4, 6)}


def test_the_gate_of_a_model_follows_its_frame_queries() -> None:
    """Oracle: class probabilities of each frame run through the frame decoder alone."""
    model, clip = tiny_model().eval(), whole_clip(1, 7)
    assert clip.audio_TA is not None
    heard_TK = _heard(model, clip)
    threshold = float(heard_TK.mean())
    options = replace(ALL, frame_gate=threshold, frames_per_pass=2)
    gated = {(track.query, track.label): track for track in model.predict(clip, options)}
    silent = 0
    for before in model.predict(clip, ALL):
        heard_T = (heard_TK[:, before.label] > threshold).tolist()
        expected = [decode(mask) & heard for mask, heard in zip(before.masks, heard_T, strict=True)]
        silent += sum(bool(area(mask)) and not heard for mask, heard in zip(before.masks, heard_T, strict=True))
        after = gated.get((before.query, before.label))
        assert (after is not None) == any(mask.any() for mask in expected)
        for mask, wanted in zip(() if after is None else after.masks, expected, strict=after is not None):
            np.testing.assert_array_equal(decode(mask), wanted)
    assert silent, "the threshold lies among the probabilities, so some frames must have gone silent"


def test_without_a_gate_nothing_changes() -> None:
    model, clip = tiny_model().eval(), whole_clip(1, 4)
    assert model.predict(clip, ALL) == model.predict(clip, replace(ALL, frame_gate=0.0))


@torch.no_grad()
def _heard(model, clip) -> torch.Tensor:  # type: ignore[no-untyped-def]
    rows = []
    for frame in range(clip.num_frames):
        maps = model.maps(clip.frames(frame, frame + 1))
        output = model.frame_decoder(
            maps.scales,
            model.pixel_decoder.mask_embedding(maps.fpn_NChw),
            clip.audio_TA[frame : frame + 1],
            keep_layers=1,
        )
        rows.append(output.heads[-1].logits_NQK.softmax(-1)[0, :, :-1].amax(0))
    return torch.stack(rows)
