"""RCF online: the identity rule, what a stream remembers, the same as all frames at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avis_data.masks.rle import decode
from avis_data.training.data.clips import TensorClip
from avis_data.training.models.online import tracks_of_stream, watch
from avis_data.training.models.rcf.config import SlotOptions
from avis_data.training.models.rcf.identities import SlotIdentities
from avis_data.training.models.rcf.model import Rcf
from avis_data.training.models.rcf.network import Heard, SlotOutput
from avis_data.training.models.rcf.stream import RcfStream
from support.tiny_rcf import AUDIO, sample, tiny_config, tiny_model

Mask = NDArray[np.bool_]


def box(top: int, left: int, size: int = 8) -> Mask:
    mask = np.zeros((32, 32), dtype=bool)
    mask[top : top + size, left : left + size] = True
    return mask


A, B, C = box(0, 0), box(16, 16), box(0, 20)


def test_swapped_slots_keep_their_identities() -> None:
    rule = SlotIdentities(0.5)
    assert rule.step({0: A, 1: B}) == {0: 0, 1: 1}
    assert rule.step({0: B, 1: A}) == {0: 1, 1: 0}
    assert rule.step({0: B, 1: A}) == {0: 1, 1: 0}


def test_what_returns_in_its_slot_is_the_same() -> None:
    rule = SlotIdentities(0.5)
    rule.step({0: A, 1: B})
    assert rule.step({1: B}) == {1: 1}
    assert rule.step({}) == {}
    assert rule.step({0: C}) == {0: 0}  # elsewhere, but in its slot


def test_what_comes_into_a_slot_that_was_left_is_new() -> None:
    rule = SlotIdentities(0.5)
    rule.step({0: A})
    assert rule.step({0: B, 1: A}) == {1: 0, 0: 1}
    assert rule.known == {0, 1}


def test_a_slot_that_was_left_keeps_nothing_even_if_it_stays_silent() -> None:
    rule = SlotIdentities(0.5)
    rule.step({0: A})
    assert rule.step({1: A}) == {1: 0}
    assert rule.step({}) == {}
    assert rule.step({0: C}) == {0: 1}


def test_a_slot_that_takes_over_forgets_what_it_had() -> None:
    """Slot 1 had B, which is not seen when slot 1 shows A; B is then nobody's, and new when it comes again."""
    rule = SlotIdentities(0.5)
    rule.step({0: A, 1: B})
    assert rule.step({1: A}) == {1: 0}
    assert rule.step({0: B, 1: A}) == {1: 0, 0: 2}


def test_the_largest_overlap_counts_first_and_one_to_one() -> None:
    """Slot 1 overlaps A with 6/8, slot 0 with 7/8 of it: slot 0 goes on, slot 1 has its own identity or a new one."""
    rule = SlotIdentities(0.5)
    rule.step({2: A})
    near, nearer = box(0, 2), box(0, 1)
    assert rule.step({0: nearer, 1: near}) == {0: 0, 1: 1}


def test_equal_overlaps_stay_in_their_slots() -> None:
    rule = SlotIdentities(0.5)
    rule.step({0: A, 1: A})
    assert rule.step({0: A, 1: A}) == {0: 0, 1: 1}
    rule = SlotIdentities(0.5)
    rule.step({1: A})
    assert rule.step({0: A, 1: A}) == {1: 0, 0: 1}


def test_an_overlap_of_one_half_is_not_enough() -> None:
    """IoU of exactly 1/2: 8 x 8 within 8 x 16."""
    rule = SlotIdentities(0.5)
    rule.step({0: A})
    wide = A | box(0, 8)
    assert rule.step({1: wide}) == {1: 1}
    wide[0, 15] = False  # a little less than twice as large
    rule = SlotIdentities(0.5)
    rule.step({0: A})
    assert rule.step({1: wide}) == {1: 0}


class Said:
    """A network that says what it is told, frame by frame: slot -> (class probabilities, mask at stride 4)."""

    def __init__(self, *frames: dict[int, tuple[list[float], Mask]], **changes: Any) -> None:
        self.config = tiny_config(queries=3, **changes)
        self.frames = iter(frames)
        self.references: list[list[float]] = []

    def look(self, frame_3hw: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (frame_3hw[None, :1, :1, :1].float(),)

    def decide(self, target: Any, references: Any, heard: Any) -> SlotOutput:
        self.references.append([float(reference) for reference in references])
        logits = torch.full((1, 1, 3, 5), -30.0)
        logits[..., -1] = 30.0
        masks = torch.full((1, 1, 3, 8, 8), -9.0)
        for slot, (probabilities, mask) in next(self.frames).items():
            rest = 1 - sum(probabilities)
            logits[0, 0, slot] = torch.tensor([*probabilities, rest]).clamp(min=1e-9).log()
            masks[0, 0, slot] = torch.where(torch.from_numpy(mask[2::4, 2::4]), 9.0, -9.0)
        return SlotOutput(logits_LBQK=logits, masks_LBQHW=masks)


def frame(value: int = 0) -> torch.Tensor:
    return torch.full((3, 32, 32), value, dtype=torch.uint8)


def test_slots_fire_at_the_threshold_and_with_a_mask() -> None:
    said = Said({0: ([0.4, 0, 0, 0], A), 1: ([0.39, 0, 0, 0], B), 2: ([0, 0, 0.9, 0], np.zeros((32, 32), bool))})
    seen = RcfStream(said, (32, 32)).step(frame(), None)
    assert [(thing.identity, thing.label) for thing in seen] == [(0, 0)]
    assert seen[0].score == pytest.approx(0.4, abs=1e-6)
    far = Said({0: ([0.4, 0, 0, 0], A)}, slots=SlotOptions(least_score=0.5))
    assert not RcfStream(far, (32, 32)).step(frame(), None)


def test_masks_come_at_the_size_of_the_originals() -> None:
    said = Said({0: ([0.9, 0, 0, 0], A)})
    mask = decode(RcfStream(said, (64, 128)).step(frame(), None)[0].mask)
    assert mask.shape == (64, 128) and mask[:14, :28].all() and not mask[20:].any() and not mask[:, 40:].any()


def test_class_and_score_of_a_track_are_of_its_mean_probabilities() -> None:
    said = Said({0: ([0.6, 0.1, 0, 0], A)}, {}, {0: ([0.1, 0.9, 0, 0], A)}, {0: ([0.2, 0.5, 0, 0], A)})
    clip = TensorClip(
        clip_id="a", frames_T3HW=torch.zeros(4, 3, 32, 32, dtype=torch.uint8), audio_TA=None, size_hw=(32, 32)
    )
    model: Any = type("Model", (), {"start": staticmethod(lambda size, _options: RcfStream(said, size))})
    (track,) = tracks_of_stream(model, clip)
    assert track.label == 1 and track.score == pytest.approx(0.5, abs=1e-6)
    assert [bool(decode(mask).any()) for mask in track.masks] == [True, False, True, True]


def test_references_are_the_frames_before_and_at_first_the_oldest_there_is() -> None:
    said = Said(*[{}] * 5, references=3)
    stream = RcfStream(said, (32, 32))
    for value in range(5):
        stream.step(frame(value), None)
    assert said.references == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 1, 0], [3, 2, 1]]


def test_what_a_stream_remembers_does_not_grow() -> None:
    """One object goes to and fro between two slots; every other frame something new is in the slot that it left."""
    sure = [0.9, 0.0, 0.0, 0.0]
    cycle = [{0: (sure, B), 1: (sure, A)}, {0: (sure, A)}, {0: (sure, A), 1: (sure, B)}, {1: (sure, A)}]
    stream = RcfStream(Said(*cycle * 15), (32, 32))
    identities = {thing.identity for step in range(60) for thing in stream.step(frame(step), None)}
    assert len(identities) == 31
    assert len(stream._sums) <= 3 and len(stream._maps) == 1


def in_order(model: Rcf, clip: TensorClip) -> list[SlotOutput]:
    """Each frame of a clip by the function that training uses, with the frames before it; the first ones repeated."""
    delta = model.config.references
    found = []
    for t in range(clip.num_frames):
        frames = [max(0, t - back) for back in range(delta, -1, -1)]
        images = model.normalise(clip.frames_T3HW[frames])
        valid = torch.ones(1, images.shape[2] // 32, images.shape[3] // 32, dtype=torch.bool)
        sound = None
        if model.config.audio:
            assert clip.audio_TA is not None
            sound = Heard(audio_BRA=clip.audio_TA[frames][None], valid_BR=torch.ones(1, delta + 1, dtype=torch.bool))
        with torch.no_grad():
            found.append(model.outputs(images[None], valid, sound))
    return found


@pytest.mark.parametrize(
    "changes", [{"references": 0}, {"references": 1, "audio": True}, {"references": 3, "audio": True}]
)
def test_a_stream_says_what_training_would_say(changes: dict[str, Any]) -> None:
    model = tiny_model(**changes).eval()
    one = sample(3, frames=6, tracks=0, size=(60, 90), audio=True)
    clip = TensorClip(clip_id="a", frames_T3HW=one.frames_T3HW, audio_TA=one.audio_TA, size_hw=(60, 90))
    said: list[SlotOutput] = []
    decide = model.decide
    model.decide = lambda *arguments: said.append(decide(*arguments)) or said[-1]  # type: ignore[assignment,func-returns-value]
    with torch.no_grad():
        assert len(list(watch(model, clip))) == 6
    for now, wanted in zip(said, in_order(model, clip), strict=True):
        assert (now.logits_LBQK - wanted.logits_LBQK).abs().max() < 1e-4
        assert (now.masks_LBQHW - wanted.masks_LBQHW).abs().max() < 1e-4


def test_a_clip_of_one_frame_is_predicted() -> None:
    model = tiny_model(references=3, audio=True, slots=SlotOptions(least_score=0.0)).eval()
    one = sample(3, frames=1, tracks=0, audio=True)
    clip = TensorClip(clip_id="a", frames_T3HW=one.frames_T3HW, audio_TA=one.audio_TA, size_hw=(64, 96))
    assert all(len(track.masks) == 1 for track in model.predict(clip))
    silent = TensorClip(clip_id="a", frames_T3HW=one.frames_T3HW, audio_TA=None, size_hw=(64, 96))
    model.predict(silent)
    with pytest.raises(ValueError, match="evaluation mode"):
        model.train().predict(clip)


def test_a_stream_that_hears_nothing_now_and_then() -> None:
    model = tiny_model(references=1, audio=True, slots=SlotOptions(least_score=0.0)).eval()
    stream = model.start((64, 96))
    frames = sample(0, frames=3).frames_T3HW
    for picture, sound in zip(frames, (torch.rand(AUDIO), None, torch.rand(AUDIO)), strict=True):
        stream.step(picture, sound)
    assert [sound is None for sound in stream._sounds] == [True, False]
